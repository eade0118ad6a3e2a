"""What is stored, in which order it changed, and who is told. No Kubernetes rules in here.

One counter numbers all writes, as etcd does; that number is the resourceVersion. A `Journal` sees
every change before anybody else does, which is where persistence to disk belongs.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from .errors import Gone
from .objects import Object, name_of, namespace_of, owners_of, to_json, uid_of

Place = tuple[str, str]
"""(namespace, name); namespace is empty for cluster-wide objects."""


@dataclass(frozen=True, slots=True)
class Change:
    """One committed write. The objects are shared: never edit them in place."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    resource: str
    version: int
    """The resourceVersion of this write."""
    object: Object
    """After the write; for DELETED the last state, with the version of the deletion."""
    old: Object | None
    """Before the write; None for ADDED."""

    @property
    def place(self) -> Place:
        return namespace_of(self.object), name_of(self.object)


class Journal(Protocol):
    """Keeps changes beyond the life of the process."""

    def append(self, change: Change) -> None: ...

    def load(self) -> Iterable[tuple[str, Object]]:
        """Every (resource key, object) that was stored when the process ended."""
        ...

    def last_version(self) -> int:
        """Of the last change ever appended, a deletion included: versions must not run backwards."""
        ...


class Record:
    """A stored object and, once asked for, its JSON text."""

    __slots__ = ("_encoded", "object")

    def __init__(self, obj: Object) -> None:
        self.object = obj
        self._encoded: bytes | None = None

    @property
    def encoded(self) -> bytes:
        if self._encoded is None:
            self._encoded = to_json(self.object)
        return self._encoded


class _Shelf:
    """The objects of one resource, kept in the order in which lists show them."""

    def __init__(self, history: int) -> None:
        self.records: dict[Place, Record] = {}
        self.history: deque[Change] = deque(maxlen=history)
        self.compacted = 0
        """Changes up to this version may be forgotten."""
        self.places: list[Place] = []
        """All of them in order. Kept so by each write: sorting anew takes far longer when there are many."""

    def put(self, place: Place, record: Record) -> None:
        if place not in self.records:
            insort(self.places, place)
        self.records[place] = record

    def remove(self, place: Place) -> None:
        del self.records[place]
        del self.places[bisect_left(self.places, place)]

    def within(self, namespace: str) -> list[Place]:
        """Those of one namespace; empty: those of the whole cluster."""
        return self.places[bisect_left(self.places, (namespace,)) : bisect_left(self.places, (namespace + "\0",))]


class Ledger:
    """All objects of a cluster in memory. Not thread-safe: one event loop owns it."""

    def __init__(self, *, history: int = 1000, journal: Journal | None = None) -> None:
        """`history`: changes remembered per resource, for watches that start in the past."""
        self.version = 1
        self._history = history
        self._shelves: dict[str, _Shelf] = {}
        self._dependents: dict[str, set[tuple[str, Place]]] = {}
        self._listeners: dict[int, tuple[frozenset[str] | None, Callable[[Change], None]]] = {}
        self._next_listener = 0
        self._journal: Journal | None = None
        self._began = 0
        if journal is not None:
            for resource, obj in journal.load():
                self._set(resource, (namespace_of(obj), name_of(obj)), obj)
            self.version = max(self.version, journal.last_version())
            for shelf in self._shelves.values():
                shelf.compacted = self.version
            self._journal = journal

    def get(self, resource: str, place: Place) -> Record | None:
        shelf = self._shelves.get(resource)
        return None if shelf is None else shelf.records.get(place)

    def records(self, resource: str, namespace: str | None = None) -> Iterator[Record]:
        """In the order of (namespace, name). Do not write while iterating."""
        shelf = self._shelves.get(resource)
        if shelf is None:
            return
        for place in shelf.places if namespace is None else shelf.within(namespace):
            yield shelf.records[place]

    def count(self, resource: str) -> int:
        shelf = self._shelves.get(resource)
        return 0 if shelf is None else len(shelf.records)

    def resources(self) -> tuple[str, ...]:
        return tuple(self._shelves)

    def dependents(self, uid: str) -> tuple[tuple[str, Place], ...]:
        """Everything that names `uid` in its owner references."""
        return tuple(sorted(self._dependents.get(uid, ())))

    def commit(self, resource: str, obj: Object) -> Change:
        """Store `obj` (which now belongs to the ledger) under the next version."""
        place = (namespace_of(obj), name_of(obj))
        before = self.get(resource, place)
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        self._set(resource, place, obj)
        old = None if before is None else before.object
        return self._told(Change("ADDED" if old is None else "MODIFIED", resource, self.version, obj, old))

    def remove(self, resource: str, place: Place) -> Change:
        """Raises KeyError when nothing is stored there."""
        old = self._shelves[resource].records[place].object
        self.version += 1
        last = {**old, "metadata": {**old["metadata"], "resourceVersion": str(self.version)}}
        self._shelves[resource].remove(place)
        self._forget_owners(resource, place, old)
        return self._told(Change("DELETED", resource, self.version, last, old))

    def subscribe(
        self, callback: Callable[[Change], None], resources: Iterable[str] | None = None
    ) -> Callable[[], None]:
        """Call back within each write, after it is stored. Returns the way to end it."""
        number = self._next_listener
        self._next_listener += 1
        self._listeners[number] = (None if resources is None else frozenset(resources), callback)
        return lambda: self._listeners.pop(number, None) and None

    def since(self, resource: str, version: int) -> list[Change]:
        """Changes after `version`, oldest first. Raises Gone when some are forgotten."""
        shelf = self._shelves.get(resource)
        oldest = max(self._began, shelf.compacted if shelf is not None else 0)
        if version < oldest:
            raise Gone(f"too old resource version: {version} ({oldest})")
        if shelf is None:
            return []
        newer: list[Change] = []
        for change in reversed(shelf.history):
            if change.version <= version:
                break
            newer.append(change)
        newer.reverse()
        return newer

    def as_of(self, resource: str, version: int) -> list[Object]:
        """The objects as they stood at `version`. Raises Gone."""
        undone = self.since(resource, version)
        shelf = self._shelves.get(resource)
        if shelf is None:
            return []
        if not undone:
            return [shelf.records[place].object for place in shelf.places]
        past = {place: record.object for place, record in shelf.records.items()}
        for change in reversed(undone):
            if change.old is None:
                past.pop(change.place, None)
            else:
                past[change.place] = change.old
        return [past[place] for place in sorted(past)]

    def begin(self) -> None:
        """Forget everything before now: a server knows no change from before its own start."""
        self._began = self.version

    def compact(self, resource: str) -> None:
        """Forget the history of a resource, as etcd's compaction does: older watches end in 410."""
        shelf = self._shelves.get(resource)
        if shelf is not None:
            shelf.history.clear()
            shelf.compacted = self.version

    def _set(self, resource: str, place: Place, obj: Object) -> None:
        shelf = self._shelves.get(resource)
        if shelf is None:
            shelf = self._shelves[resource] = _Shelf(self._history)
        before = shelf.records.get(place)
        if before is None:
            self._learn_owners(resource, place, obj)
        elif owners_of(before.object) != owners_of(obj):
            self._forget_owners(resource, place, before.object)
            self._learn_owners(resource, place, obj)
        shelf.put(place, Record(obj))

    def _learn_owners(self, resource: str, place: Place, obj: Object) -> None:
        for owner in owners_of(obj):
            self._dependents.setdefault(uid_of({"metadata": owner}), set()).add((resource, place))

    def _forget_owners(self, resource: str, place: Place, obj: Object) -> None:
        for owner in owners_of(obj):
            uid = uid_of({"metadata": owner})
            held = self._dependents.get(uid)
            if held is not None:
                held.discard((resource, place))
                if not held:
                    del self._dependents[uid]

    def _told(self, change: Change) -> Change:
        if self._journal is not None:
            self._journal.append(change)
        shelf = self._shelves[change.resource]
        if len(shelf.history) == shelf.history.maxlen:
            shelf.compacted = shelf.history[0].version
        shelf.history.append(change)
        for resources, callback in tuple(self._listeners.values()):
            if resources is None or change.resource in resources:
                callback(change)
        return change
