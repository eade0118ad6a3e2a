"""Serves what CustomResourceDefinitions define, and empties those that are deleted."""

from __future__ import annotations

from kubernaut.devcluster.errors import NotFound
from kubernaut.devcluster.kinds.definitions import CLEANUP, custom_resources
from kubernaut.devcluster.ledger import Change
from kubernaut.devcluster.objects import Object, is_deleting, list_at, name_of, namespace_of
from kubernaut.devcluster.resources import CUSTOM_RESOURCE_DEFINITIONS
from kubernaut.devcluster.store import Store, Write

_WRITE = Write(manager="devcluster-apiextensions")


class Definitions:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[str, None] = {}
        self._keys: frozenset[str] = frozenset()
        for record in store.ledger.records(CUSTOM_RESOURCE_DEFINITIONS):
            self._serve(record.object)
        self._stop = store.subscribe(self._note)

    def close(self) -> None:
        self._stop()

    @property
    def has_work(self) -> bool:
        return bool(self._waiting)

    def _note(self, change: Change) -> None:
        if change.resource == CUSTOM_RESOURCE_DEFINITIONS:
            if change.type == "DELETED":
                self._store.catalogue.remove(name_of(change.object))
            elif change.old is None or _differs(change.old, change.object):
                self._serve(change.object)
        elif change.type == "DELETED" and "." in change.resource:
            record = self._store.ledger.get(CUSTOM_RESOURCE_DEFINITIONS, ("", change.resource))
            if record is not None and is_deleting(record.object):
                self._waiting[change.resource] = None

    def _serve(self, definition: Object) -> None:
        name = name_of(definition)
        self._store.catalogue.remove(name)
        for resource in custom_resources(definition):
            self._store.catalogue.add(resource)
        if is_deleting(definition):
            self._waiting[name] = None

    def work(self) -> None:
        while self._waiting:
            name = next(iter(self._waiting))
            del self._waiting[name]
            record = self._store.ledger.get(CUSTOM_RESOURCE_DEFINITIONS, ("", name))
            if record is not None and is_deleting(record.object):
                self._empty(name)

    def _empty(self, name: str) -> None:
        for record in tuple(self._store.ledger.records(name)):
            obj = record.object
            if not is_deleting(obj):
                try:
                    self._store.delete(name, name_of(obj), namespace_of(obj), write=_WRITE)
                except NotFound:
                    continue
        if self._store.ledger.count(name):
            return

        def released(obj: Object) -> None:
            held = list_at(obj, "metadata", "finalizers")
            obj["metadata"]["finalizers"] = [finalizer for finalizer in held if finalizer != CLEANUP]

        try:
            self._store.edit(CUSTOM_RESOURCE_DEFINITIONS, name, None, released, write=_WRITE)
        except NotFound:
            return


def _differs(old: Object, new: Object) -> bool:
    return old["spec"] != new["spec"] or is_deleting(old) != is_deleting(new)
