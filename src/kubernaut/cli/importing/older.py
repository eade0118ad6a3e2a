"""An older document while it is read: what nobody asked for is left over, and has no home."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

Json = dict[str, Any]


class Remark(NamedTuple):
    """What a person should know about one field."""

    path: str
    """In the older document."""
    message: str
    is_loss: bool
    """The field has no home today; otherwise it was translated, and differs."""


@dataclass(frozen=True)
class Translation:
    """Today's documents, and what is to be said about them."""

    documents: tuple[Json, ...]
    remarks: tuple[Remark, ...]


class NotOlder(Exception):
    """The document is none of the older shapes; the message says what it is."""


@dataclass
class Older:
    """One object of an older document. Whoever reads a field takes it."""

    fields: Json
    path: str = ""
    remarks: list[Remark] = field(default_factory=list[Remark])
    """Shared by all objects of one document."""
    _taken: set[str] = field(default_factory=set[str])
    _opened: "list[Older]" = field(default_factory=list["Older"])

    def take(self, key: str) -> Any:
        """A field's value, or None."""
        self._taken.add(key)
        return self.fields.get(key)

    def text(self, key: str) -> str:
        """A field's value as text; empty when it is not there."""
        value = self.take(key)
        return "" if value is None else str(value)

    def open(self, key: str) -> "Older":
        """The object in a field, to be read field by field; an empty one when there is none."""
        value = self.fields.get(key)
        if not isinstance(value, dict):
            if value is None:
                self._taken.add(key)
            value = {}
        else:
            self._taken.add(key)
        return self._child(self.at(key), cast(Json, value))

    def open_each(self, key: str) -> "list[Older]":
        """The objects in a list."""
        value = self.fields.get(key)
        if not isinstance(value, list):
            return []
        self._taken.add(key)
        found: list[Older] = []
        for number, item in enumerate(cast(list[object], value)):
            path = f"{self.at(key)}[{number}]"
            if isinstance(item, dict):
                found.append(self._child(path, cast(Json, item)))
            else:
                self.lose(path, "an object was expected here", absolute=True)
        return found

    def at(self, key: str) -> str:
        """The path of a field."""
        return f"{self.path}.{key}" if self.path else key

    def lose(self, key: str, why: str, *, absolute: bool = False) -> None:
        """Says that a field has no home."""
        self._taken.add(key)
        self.remarks.append(Remark(key if absolute else self.at(key), why, True))

    def note(self, key: str, what: str) -> None:
        """Says how a field was translated."""
        self._taken.add(key)
        self.remarks.append(Remark(self.at(key), what, False))

    def left_over(self) -> Iterator[str]:
        """Paths of all that nobody took."""
        yield from (self.at(key) for key in self.fields if key not in self._taken)
        for opened in self._opened:
            yield from opened.left_over()

    def _child(self, path: str, fields: Json) -> "Older":
        child = Older(fields, path, self.remarks)
        self._opened.append(child)
        return child
