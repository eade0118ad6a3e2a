"""`$(...)` references inside step inputs: their grammar, where they occur, and putting values in their place.

A string that is nothing but one reference becomes the value itself, with its type; a reference inside a longer
string becomes text. Values are put into parsed JSON, never pasted into JSON text, so that no value can change
the shape of the document around it. `$$(` stands for a literal `$(`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping

from kubernaut.api.meta import JSON, Frozen
from kubernaut.api.values import MOST_LEVELS

_REFERENCE = re.compile(r"\$\$\(|\$\(([^()]*)\)")
_PARAM = re.compile(r"params\.([A-Za-z_][A-Za-z0-9_-]*)")
_OUTPUT = re.compile(r"steps\.([a-z0-9]([-a-z0-9]*[a-z0-9])?)\.outputs\.([A-Za-z_][A-Za-z0-9_]*)")
_WORKFLOW_FIELDS = ("name", "namespace", "uid")


class ParamReference(Frozen, frozen=True, kw_only=False):
    name: str


class OutputReference(Frozen, frozen=True, kw_only=False):
    step: str
    key: str


class WorkflowReference(Frozen, frozen=True, kw_only=False):
    field: str


class UnknownReference(Frozen, frozen=True, kw_only=False):
    """Something in `$(...)` that means nothing to us."""

    text: str


Reference = ParamReference | OutputReference | WorkflowReference | UnknownReference


class Found(Frozen, frozen=True, kw_only=False):
    """A reference, the JSON path of the string that holds it, and whether it is the whole string."""

    reference: Reference
    path: str
    is_whole: bool


def from_text(text: str) -> Reference:
    """The reference written between `$(` and `)`."""
    if match := _PARAM.fullmatch(text):
        return ParamReference(match[1])
    if match := _OUTPUT.fullmatch(text):
        return OutputReference(match[1], match[3])
    prefix, _, field = text.partition(".")
    if prefix == "workflow" and field in _WORKFLOW_FIELDS:
        return WorkflowReference(field)
    return UnknownReference(text)


def find(value: JSON, path: str, levels: int = MOST_LEVELS) -> Iterator[Found]:
    """Every reference in a JSON value, in document order.

    What is nested deeper than may be judged is not looked at: the door refuses it, but here it may come before.
    """
    if levels < 0:
        return
    match value:
        case str():
            for match in _REFERENCE.finditer(value):
                if match[1] is not None:
                    yield Found(from_text(match[1]), path, match.span() == (0, len(value)))
        case Mapping():
            for key, part in value.items():  # pyright: ignore[reportUnknownVariableType]
                yield from find(part, f"{path}.{key}", levels - 1)
        case list() | tuple():
            for index, part in enumerate(value):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
                yield from find(part, f"{path}[{index}]", levels - 1)
        case _:
            return


def resolve(value: JSON, look_up: Callable[[Reference], JSON]) -> JSON:
    """The value with every reference replaced. `look_up` raises KeyError for what is not there."""
    match value:
        case str():
            return _resolve_text(value, look_up)
        case Mapping():
            return {key: resolve(part, look_up) for key, part in value.items()}  # pyright: ignore[reportUnknownVariableType]
        case list() | tuple():
            return [resolve(part, look_up) for part in value]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value


def has_reference(value: JSON) -> bool:
    """Whether any string in the value still holds a reference."""
    return next(find(value, ""), None) is not None


def _resolve_text(text: str, look_up: Callable[[Reference], JSON]) -> JSON:
    if "$" not in text:
        return text
    whole = _REFERENCE.fullmatch(text)
    if whole and whole[1] is not None:
        return look_up(from_text(whole[1]))
    return _REFERENCE.sub(lambda m: "$(" if m[1] is None else _as_text(look_up(from_text(m[1]))), text)


def _as_text(value: JSON) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
