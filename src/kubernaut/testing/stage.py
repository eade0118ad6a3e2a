"""A cluster with kubernaut at work in it, all in this process, in virtual time unless that is not wanted."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from kubernaut.actions import SHIPPED
from kubernaut.api.crd import custom_resource_definitions
from kubernaut.cluster import Cluster, Connection, FixedLogin, Json, Login, ResourceKind, apply_manifests, kinds
from kubernaut.concurrency import Clock, Supervisor, SystemClock, VirtualClock
from kubernaut.controllers import Controller
from kubernaut.controllers.controller import ControllerSettings
from kubernaut.devcluster import DevCluster
from kubernaut.devcluster.faults import Fault
from kubernaut.devcluster.node import Account, Node, NodeSettings
from kubernaut.devcluster.node.machinery import Machinery, signer
from kubernaut.devcluster.node.unreal import NoProcesses
from kubernaut.planning.facts import Limits
from kubernaut.sdk.declare import AnyAction
from kubernaut.sdk.entrypoint import find_action
from kubernaut.testing.acting import script_of
from kubernaut.testing.checks import Check, missing
from kubernaut.testing.installing import RUNS, image_of, manifests_of

WORKFLOWS = "workflowexecutions.workflowexecution.kubernaut.ai"
REQUESTER = "somebody"
"""Who asks for workflows that do not say it."""
_LOOK_SECONDS = 1.0
_KINDS = {one.kind.lower(): one for one in vars(kinds).values() if isinstance(one, ResourceKind)}
ENDED = frozenset({"Completed", "PartiallyCompleted", "Failed", "Cancelled", "Aborted", "TimedOut", "RolledBack"})


class NotInTime(AssertionError):
    """What was waited for did not come about."""


@dataclass
class Stage:
    """Made by `open_stage` only."""

    dev: DevCluster
    cluster: Cluster
    """As the administrator. Raises ClusterError."""
    clock: Clock
    """Of the whole cluster: let time pass with `await stage.clock.sleep(...)`."""
    controller: Controller
    actions: Mapping[str, AnyAction]
    """By type."""
    _nodes: dict[str, Node] = field(default_factory=dict[str, Node])
    _start: Callable[[str], "Node"] | None = None
    _supervisor: Supervisor | None = None
    _targets: set[str] = field(default_factory=set[str])

    async def add(self, *manifests: Mapping[str, object], out_of_reach: Sequence[str] = ()) -> None:
        """Put objects into the cluster, the namespaces that they name, and a simulated node for each Node.

        Actions may act in those namespaces, but not in the ones named in `out_of_reach`. Raises KeyError for a
        kind that is not known, ClusterError.
        """
        wanted = [dict(manifest) for manifest in manifests]
        for one in wanted:
            if kinds.kind_of(one).namespaced:
                one["metadata"] = {"namespace": "default", **_mapping(one["metadata"])}
        spaces = {str(_mapping(one["metadata"]).get("namespace") or "") for one in wanted} - {""}
        new = spaces - self._targets - {RUNS, *out_of_reach}
        self._targets |= new
        await apply_manifests(
            self.cluster, [*map(_namespace, sorted(spaces)), *self._grants(new)], clock=self.clock
        )
        await apply_manifests(self.cluster, wanted, field_manager="scenario", clock=self.clock)
        for one in wanted:
            name = str(_mapping(one["metadata"])["name"])
            if one["kind"] == "Node" and name not in self._nodes:
                assert self._start is not None
                assert self._supervisor is not None
                self._nodes[name] = self._start(name)
                await self._nodes[name].start(self._supervisor)

    def register_images(self, folder: Path) -> None:
        """Make the images of an OCI layout, a `folder`, known. Raises nothing.

        They are started in real time only: see `open_stage`.
        """
        for node in self._nodes.values():
            node.register_images(folder)

    async def get(self, kind: ResourceKind, name: str, namespace: str = "") -> Json:
        """An object as it is now. Raises NotFound."""
        return await self.cluster.get(kind, name, namespace or None)

    async def submit(self, workflow: Mapping[str, object]) -> str:
        """Create a `workflow`, as JSON, in the namespace of the executions; its name. Raises ClusterError."""
        spec = cast("Mapping[str, object]", workflow.get("spec") or {})
        # As `kubernaut run` does: what needs an approval needs to say who asks.
        body = {**workflow, "spec": {"requester": {"username": REQUESTER}, **spec}}
        made = await self.cluster.create(kinds.WORKFLOW_EXECUTIONS, body, RUNS)
        return str(made["metadata"]["name"])

    def workflow(self, name: str) -> Json:
        """A WorkflowExecution as it is now. Raises NotFound."""
        return self.dev.store.get(WORKFLOWS, name, RUNS)

    async def until_ended(self, name: str, seconds: float = 3600.0) -> Json:
        """The workflow in the phase in which it ends. Raises NotInTime after so many `seconds` of the cluster."""
        return await self.until_phase(name, *ENDED, seconds=seconds)

    async def until_phase(self, name: str, *phases: str, seconds: float = 3600.0) -> Json:
        """The workflow, once it is in one of these phases. Raises NotInTime after so many `seconds`."""

        def lacking() -> str:
            found = phase_of(self.workflow(name))
            return "" if found in phases else f"{name} is {found or 'not begun'}, not {' or '.join(phases)}"

        await self._until(lacking, seconds)
        return self.workflow(name)

    async def until(self, *checks: Check, seconds: float = 3600.0) -> None:
        """Until all of it is so, at once. Raises NotInTime, with what is missing, after so many `seconds`."""
        await self._until(lambda: next(self._lacking(checks), ""), seconds)

    def missing(self, check: Check) -> str:
        """What is instead of what the `check` wants; empty when all is as it wants. Raises ValueError for a kind
        that is not known.
        """
        return missing(check, self.find, lambda namespace: self.dev.store.list("pods", namespace).items)

    def _lacking(self, checks: Iterable[Check]) -> Iterator[str]:
        return (f"{check}; {said}" for check in checks if (said := self.missing(check)))

    def find(self, kind: str, name: str, namespace: str) -> Json | None:
        """An object by its kind in lower case; None where it is not there. Raises ValueError."""
        resource = resource_of(kind)
        key = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
        return self.dev.store.find(key, name, namespace if resource.namespaced else None)

    async def while_holds(self, *checks: Check, seconds: float) -> str:
        """Look on for so many `seconds`: what ceased to be so, with a word about when, or empty.

        Raises ValueError for a kind that is not known.
        """
        began = self.clock.monotonic()
        while (passed := self.clock.monotonic() - began) < seconds:
            for said in self._lacking(checks):
                return f"after {passed:g} s: {said}"
            await self.clock.sleep(min(_LOOK_SECONDS, seconds - passed))
        return ""

    async def break_it(self, *faults: Fault, seed: int = 0) -> None:
        """Have the faults from now on; with the same seed and requests, the same ones are met. `storm(seed)` of
        `kubernaut.devcluster.faults` makes a mixture. Raises devcluster.errors.BadRequest for an unknown node.
        """
        self.dev.faults.reseed(seed)
        for fault in faults:
            await self.dev.faults.add(fault)

    async def _until(self, lacking: Callable[[], str], seconds: float) -> None:
        end = self.clock.monotonic() + seconds
        while said := lacking():
            if self.clock.monotonic() >= end:
                raise NotInTime(f"not within {seconds:g} s: {said}")
            await self.clock.sleep(_LOOK_SECONDS)

    def _grants(self, targets: Iterable[str]) -> list[Json]:
        wanted = list(targets)
        return [
            manifest
            for action in self.actions.values()
            if wanted
            for manifest in manifests_of(action.contract, wanted)
        ]

    async def kill_node(self, name: str) -> None:
        """As a fault asks for. Raises KeyError."""
        await self._nodes[name].stop()


def shipped_actions() -> list[AnyAction]:
    """Those in the box."""
    return [find_action(module) for module in SHIPPED]


@asynccontextmanager
async def open_stage(
    folder: Path,
    *,
    actions: Sequence[AnyAction] | None = None,
    clock: Clock | None = None,
    limits: Limits | None = None,
) -> AsyncGenerator[Stage]:
    """A cluster in this process, with kubernaut at work in it, gone afterwards.

    folder: where its nodes keep their files.
    actions: by default those in the box. Their functions run within the controller's Jobs, with exactly the
        permissions of their contracts.
    clock: by default a virtual one, which jumps whenever everybody waits. Nothing outside of the event loop can be
        seen to be at work, so processes are refused then.
    limits: the controller's settings that decisions depend on; by default those of a fresh installation.

    Raises OSError when no port of the loopback can be had.
    """
    known = {
        action.contract.metadata.name: action for action in (shipped_actions() if actions is None else actions)
    }
    time = clock or VirtualClock(SystemClock().now())
    machinery = Machinery(folder / "machinery", runtime=NoProcesses())
    failure: Exception | None = None
    async with AsyncExitStack() as stack:
        dev = await stack.enter_async_context(DevCluster(clock=time, hooks=[machinery]))
        admin = await stack.enter_async_context(_client(dev, "admin", dev.admin_token, time))
        own = await stack.enter_async_context(
            _client(dev, "controller", dev.token_of("controller", ["system:masters"]), time)
        )
        await apply_manifests(admin, [*custom_resource_definitions(), _namespace(RUNS)], clock=time)
        for action in known.values():
            machinery.node.scripted.register(image_of(action.contract), script_of(action, time))
        settings = ControllerSettings(qps=1000, burst=1000, limits=limits or Limits())
        controller = Controller(own, settings, time)
        supervisor = await stack.enter_async_context(Supervisor())
        running = supervisor.start("controller", controller.run())
        stack.callback(supervisor.stop)
        stack.push_async_callback(_end, controller, running)
        await controller.working.wait()

        def start(name: str) -> Node:
            settings = NodeSettings(folder / name, folder / "cache", name, runtime=NoProcesses(), schedules=False)
            account = Account(sign=signer(dev.store, dev.tokens), ca=dev.certificate_authority)
            return Node(dev.store, dev.clock, settings, account, ("127.0.0.1", dev.port))

        stage = Stage(
            dev, admin, dev.clock, controller, known, {machinery.node.name: machinery.node}, start, supervisor
        )
        dev.faults.kill_node = stage.kill_node
        await apply_manifests(admin, [m for a in known.values() for m in manifests_of(a.contract, [])], clock=time)
        try:
            yield stage
        except Exception as error:  # noqa: BLE001 - raised again: as it is, not within the groups of our tasks
            failure = error
    if failure is not None:
        raise failure


async def _end(controller: Controller, running: "asyncio.Task[None]") -> None:
    """In order: what is only cancelled leaves alarms behind, which would go off in the next cluster's time."""
    controller.stop()
    await asyncio.wait({running})


def resource_of(kind: str) -> ResourceKind:
    """By its kind in lower case. Raises ValueError."""
    found = _KINDS.get(kind)
    if found is None:
        raise ValueError(f"there is no kind {kind!r}; there are {', '.join(sorted(_KINDS))}")
    return found


def phase_of(workflow: Json) -> str:
    """Empty before it has begun."""
    status: Json = workflow.get("status") or {}
    return str(status.get("phase", ""))


def _client(dev: DevCluster, user: str, token: str, clock: Clock) -> Cluster:
    login = FixedLogin(Login(f"Bearer {token}"))
    connection = Connection(dev.url, certificate_authority=dev.certificate_authority, credentials=login)
    return Cluster(connection, user=user, clock=clock)


def _namespace(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _mapping(value: object) -> dict[str, object]:
    assert isinstance(value, dict), value
    return cast("dict[str, object]", value)
