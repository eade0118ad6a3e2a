"""The garbage collector: deletes what nobody owns any longer, and keeps Foreground and Orphan's word.

It decides from the ledger's index of owner references, as often as something changes that could
matter, and always on the latest state. Rules: kube-controller-manager's garbagecollector.
"""

from __future__ import annotations

from contextlib import suppress

from kubernaut.devcluster.deleting import FOREGROUND, ORPHAN
from kubernaut.devcluster.errors import ApiError, NotFound
from kubernaut.devcluster.ledger import Change
from kubernaut.devcluster.objects import Object, is_deleting, list_at, name_of, namespace_of, owners_of, uid_of
from kubernaut.devcluster.resources import EVENTS, Propagation
from kubernaut.devcluster.store import Store, Write

_WRITE = Write(manager="garbage-collector")


class GarbageCollector:
    """Notes who must be looked at; `collect` looks."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._dependents: dict[tuple[str, str, str], None] = {}
        self._owners: dict[tuple[str, str, str], None] = {}
        self._uids: dict[str, tuple[str, str, str]] = {}
        """Of every object that lives: where it is."""
        for resource in store.ledger.resources():
            for record in store.ledger.records(resource):
                self._note(Change("ADDED", resource, 0, record.object, None))
        self._stop = store.subscribe(self._note)

    def close(self) -> None:
        self._stop()

    @property
    def has_work(self) -> bool:
        return bool(self._dependents or self._owners)

    def _note(self, change: Change) -> None:
        if change.resource == EVENTS:
            return
        obj = change.object
        place = (change.resource, namespace_of(obj), name_of(obj))
        uid = uid_of(obj)
        if change.type == "DELETED":
            self._uids.pop(uid, None)
            for resource, (namespace, name) in self._store.ledger.dependents(uid):
                self._dependents[resource, namespace, name] = None
            self._note_owners(change.old or obj)
            return
        self._uids[uid] = place
        if change.old is None or owners_of(change.old) != owners_of(obj):
            if owners_of(obj):
                self._dependents[place] = None
            if change.old is not None:
                # An owner that waits for its dependents may have waited for this one.
                self._note_owners(change.old)
        finalizers = obj["metadata"].get("finalizers") or ()
        if is_deleting(obj):
            if FOREGROUND in finalizers or ORPHAN in finalizers:
                self._owners[place] = None
            self._note_owners(obj)

    def _note_owners(self, obj: Object) -> None:
        for owner in owners_of(obj):
            place = self._uids.get(str(owner.get("uid")))
            if place is not None:
                self._owners[place] = None

    def collect(self) -> None:
        """Work until there is nothing left to do."""
        while self.has_work:
            if self._owners:
                place = next(iter(self._owners))
                del self._owners[place]
                self._look_at_owner(place)
            else:
                place = next(iter(self._dependents))
                del self._dependents[place]
                self._look_at_dependent(place)

    def _read(self, place: tuple[str, str, str]) -> Object | None:
        record = self._store.ledger.get(place[0], (place[1], place[2]))
        return None if record is None else record.object

    def _look_at_owner(self, place: tuple[str, str, str]) -> None:
        owner = self._read(place)
        if owner is None or not is_deleting(owner):
            return
        finalizers = owner["metadata"].get("finalizers") or ()
        if ORPHAN in finalizers:
            for resource, obj in tuple(self._store.dependents(uid_of(owner))):
                self._drop_references(resource, obj, {uid_of(owner)})
            self._drop_finalizer(place, ORPHAN)
        elif FOREGROUND in finalizers:
            self._delete_foreground(place, owner)

    def _delete_foreground(self, place: tuple[str, str, str], owner: Object) -> None:
        uid = uid_of(owner)
        blocking = False
        for resource, obj in tuple(self._store.dependents(uid)):
            reference = next(o for o in owners_of(obj) if o.get("uid") == uid)
            if reference.get("blockOwnerDeletion"):
                blocking = True
            if not is_deleting(obj):
                self._dependents[resource, namespace_of(obj), name_of(obj)] = None
        if not blocking:
            self._drop_finalizer(place, FOREGROUND)

    def _look_at_dependent(self, place: tuple[str, str, str]) -> None:
        obj = self._read(place)
        if obj is None or is_deleting(obj):
            return
        solid: list[str] = []
        waiting: list[str] = []
        gone: set[str] = set()
        for reference in owners_of(obj):
            uid = str(reference.get("uid"))
            owner = self._owner(reference, namespace_of(obj))
            if owner is None:
                gone.add(uid)
            elif is_deleting(owner) and FOREGROUND in (owner["metadata"].get("finalizers") or ()):
                waiting.append(uid)
            else:
                solid.append(uid)
        if not gone and not waiting:
            return
        if solid:
            self._drop_references(place[0], obj, gone | set(waiting))
        elif waiting and tuple(self._store.dependents(uid_of(obj))):
            self._delete(place, obj, foreground=True)
        else:
            self._delete(place, obj, foreground=False)

    def _owner(self, reference: Object, namespace: str) -> Object | None:
        """The living owner; one in another namespace counts as absent."""
        place = self._uids.get(str(reference.get("uid")))
        if place is None or (place[1] and place[1] != namespace):
            return None
        owner = self._read(place)
        if owner is None or uid_of(owner) != reference.get("uid"):
            return None
        return owner

    def _delete(self, place: tuple[str, str, str], obj: Object, *, foreground: bool) -> None:
        finalizers = obj["metadata"].get("finalizers") or ()
        policy: Propagation = "Background"
        if ORPHAN in finalizers:
            policy = "Orphan"
        elif foreground or FOREGROUND in finalizers:
            policy = "Foreground"
        # What has gone meanwhile need not be deleted.
        with suppress(NotFound):
            self._store.delete(place[0], place[2], place[1], propagation=policy, uid=uid_of(obj), write=_WRITE)

    def _drop_references(self, resource: str, obj: Object, uids: set[str]) -> None:
        def change(new: Object) -> None:
            kept = [owner for owner in owners_of(new) if owner.get("uid") not in uids]
            if kept:
                new["metadata"]["ownerReferences"] = kept
            else:
                new["metadata"].pop("ownerReferences", None)

        try:
            self._store.edit(resource, name_of(obj), namespace_of(obj), change, write=_WRITE)
        except ApiError:
            # It has gone, or another rule forbids the change; the next change of it asks again.
            return

    def _drop_finalizer(self, place: tuple[str, str, str], finalizer: str) -> None:
        def change(new: Object) -> None:
            held = list_at(new, "metadata", "finalizers")
            new["metadata"]["finalizers"] = [name for name in held if name != finalizer]

        try:
            self._store.edit(place[0], place[2], place[1], change, write=_WRITE)
        except NotFound:
            return
