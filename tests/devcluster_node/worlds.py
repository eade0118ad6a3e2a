"""A store with the workload controllers and a node, and ways to wait for what happens in it."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernaut.concurrency import Clock, Supervisor, SystemClock
from kubernaut.devcluster.kinds.catalogue import builtin_catalogue
from kubernaut.devcluster.node import Account, LogQuery, Node, NodeSettings
from kubernaut.devcluster.node.pulling import PullSettings
from kubernaut.devcluster.node.runtime import Runtime
from kubernaut.devcluster.resources import EVENTS, JOBS, NAMESPACES, PODS
from kubernaut.devcluster.store import Store
from kubernaut.devcluster.workloads import start_workloads

Object = dict[str, Any]
NAMESPACE = "work"


@dataclass
class World:
    store: Store
    node: Node
    clock: Clock

    def create(self, kind: str, body: Object) -> Object:
        return self.store.create(kind, body, NAMESPACE)

    def get(self, kind: str, name: str) -> Object:
        return self.store.get(kind, name, NAMESPACE)

    def create_pod(self, name: str, *, image: str = "nginx:1", **more: Any) -> Object:
        """`container` and `metadata` are merged in, the rest is the pod's spec."""
        container = {"name": "main", "image": image, **more.pop("container", {})}
        metadata = {"name": name, **more.pop("metadata", {})}
        spec = {"restartPolicy": "Never", "containers": [container], **more}
        return self.create(PODS, {"metadata": metadata, "spec": spec})

    async def until(self, kind: str, name: str, holds: Callable[[Object], Any]) -> Object:
        """The object as soon as this holds of it."""
        async with self.store.watch(kind, namespace=NAMESPACE, initial=True) as changes:
            async for change in changes:
                found = change.object
                if found["metadata"]["name"] == name and change.type != "DELETED" and holds(found):
                    return found
        raise AssertionError("the watch ended")

    async def until_gone(self, kind: str, name: str) -> None:
        async with self.store.watch(kind, namespace=NAMESPACE) as changes:
            if self.store.find(kind, name, NAMESPACE) is None:
                return
            async for change in changes:
                if change.type == "DELETED" and change.object["metadata"]["name"] == name:
                    return

    async def until_event(self, reason: str, about: str = "") -> Object:
        """The Event, as soon as it is there."""

        def meant(event: Object) -> bool:
            return event["reason"] == reason and about in event["involvedObject"]["name"]

        async with self.store.watch(EVENTS, namespace=NAMESPACE, initial=True) as changes:
            async for change in changes:
                if meant(change.object):
                    return change.object
        raise AssertionError("the watch ended")

    async def until_phase(self, name: str, *phases: str) -> Object:
        return await self.until(PODS, name, lambda pod: pod["status"].get("phase") in phases)

    async def log(self, name: str, **query: Any) -> str:
        chunks = self.node.logs(NAMESPACE, name, "", LogQuery(**query))
        return b"".join([chunk async for chunk in chunks]).decode()

    async def until_true(self, holds: Callable[[], Any]) -> None:
        """For what no watch tells of: processes, folders. Looks every few milliseconds."""
        while not holds():
            await self.clock.sleep(0.01)

    def pods(self) -> list[Object]:
        return self.store.list(PODS, NAMESPACE).items

    def reasons(self, about: str) -> list[str]:
        """Reasons of the Events about an object, in the order they came."""
        events = [e for e in self.store.list(EVENTS, NAMESPACE).items if e["involvedObject"]["name"] == about]
        return [e["reason"] for e in sorted(events, key=lambda e: int(e["metadata"]["resourceVersion"]))]

    def create_job(self, name: str, image: str, **spec: Any) -> Object:
        container = {"name": "action", "image": image, **spec.pop("container", {})}
        template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
        return self.create(
            JOBS, {"metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": template, **spec}}
        )


def state_of(pod: Object) -> Object:
    """The state of the pod's only container; empty when there is none yet."""
    statuses = pod["status"].get("containerStatuses") or [{}]
    return dict(statuses[0].get("state") or {})


def ended(pod: Object) -> Object:
    """How the pod's only container ended; empty when it has not."""
    return dict(state_of(pod).get("terminated") or {})


def waiting_reason(pod: Object) -> str:
    return str(state_of(pod).get("waiting", {}).get("reason", ""))


@asynccontextmanager
async def make_world(
    folder: Path, clock: Clock | None = None, runtime: Runtime | None = None
) -> AsyncGenerator[World]:
    used = clock or SystemClock()
    store = Store(builtin_catalogue(), used.now)
    for name in (NAMESPACE, "kube-node-lease"):
        store.create(NAMESPACES, {"metadata": {"name": name}})
    settings = NodeSettings(folder=folder / "node", cache=folder / "cache", runtime=runtime, pulls=PullSettings())
    account = Account(sign=lambda pod, name, audience, seconds: f"token-of-{name}", ca=b"the ca\n")
    async with Supervisor() as supervisor:
        start_workloads(store, supervisor, used, folder / "volumes")
        node = Node(store, used, settings, account, ("127.0.0.1", 6443))
        await node.start(supervisor)
        try:
            yield World(store, node, used)
        finally:
            await node.stop()
            supervisor.stop()
            await used.sleep(0)
