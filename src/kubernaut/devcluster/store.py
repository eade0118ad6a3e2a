"""The state of the embedded cluster. REST and the cluster's own controllers write through here.

How to use it, in process
-------------------------
Everything is synchronous, happens on the event loop's thread, and is finished when the call
returns: no write can slip between two calls without an `await` in between. Kinds are named as
kubectl names them (constants in `resources`: `PODS`, `JOBS`, ...):

    pod = store.get(PODS, "web-1", "default")               # NotFound, or a copy that is yours
    pod = store.find(PODS, "web-1", "default")              # None instead of NotFound
    for pod in store.list(PODS, "default", labels="app=web").items: ...     # shared: read only
    store.create(JOBS, {"metadata": {"name": "x"}, "spec": {...}}, "default")     # AlreadyExists
    pod["spec"]["nodeName"] = "node"
    store.update(PODS, pod)                 # Conflict when its resourceVersion is not the latest
    store.update_status(PODS, pod)          # writes `status` only, as PUT .../status does
    store.edit_status(PODS, "web-1", "default", lambda pod: pod["status"].update(phase="Running"))
    store.patch(PODS, "web-1", "default", {"metadata": {"labels": {"a": "b"}}})  # merge patch
    store.delete(PODS, "web-1", "default", grace=0, uid=uid)

`apiVersion` and `kind` may be left out. Every rule of REST holds here too: defaulting,
validation (`Invalid`), admission, finalizers, owner references, preconditions, optimistic locking
(leave `metadata.resourceVersion` out of an update to overwrite whatever is there), generation. Two
things REST does are absent: authentication and authorisation. Writes that change nothing get no new
resourceVersion and tell nobody.

Pods are deleted gracefully: `delete` sets deletionTimestamp when the pod is bound to a node and has
not ended; the node kills it and then calls `delete(..., grace=0)`. Owned objects are deleted by the
collector in `housekeeping.garbage`; Namespaces empty themselves by `housekeeping.namespaces`.

Being told of changes:

    stop = store.subscribe(callback, [PODS, JOBS])     # callback(Change), inside each write
    async with store.watch(PODS, initial=True) as changes:
        async for change in changes: change.type, change.object, change.old

A callback runs in the middle of somebody's write: note the name in a queue and return; do not
write from it. What `list`, `watch` and `Change` hand out is shared with everybody: never edit it.

`Write` says who writes and how (`Write(manager="job-controller")`, `dry_run=True`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, TypeAlias

from . import deleting, writing
from .errors import Conflict, Invalid, NotFound
from .ledger import Change, Journal, Ledger, Record
from .metadata import required
from .objects import Object, copied, name_of, namespace_of, version_of
from .patching import PatchType, apply_patch
from .resources import Catalogue, Propagation, Resource
from .selectors import field_predicate, label_predicate
from .writing import Admission, Attributes, Write

__all__ = [
    "Admission",
    "Attributes",
    "Catalogue",
    "Change",
    "Deleted",
    "Listing",
    "Store",
    "Watch",
    "Write",
]

Kind: TypeAlias = str | Resource
"""A key such as `jobs.batch` (its storage version), or one served version."""

_PLAIN = Write()


@dataclass(frozen=True, slots=True)
class Listing:
    items: list[Object]
    """Shared objects: read only."""
    resource_version: str


@dataclass(frozen=True, slots=True)
class Deleted:
    object: Object
    is_gone: bool
    """False while finalizers or a grace period keep the object."""


@dataclass(slots=True)
class Store:
    """All objects of one cluster. See the top of this module."""

    catalogue: Catalogue
    now: Callable[[], datetime]
    journal: Journal | None = None
    history: int = 1000
    """Changes remembered per resource; watches from before them are answered 410."""
    mutating: list[Admission] = field(default_factory=list[Admission])
    """Called with each create and update before validation; may edit `attributes.object`."""
    validating: list[Admission] = field(default_factory=list[Admission])
    """Called after validation, also for deletions; may only raise an ApiError."""
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = Ledger(history=self.history, journal=self.journal)

    # -- reading ---------------------------------------------------------------------------------

    def resource(self, kind: Kind) -> Resource:
        return kind if isinstance(kind, Resource) else self.catalogue.get(kind)

    def record(self, kind: Kind, name: str, namespace: str | None = None) -> Record:
        """The stored object itself, shared. Raises NotFound."""
        resource = self.resource(kind)
        place = (namespace or "" if resource.namespaced else "", name)
        record = self.ledger.get(resource.storage, place)
        if record is None:
            raise NotFound.of(resource.key, name)
        return record

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object:
        """A copy that the caller may edit and hand back. Raises NotFound."""
        return copied(self.record(kind, name, namespace).object)

    def find(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
        """Like `get`, with None for what does not exist."""
        try:
            return self.get(kind, name, namespace)
        except NotFound:
            return None

    def list(self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = "") -> Listing:
        """Objects of one namespace, or of all when it is None. Raises BadRequest for selectors."""
        resource = self.resource(kind)
        tests = [
            test
            for test in (
                label_predicate(labels),
                field_predicate(fields, resource.field_labels, is_custom=resource.is_custom),
            )
            if test is not None
        ]
        found = [
            record.object
            for record in self.ledger.records(resource.storage, namespace)
            if all(test(record.object) for test in tests)
        ]
        return Listing(found, str(self.ledger.version))

    def dependents(self, uid: str) -> Iterable[tuple[str, Object]]:
        """(resource key, shared object) of everything owned by `uid`."""
        for key, place in self.ledger.dependents(uid):
            record = self.ledger.get(key, place)
            if record is not None:
                yield key, record.object

    # -- writing ---------------------------------------------------------------------------------

    def create(self, kind: Kind, body: Object, namespace: str | None = None, write: Write = _PLAIN) -> Object:
        """Returns the stored object (shared). Raises AlreadyExists, Invalid, Forbidden, NotFound."""
        return writing.create(self, self.resource(kind), copied(body), namespace, write)

    def update(self, kind: Kind, body: Object, *, subresource: str = "", write: Write = _PLAIN) -> Object:
        """Replace the object that `body` names. Raises NotFound, Conflict, Invalid."""
        resource = self.resource(kind)
        name = name_of(body)
        if not name:
            faults = [required("metadata.name")]
            raise Invalid.of(resource.group, resource.kind, "", faults)
        old = self.record(resource, name, namespace_of(body)).object
        return writing.update(self, resource, copied(body), old, subresource, write)

    def update_status(self, kind: Kind, body: Object, write: Write = _PLAIN) -> Object:
        return self.update(kind, body, subresource="status", write=write)

    def edit(
        self,
        kind: Kind,
        name: str,
        namespace: str | None,
        change: Callable[[Object], Any],
        *,
        subresource: str = "",
        write: Write = _PLAIN,
    ) -> Object:
        """Read, change and write in one step, which cannot conflict. Raises NotFound, Invalid."""
        resource = self.resource(kind)
        old = self.record(resource, name, namespace).object
        new = copied(old)
        change(new)
        return writing.update(self, resource, new, old, subresource, write)

    def edit_status(self, kind: Kind, name: str, namespace: str | None, change: Callable[[Object], Any]) -> Object:
        """`change` may rely on `status` being there."""

        def changed(obj: Object) -> None:
            obj.setdefault("status", {})
            change(obj)

        return self.edit(kind, name, namespace, changed, subresource="status")

    def patch(
        self,
        kind: Kind,
        name: str,
        namespace: str | None,
        patch: Any,
        patch_type: PatchType = "merge",
        *,
        subresource: str = "",
        force: bool = False,
        write: Write = _PLAIN,
    ) -> Object:
        """Apply a patch. An `apply` patch creates what does not exist.

        Raises NotFound, Conflict, Invalid, BadRequest. `force` takes over fields of other managers.
        """
        resource = self.resource(kind)
        return apply_patch(self, resource, (namespace or "", name), patch, patch_type, subresource, force, write)

    def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str | None = None,
        *,
        propagation: Propagation | None = None,
        uid: str = "",
        version: str = "",
        grace: int | None = None,
        write: Write = _PLAIN,
    ) -> Deleted:
        """Delete, or mark for deletion. `uid` and `version` are preconditions, `grace` seconds.

        Without `propagation` the kind's default holds: Orphan for Jobs, else Background.
        Raises NotFound, Conflict.
        """
        resource = self.resource(kind)
        old = self.record(resource, name, namespace).object
        _check_preconditions(resource, old, uid, version)
        obj, is_gone = deleting.delete(self, resource, old, propagation, grace, write)
        return Deleted(obj, is_gone)

    # -- being told ------------------------------------------------------------------------------

    def subscribe(
        self, callback: Callable[[Change], None], kinds: Iterable[str] | None = None
    ) -> Callable[[], None]:
        """Call back inside each write. Returns a function that ends it."""
        return self.ledger.subscribe(callback, kinds)

    def watch(self, *kinds: str, namespace: str | None = None, initial: bool = False) -> Watch:
        """Changes from now on, in order; `initial` first hands out what there is as ADDED."""
        watch = Watch(self, kinds, namespace)
        if initial:
            for kind in kinds:
                for obj in self.list(kind, namespace).items:
                    watch.tell(Change("ADDED", kind, version_of(obj), obj, None))
        return watch


class Watch:
    """Changes as an async iterator; end it with `close` or by leaving `async with`."""

    def __init__(self, store: Store, kinds: Iterable[str], namespace: str | None) -> None:
        self._namespace = namespace
        self._waiting: deque[Change] = deque()
        self._arrived = asyncio.Event()
        self._is_closed = False
        self._stop = store.subscribe(self.tell, kinds)

    def tell(self, change: Change) -> None:
        if self._namespace is None or namespace_of(change.object) == self._namespace:
            self._waiting.append(change)
            self._arrived.set()

    def take_nowait(self) -> list[Change]:
        """Everything that has arrived and was not taken yet."""
        taken = list(self._waiting)
        self._waiting.clear()
        self._arrived.clear()
        return taken

    def close(self) -> None:
        self._stop()
        self._is_closed = True
        self._arrived.set()

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> Change:
        while not self._waiting:
            if self._is_closed:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.popleft()

    async def __aenter__(self) -> Watch:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _check_preconditions(resource: Resource, old: Object, uid: str, version: str) -> None:
    metadata = old["metadata"]
    qualified = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    for word, wanted, found, what in (
        ("UID", uid, metadata.get("uid"), "deleted and then recreated"),
        ("ResourceVersion", version, metadata.get("resourceVersion"), "modified"),
    ):
        if wanted and wanted != found:
            raise Conflict.of(
                qualified,
                metadata["name"],
                f"the {word} in the precondition ({wanted}) does not match the {word} in record "
                f"({found}). The object might have been {what}",
            )
