"""A local copy of the objects of one kind, kept by list and watch.

Not here: what a change means. Objects are handed out as they are stored: read, never modify them.
"""

import logging
import random
from asyncio import Event as Flag
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import TypeVar

from kubernaut.cluster.client import Cluster, Event
from kubernaut.cluster.errors import ClusterError, Gone
from kubernaut.cluster.kinds import ResourceKind
from kubernaut.cluster.requests import Json
from kubernaut.concurrency import Clock, SystemClock

_I = TypeVar("_I")

log = logging.getLogger(__name__)

Key = tuple[str, str]
"""(namespace, name); the namespace is empty for objects without one."""
Callback = Callable[[Key, Json | None, Json | None], None]
"""Called with key, old and new object; no old one = added, no new one = deleted."""

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_WATCH_SECONDS = 290
_BACKOFF_BASE = 0.2
_BACKOFF_CAP = 30.0
# A watch that ends sooner than this without a word counts as a failure, or a broken proxy would
# have us ask without end.
_SHORTEST_WATCH = 1.0
_REMEMBERED_DELETIONS = 10_000


class Informer:
    """List, then watch; list again when the server forgot where we were, or as a safety net.

    `note` puts the answer to our own write in at once, so that the next turn reads its own writes;
    an older event never replaces it, and its echo is not reported twice.
    """

    def __init__(
        self,
        cluster: Cluster,
        kind: ResourceKind,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        relist_seconds: float = 600.0,
        clock: Clock | None = None,
    ) -> None:
        """Without a namespace, all of them. `relist_seconds`: see the safety net above."""
        self.cluster = cluster
        self.kind = kind
        self.namespace = namespace
        self.label_selector = label_selector
        self.field_selector = field_selector
        self.failure: ClusterError | None = None
        """Why the last attempt to list or watch failed; None while all is well."""
        self._relist_seconds = relist_seconds
        self._clock = clock or SystemClock()
        self._store: dict[Key, Json] = {}
        self._owned: dict[str, dict[Key, None]] = {}
        self._labelled: dict[tuple[str, str], dict[Key, None]] = {}
        self._index_labels: set[str] = set()
        self._callbacks: list[Callback] = []
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._resource_version = ""
        self._listed_at = 0.0
        self._synced = Flag()

    # -- reading ----------------------------------------------------------------------------------

    @property
    def synced(self) -> bool:
        """Whether the first list is in. Before that, absence proves nothing."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        await self._synced.wait()

    def get(self, name: str, namespace: str = "") -> Json | None:
        return self._store.get((namespace, name))

    def items(self) -> list[Json]:
        return list(self._store.values())

    def keys(self) -> list[Key]:
        return list(self._store)

    def __len__(self) -> int:
        return len(self._store)

    def owned_by(self, uid: str) -> list[Json]:
        """Objects with an owner reference to this UID."""
        return [self._store[key] for key in self._owned.get(uid, ())]

    def labelled(self, label: str, value: str) -> list[Json]:
        """Objects whose label has this value; `index_label` must have been called for it."""
        if label not in self._index_labels:
            raise KeyError(f"label {label} of {self.kind.plural} is not indexed")
        return [self._store[key] for key in self._labelled.get((label, value), ())]

    def index_label(self, label: str) -> None:
        """Keep an index of this label's values."""
        self._index_labels.add(label)
        for key, stored in self._store.items():
            self._unindex(key, stored)
            self._index(key, stored)

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Hear of every change, beginning with an addition of what is there already.

        Callbacks run in the informer's task: they only put names into queues. The answer is a
        function that ends the subscription.
        """
        self._callbacks.append(callback)
        for key, stored in list(self._store.items()):
            callback(key, None, stored)
        return lambda: self._callbacks.remove(callback)

    # -- changing ---------------------------------------------------------------------------------

    def note(self, written: Json) -> None:
        """Put in the answer to our own write. Stale answers and those of deleted objects are not."""
        if written["metadata"].get("uid") not in self._gone:
            self._put(written)

    async def run(self) -> None:
        """Keep the copy; never returns."""
        failures = 0
        while True:
            began = self._clock.monotonic()
            try:
                heard = await self._list_and_watch()
                lasted = self._clock.monotonic() - began
                failures = 0 if heard or lasted >= _SHORTEST_WATCH else failures + 1
            except Gone:
                self._resource_version = ""
                failures = 0 if self._clock.monotonic() - began >= _SHORTEST_WATCH else failures + 1
                log.debug("watch is too old, listing again", extra={"kind": self.kind.kind})
                if failures <= 1:
                    continue
            except ClusterError as error:
                lasted = self._clock.monotonic() - began
                failures = failures + 1 if lasted < _BACKOFF_CAP else 1
                if self.failure is None:
                    log.warning(
                        "cannot watch, trying again",
                        extra={"kind": self.kind.kind, "error": str(error)},
                    )
                self.failure = error
            if failures:
                await self._clock.sleep(_backoff(failures))

    async def _list_and_watch(self) -> bool:
        """Whether anything was heard before the server ended the watch in good order."""
        overdue = self._clock.monotonic() - self._listed_at >= self._relist_seconds
        if not self._resource_version or overdue:
            await self._list()
        heard = False
        watch = self.cluster.watch(
            self.kind,
            self.namespace,
            label_selector=self.label_selector,
            field_selector=self.field_selector,
            resource_version=self._resource_version,
            timeout_seconds=max(1, int(min(_WATCH_SECONDS, self._relist_seconds))),
            opened=self._all_is_well,
        )
        async with aclosing(watch) as events:
            async for event in events:
                heard = True
                self._take(event)
        return heard

    def _all_is_well(self) -> None:
        self.failure = None

    async def _list(self) -> None:
        found = await self.cluster.list(
            self.kind,
            self.namespace,
            label_selector=self.label_selector,
            field_selector=self.field_selector,
        )
        self._listed_at = self._clock.monotonic()
        listed: set[Key] = set()
        for item in found.items:
            listed.add(_key(item))
            self._put(item)
        snapshot = _number(found.resource_version)
        for key, stored in list(self._store.items()):
            # What we noted after the snapshot was taken is not in it, and yet it is there.
            if key not in listed and _version(stored) <= snapshot:
                self._drop(key, stored)
        self._resource_version = found.resource_version
        self._synced.set()

    def _take(self, event: Event) -> None:
        meta = event.object["metadata"]
        if event.type == "DELETED":
            self._delete(event.object)
        elif event.type != "BOOKMARK":
            self._put(event.object)
        self._resource_version = meta.get("resourceVersion") or self._resource_version

    def _put(self, new: Json) -> None:
        key = _key(new)
        old = self._store.get(key)
        if old is not None:
            if _version(new) < _version(old) or _same(old, new):
                return
            self._unindex(key, old)
            if old["metadata"].get("uid") != new["metadata"].get("uid"):
                self._remember_deletion(old)
        self._store[key] = _stripped(new)
        self._index(key, new)
        self._tell(key, old, new)

    def _delete(self, last: Json) -> None:
        key = _key(last)
        self._remember_deletion(last)
        stored = self._store.get(key)
        if stored is None:
            return
        same_object = stored["metadata"].get("uid") == last["metadata"].get("uid")
        if same_object or _version(last) >= _version(stored):
            self._drop(key, stored)

    def _drop(self, key: Key, stored: Json) -> None:
        del self._store[key]
        self._unindex(key, stored)
        self._remember_deletion(stored)
        self._tell(key, stored, None)

    def _remember_deletion(self, stored: Json) -> None:
        self._gone[stored["metadata"].get("uid", "")] = None
        if len(self._gone) > _REMEMBERED_DELETIONS:
            self._gone.popitem(last=False)

    def _tell(self, key: Key, old: Json | None, new: Json | None) -> None:
        for callback in list(self._callbacks):
            callback(key, old, new)

    def _index(self, key: Key, stored: Json) -> None:
        for uid in _owners(stored):
            self._owned.setdefault(uid, {})[key] = None
        for label in self._labels(stored):
            self._labelled.setdefault(label, {})[key] = None

    def _unindex(self, key: Key, stored: Json) -> None:
        for uid in _owners(stored):
            _remove(self._owned, uid, key)
        for label in self._labels(stored):
            _remove(self._labelled, label, key)

    def _labels(self, stored: Json) -> Iterable[tuple[str, str]]:
        labels: dict[str, str] = stored["metadata"].get("labels") or {}
        return [(label, labels[label]) for label in self._index_labels if label in labels]


def _key(found: Json) -> Key:
    meta = found["metadata"]
    return meta.get("namespace") or "", meta["name"]


def _number(resource_version: str | None) -> int:
    # Within one kind resourceVersions may be compared as numbers (guaranteed since Kubernetes
    # 1.35, true of every server before it). One that is no number is taken for the newest.
    try:
        return int(resource_version or 0)
    except ValueError:
        return 1 << 64


def _version(found: Json) -> int:
    return _number(found["metadata"].get("resourceVersion"))


def _same(old: Json, new: Json) -> bool:
    before, now = old["metadata"].get("resourceVersion"), new["metadata"].get("resourceVersion")
    return bool(now) and before == now


def _owners(found: Json) -> list[str]:
    references: list[Json] = found["metadata"].get("ownerReferences") or []
    return [reference["uid"] for reference in references]


def _remove(index: dict[_I, dict[Key, None]], entry: _I, key: Key) -> None:
    keys = index.get(entry)
    if keys is not None:
        keys.pop(key, None)
        if not keys:
            del index[entry]


def _stripped(found: Json) -> Json:
    """Without what nobody reads and what can be half of an object."""
    meta = found["metadata"]
    meta.pop("managedFields", None)
    annotations: dict[str, str] | None = meta.get("annotations")
    if annotations and _LAST_APPLIED in annotations:
        del annotations[_LAST_APPLIED]
    return found


def _backoff(failures: int) -> float:
    delay = min(_BACKOFF_CAP, _BACKOFF_BASE * 2.0 ** min(failures - 1, 16))
    return delay * random.uniform(0.8, 1.2)
