"""Events, as controllers and the kubelet write them: repeated ones are counted, not written anew."""

import contextlib
import uuid
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

from kubernaut.concurrency import Clock
from kubernaut.devcluster.errors import ApiError, NotFound
from kubernaut.devcluster.objects import Object, namespace_of, uid_of
from kubernaut.devcluster.resources import EVENTS
from kubernaut.devcluster.store import Store, Write
from kubernaut.devcluster.workloads import moments

_REMEMBERED = 4096
_MESSAGE_LIMIT = 1024
_KEPT_SECONDS = 3600.0
_SWEEP_SECONDS = 300.0


async def forget_events(store: Store, clock: Clock) -> None:
    """Remove Events an hour after they were last told, as the API server does. Until cancelled."""
    while True:
        await clock.sleep(_SWEEP_SECONDS)
        now = clock.now()
        for event in store.list(EVENTS).items:
            told = event.get("lastTimestamp") or event["metadata"]["creationTimestamp"]
            if moments.seconds_since(told, now) > _KEPT_SECONDS:
                with contextlib.suppress(ApiError):
                    store.delete(EVENTS, event["metadata"]["name"], namespace_of(event))


class Recorder:
    """Writes Events in the name of one component."""

    def __init__(self, store: Store, now: Callable[[], datetime], component: str, host: str = "") -> None:
        self._store = store
        self._now = now
        self._component = component
        self._host = host
        self._write = Write(manager=component)
        self._known: OrderedDict[tuple[str, ...], str] = OrderedDict()

    def tell(self, about: Object, type_: str, reason: str, message: str) -> None:
        """Write an Event, or count it once more. Never fails: an Event is a courtesy."""
        message = message[:_MESSAGE_LIMIT]
        key = (uid_of(about), type_, reason, message)
        namespace = namespace_of(about) or "default"
        known = self._known.get(key)
        if known is not None and self._counted(known, namespace):
            self._known.move_to_end(key)
            return
        event = self._event(about, type_, reason, message)
        try:
            self._store.create(EVENTS, event, namespace, self._write)
        except ApiError:
            return  # the namespace is going away
        self._known[key] = event["metadata"]["name"]
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def _counted(self, name: str, namespace: str) -> bool:
        def once_more(event: Object) -> None:
            event["count"] = event.get("count", 1) + 1
            event["lastTimestamp"] = moments.to_text(self._now())

        try:
            self._store.edit(EVENTS, name, namespace, once_more, write=self._write)
        except NotFound:
            return False
        except ApiError:
            return True
        return True

    def _event(self, about: Object, type_: str, reason: str, message: str) -> Object:
        meta, now = about["metadata"], moments.to_text(self._now())
        name = f"{meta['name'][:220]}.{uuid.uuid4().hex[:16]}"
        source = {"component": self._component, **({"host": self._host} if self._host else {})}
        involved = {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "name": meta["name"],
            "uid": meta.get("uid", ""),
            "resourceVersion": meta.get("resourceVersion", ""),
        }
        if meta.get("namespace"):
            involved["namespace"] = meta["namespace"]
        return {
            "metadata": {"name": name},
            "involvedObject": involved,
            "type": type_,
            "reason": reason,
            "message": message,
            "source": source,
            "reportingComponent": self._component,
            "reportingInstance": self._host,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
