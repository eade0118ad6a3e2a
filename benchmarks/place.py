"""A namespace for one measurement, and the runs in it."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from kubernaut.api.crd import custom_resource_definitions
from kubernaut.cluster import AlreadyExists, Cluster, Conflict, Json, NotFound, kinds
from kubernaut.concurrency import Supervisor, SystemClock

from .processes import ControllerProcess, controller
from .shapes import Shape, definition
from .watching import Witness

_SUBMITTERS = 16
_GONE_SECONDS = 300.0
_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Target:
    """A cluster to measure on."""

    kubeconfig: Path
    label: tuple[str, str] | None
    """Of the namespaces, so that their pods get fake nodes."""
    is_embedded: bool


@dataclass(frozen=True)
class Place:
    """One namespace with a controller at work and a witness."""

    cluster: Cluster
    namespace: str
    witness: Witness
    controller: ControllerProcess

    async def submit(self, shape: Shape, count: int, *, ends: bool = True) -> list[str]:
        """Creates so many runs as fast as the API server takes them; their names."""
        runs = [f"run-{secrets.token_hex(5)}" for _ in range(count)]
        waiting = iter(runs)

        async def create() -> None:
            for run in waiting:
                body = shape.workflow(run, self.namespace, ends=ends)
                await self.cluster.create(kinds.WORKFLOW_EXECUTIONS, body, self.namespace)

        async with asyncio.TaskGroup() as group:
            for _ in range(_SUBMITTERS):
                group.create_task(create())
        return runs

    async def fences_taken(self) -> int:
        """By runners; where no container runs, nobody takes any."""
        leases = (await self.cluster.list(kinds.LEASES, self.namespace)).items
        return sum(1 for lease in leases if (lease["spec"].get("holderIdentity") or "void") != "void")


@asynccontextmanager
async def place(target: Target, preset: str = "", settings: tuple[str, ...] = ()) -> AsyncGenerator[Place]:
    """A fresh namespace; it and everything in it is gone afterwards."""
    namespace = f"kubernaut-benchmark-{secrets.token_hex(3)}"
    async with Cluster.connect(kubeconfig=target.kubeconfig, user="benchmark") as cluster:
        await _make_namespace(cluster, namespace, target.label)
        witness = Witness(cluster, namespace)
        try:
            async with (
                controller(target.kubeconfig, namespace, preset, settings) as process,
                Supervisor() as tasks,
            ):
                begun = [asyncio.Event(), asyncio.Event()]
                for kind, event in zip((kinds.JOBS, kinds.WORKFLOW_EXECUTIONS), begun, strict=True):
                    tasks.start(f"watch {kind.plural}", witness.follow(kind, event), eternal=True)
                for event in begun:
                    await event.wait()
                try:
                    yield Place(cluster, namespace, witness, process)
                finally:
                    tasks.stop()
                    if not target.is_embedded:  # which goes as a whole
                        # While the controller is there: it takes its finalizers away.
                        await _remove_runs(cluster, namespace)
        finally:
            if not target.is_embedded:
                await _remove_namespace(cluster, namespace)


@asynccontextmanager
async def installed(target: Target) -> AsyncGenerator[None]:
    """The kinds and the benchmark's catalogue entry; what was not there before goes again."""
    made: list[str] = []
    async with Cluster.connect(kubeconfig=target.kubeconfig, user="benchmark") as cluster:
        for crd in custom_resource_definitions():
            try:
                await cluster.create(kinds.CUSTOM_RESOURCE_DEFINITIONS, crd)
                made.append(crd["metadata"]["name"])
            except AlreadyExists:
                continue
        for name in made:
            await _until_established(cluster, name)
        entry = definition()
        try:
            await cluster.create(kinds.ACTION_DEFINITIONS, entry)
        except AlreadyExists:
            await cluster.patch(kinds.ACTION_DEFINITIONS, entry["metadata"]["name"], None, {"spec": entry["spec"]})
        try:
            yield
        finally:
            await cluster.delete(kinds.ACTION_DEFINITIONS, entry["metadata"]["name"])
            for name in made:
                await cluster.delete(kinds.CUSTOM_RESOURCE_DEFINITIONS, name)


def writes_of(requests: Counter[tuple[str, str]]) -> Counter[str]:
    """The writes among what a controller asked, as `verb resource`; Events and reviews apart."""
    writes = Counter[str]()
    for (verb, resource), count in requests.items():
        if verb in ("create", "update", "patch", "delete") and not resource.startswith(("events", "selfsubject")):
            writes[f"{verb} {resource}"] += count
    return +writes


async def _make_namespace(cluster: Cluster, namespace: str, label: tuple[str, str] | None) -> None:
    # With its labels at once: what happens to pods there may depend on them.
    metadata = {"name": namespace, "labels": dict([label]) if label else {}}
    await cluster.create(kinds.NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    clock = SystemClock()
    while True:  # pods are refused until their ServiceAccount is there
        try:
            await cluster.get(kinds.SERVICE_ACCOUNTS, "default", namespace)
            return
        except NotFound:
            await clock.sleep(_LOOK_SECONDS)


async def _remove_runs(cluster: Cluster, namespace: str) -> None:
    """Until there is no workflow left, or a long time has passed."""
    await cluster.delete(kinds.NAMESPACES, namespace)
    clock = SystemClock()
    deadline = clock.monotonic() + _GONE_SECONDS
    while clock.monotonic() < deadline:
        if not (await cluster.list(kinds.WORKFLOW_EXECUTIONS, namespace, limit=1)).items:
            return
        await clock.sleep(_LOOK_SECONDS)


async def _remove_namespace(cluster: Cluster, namespace: str) -> None:
    """Whatever happened before: no finalizer of ours may hold it."""
    for left in (await cluster.list(kinds.WORKFLOW_EXECUTIONS, namespace)).items:
        nothing: Json = {"metadata": {"finalizers": []}}
        await cluster.patch(kinds.WORKFLOW_EXECUTIONS, left["metadata"]["name"], namespace, nothing)
    with suppress(NotFound, Conflict):  # it is going already
        await cluster.delete(kinds.NAMESPACES, namespace)
    clock = SystemClock()
    deadline = clock.monotonic() + _GONE_SECONDS
    while clock.monotonic() < deadline:
        try:
            await cluster.get(kinds.NAMESPACES, namespace)
        except NotFound:
            return
        await clock.sleep(_LOOK_SECONDS)


async def _until_established(cluster: Cluster, name: str) -> None:
    clock = SystemClock()
    while True:
        crd = await cluster.get(kinds.CUSTOM_RESOURCE_DEFINITIONS, name)
        conditions = (crd.get("status") or {}).get("conditions") or []
        if any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
            return
        await clock.sleep(_LOOK_SECONDS)
