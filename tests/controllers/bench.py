"""An embedded cluster whose actions are scripted, and a controller that can be killed at any write.

The API server, the workload controllers and the node are the real ones of the embedded cluster; only the program
inside the action container is a coroutine instead of a process, so that hundreds of runs fit a minute. It takes
the fence exactly as the runner does, by the runner's own code, and its effects are counted.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from kubernaut.api.crd import custom_resource_definitions
from kubernaut.cluster import Cluster, Json, Write, kinds
from kubernaut.concurrency import Clock, Supervisor, SystemClock
from kubernaut.controllers.controller import Controller, ControllerSettings
from kubernaut.devcluster.cluster import DevCluster
from kubernaut.devcluster.node import Node
from kubernaut.devcluster.node.machinery import Machinery
from kubernaut.devcluster.node.scripted import ScriptResult, ScriptStart
from kubernaut.devcluster.workloads import LossSettings
from kubernaut.planning.facts import Limits
from kubernaut.sdk.environment import RunnerEnvironment
from kubernaut.sdk.errors import FenceHeld
from kubernaut.sdk.fence import take_fence

NAMESPACE = "kubernaut-workflows"
IMAGE = "registry.example/test@sha256:" + "a" * 64
WORKFLOWS = "workflowexecutions.workflowexecution.kubernaut.ai"
EXECUTIONS = "actionexecutions.execution.kubernaut.ai"
UNFENCED_IMAGE = "registry.example/plain@sha256:" + "b" * 64
SECRET = "hunter2-hunter2"
_DEFAULT_LOSSES = LossSettings()
ENDED = {"Completed", "PartiallyCompleted", "Failed", "Cancelled", "Aborted", "TimedOut"}


class Killed(BaseException):
    """The controller dies here, as by SIGKILL: nothing after it happens."""


@dataclass
class ShiftedClock:
    """Real time, plus what was skipped: a controller that was away for an hour comes back to this."""

    real: Clock = field(default_factory=SystemClock)
    skipped: float = 0.0

    def now(self) -> datetime:
        return self.real.now() + timedelta(seconds=self.skipped)

    def monotonic(self) -> float:
        return self.real.monotonic() + self.skipped

    async def sleep(self, seconds: float) -> None:
        await self.real.sleep(seconds)


@dataclass
class Bench:
    cluster: DevCluster
    node: Node
    clock: ShiftedClock
    admin: Cluster
    runner: Cluster
    """The client of all actions' programs: their writes can be watched apart from others'."""
    settings: ControllerSettings
    effects: Counter[str] = field(default_factory=Counter[str])
    """How often the action of an ActionExecution changed the world, by its name."""
    go: asyncio.Event = field(default_factory=asyncio.Event)
    """Actions that `hold` end when it is set."""
    started: list[ScriptStart] = field(default_factory=list[ScriptStart])
    """Every start of an action's program, in order."""
    acting: asyncio.Condition = field(default_factory=asyncio.Condition)
    identity: tuple[str, tuple[str, ...]] = ("controller", ("system:masters",))
    """User and groups of the controller."""
    together: int = 0
    """How many programs run now."""
    most_together: int = 0
    _dying: asyncio.Event = field(default_factory=asyncio.Event)
    _dead: asyncio.Event = field(default_factory=asyncio.Event)

    async def submit(self, name: str, steps: list[Json], **spec: Any) -> Json:
        body = {
            "apiVersion": "workflowexecution.kubernaut.ai/v1alpha1",
            "kind": "WorkflowExecution",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"steps": steps, "requester": {"username": "ann"}, **spec},
        }
        return await self.admin.create(kinds.WORKFLOW_EXECUTIONS, body, NAMESPACE)

    async def ask(self, name: str, kind: str, **more: Any) -> None:
        """Appends to spec.requests."""
        found = self.get(name)
        requests = [*found["spec"].get("requests", []), {"type": kind, "at": _stamp(self.clock.now()), **more}]
        await self.admin.patch(
            kinds.WORKFLOW_EXECUTIONS, name, NAMESPACE, {"spec": {"requests": requests}}, "merge"
        )

    def get(self, name: str) -> Json:
        return self.cluster.store.get(WORKFLOWS, name, NAMESPACE)

    def executions(self, name: str) -> dict[str, Json]:
        """By step."""
        found = self.objects(EXECUTIONS)
        return {e["spec"]["step"]: e for e in found if (e["spec"].get("workflowRef") or {}).get("name") == name}

    def objects(self, kind: str) -> list[Json]:
        """All of one kind (`jobs.batch`) in the executions' namespace, as stored now."""
        return self.cluster.store.list(kind, NAMESPACE).items

    async def until_object(self, kind: str, holds: Callable[[Json], Any]) -> Json:
        """The first object of the kind of which this holds, now or later."""
        async with self.cluster.store.watch(kind, namespace=NAMESPACE, initial=True) as changes:
            async for change in changes:
                if change.type != "DELETED" and holds(change.object):
                    return change.object
        raise AssertionError("the watch ended")

    async def until_none(self, kind: str) -> None:
        """Until none is left."""
        await self.until_none_of(kind, "")

    async def until_none_of(self, kind: str, workflow: str) -> None:
        """Until none is left of what carries the label of this workflow; without one, of all."""

        def left() -> bool:
            labels = [found["metadata"].get("labels", {}) for found in self.objects(kind)]
            return any(not workflow or of.get("kubernaut.ai/workflow-execution") == workflow for of in labels)

        async with self.cluster.store.watch(kind, namespace=NAMESPACE) as changes:
            if not left():
                return
            async for _ in changes:
                if not left():
                    return

    async def until(self, name: str, holds: Callable[[Json], Any]) -> Json:
        return await self.until_object(WORKFLOWS, lambda w: w["metadata"]["name"] == name and holds(w))

    async def until_ended(self, name: str) -> Json:
        return await self.until(name, lambda w: w.get("status", {}).get("phase") in ENDED)

    async def until_phase(self, name: str, phase: str) -> Json:
        return await self.until(name, lambda w: w.get("status", {}).get("phase") == phase)

    async def until_step(self, name: str, step: str, *phases: str) -> Json:
        def holds(workflow: Json) -> bool:
            return steps_of(workflow).get(step, {}).get("phase") in phases

        return await self.until(name, holds)

    async def until_acting(self, step: str) -> Json:
        """Until the program of a step's action runs; its environment."""
        async with self.acting:
            await self.acting.wait_for(lambda: any(self._is_of(start, step) for start in self.started))
        return next(dict(start.environment) for start in self.started if self._is_of(start, step))

    def _is_of(self, start: ScriptStart, step: str) -> bool:
        return start.pod["metadata"]["labels"].get("kubernaut.ai/step") == step

    async def nudge(self, name: str) -> None:
        """Wakes the turns of a workflow and of its actions, after time was skipped."""
        body = {"metadata": {"annotations": {"nudged": str(self.clock.skipped)}}}
        for found in self.executions(name).values():
            await self.admin.patch(kinds.ACTION_EXECUTIONS, found["metadata"]["name"], NAMESPACE, body, "merge")
        await self.admin.patch(kinds.WORKFLOW_EXECUTIONS, name, NAMESPACE, body, "merge")

    @asynccontextmanager
    async def controller(
        self, *hooks: Callable[[Literal["before", "after"], Write], None]
    ) -> AsyncGenerator[Controller]:
        """A controller at work; leaving the block ends it in good order."""
        self._dying, self._dead = asyncio.Event(), asyncio.Event()
        try:
            user, groups = self.identity
            async with self.client(user, groups) as cluster:
                for hook in hooks:
                    cluster.on_write(hook)
                controller = Controller(cluster, self.settings, self.clock)
                async with Supervisor() as supervisor:
                    supervisor.start("controller", controller.run())
                    death = supervisor.start("death", self._death())
                    await controller.working.wait()
                    try:
                        yield controller
                    finally:
                        controller.stop()
                        death.cancel()
        finally:
            self._dead.set()

    async def kill(self) -> None:
        """Kills the controller from outside; returns when nothing of it is left."""
        self._dying.set()
        await self._dead.wait()

    async def _death(self) -> None:
        await self._dying.wait()
        raise Killed

    def client(self, user: str, groups: tuple[str, ...] = ("system:masters",)) -> Cluster:
        token = self.cluster.token_of(user, groups)
        path = self.cluster.folder
        assert path is not None
        kubeconfig = path / f"{user}.kubeconfig"
        kubeconfig.write_text(self.cluster.kubeconfig_of(token))
        return Cluster.connect(kubeconfig=kubeconfig, user=user, clock=self.clock)

    async def play(self, start: ScriptStart) -> ScriptResult:
        """The program of every test action; `inputs.does` says what becomes of it."""
        self.started.append(start)
        self.together += 1
        self.most_together = max(self.most_together, self.together)
        async with self.acting:
            self.acting.notify_all()
        try:
            return await self._act(start, start.environment)
        finally:
            self.together -= 1

    async def _act(self, start: ScriptStart, environment: Mapping[str, str]) -> ScriptResult:
        inputs = inputs_of(start)
        does = inputs.get("does", "succeed")
        attempt = int(environment["KUBERNAUT_ATTEMPT"])
        if does == "refuse" or (does == "refuse-once" and attempt == 1):
            return _said("no", "failed", "DryRunRefused", code=65)
        if does == "wait" or (does == "wait-first" and len(self.started) == 1):
            await start.terminated.wait()
            return _said("no", "failed", "Interrupted", code=143)
        if "KUBERNAUT_LEASE" in environment:
            try:
                await take_fence(self.runner, _runner(environment), "test", self.clock)
            except FenceHeld as error:
                return _said("no", "failed", "AlreadyRunning", str(error), code=75)
        self.effects[environment["KUBERNAUT_EXECUTION"]] += 1
        match does:
            case "linger":
                await start.terminated.wait()
                return ScriptResult(143)
            case "hold":
                await self.go.wait()
            case "fail":
                return _said("yes", "failed", "Broken", code=70)
            case "fail-once" if attempt == 1:
                return _said("yes", "failed", "Broken", code=70)
            case "die":
                return ScriptResult(137)
            case "leak":
                return _said(
                    "yes", "failed", "Broken", f"password={SECRET} is wrong", 70, outputs={"text": SECRET}
                )
            case "overflow":
                return await self._overflow(environment)
            case "deep":
                deep = '{"a":' * 300 + "1" + "}" * 300
                said = _said("yes", "succeeded", "", outputs={"text": "DEEP"})
                return ScriptResult(0, termination_message=said.termination_message.replace('"DEEP"', deep))
            case "deep-print":
                return ScriptResult(0, log='{"text": ' + "[" * 5000 + "]" * 5000 + "}\n")
            case "deep-overflow":
                return await self._overflow(environment, '{"text": ' + "[" * 5000 + "]" * 5000 + "}")
            case "print":
                return ScriptResult(0, log='working\n{"value": 7, "text": "printed"}\n')
            case _:
                pass
        outputs = {"value": attempt, "text": f"attempt {attempt}"}
        return _said("yes", "succeeded", "", outputs=outputs)

    async def _overflow(self, environment: Mapping[str, str], written: str = "") -> ScriptResult:
        """Outputs too large for the termination message, as the runner hands them over."""
        execution = self.cluster.store.get(EXECUTIONS, environment["KUBERNAUT_EXECUTION"], NAMESPACE)
        name, meta = environment["KUBERNAUT_OVERFLOW"], execution["metadata"]
        owner = {k: execution[k] for k in ("apiVersion", "kind")} | {k: meta[k] for k in ("name", "uid")}
        outputs = {"value": 41, "text": "x" * 5000}
        body = {
            "metadata": {"name": name, "ownerReferences": [owner]},
            "data": {"outputs.json": written or json.dumps(outputs)},
        }
        await self.runner.create(kinds.CONFIG_MAPS, body, NAMESPACE)
        return _said("yes", "succeeded", "", overflow=name)


def inputs_of(start: ScriptStart) -> Json:
    """What the action was given, in the variable or in the file."""
    environment = start.environment
    if "ACTION_INPUTS" in environment:
        found: Json = json.loads(environment["ACTION_INPUTS"])
        return found
    mount, _, file = environment["ACTION_INPUTS_FILE"].rpartition("/")
    read: Json = json.loads((start.files[mount] / file).read_text())
    return read


def steps_of(workflow: Json) -> dict[str, Json]:
    return {record["name"]: record for record in workflow.get("status", {}).get("steps", [])}


def step(name: str, does: str = "succeed", *after: str, **more: Any) -> Json:
    inputs = {"does": does, **more.pop("inputs", {})}
    body: Json = {"name": name, "actionType": more.pop("type", "test/script"), "inputs": inputs, **more}
    return {**body, "runAfter": list(after)} if after else body


@asynccontextmanager
async def open_bench(
    folder: Path, losses: LossSettings = _DEFAULT_LOSSES, real: Clock | None = None, **settings: Any
) -> AsyncGenerator[Bench]:
    """`real` is what time passes by; without one, the machine's."""
    clock = ShiftedClock(real or SystemClock())
    machinery = Machinery(folder, losses=losses)
    # Images without a fence run here without an approval: what becomes of them is what most tests are about.
    limits = Limits(unfenced_needs_approval=False)
    wanted = ControllerSettings(**{"qps": 1000, "burst": 1000, "limits": limits, **settings})
    async with DevCluster(folder, clock=clock, hooks=[machinery]) as cluster:
        admin = Cluster.connect(kubeconfig=folder / "kubeconfig", user="admin")
        runner = Cluster.connect(kubeconfig=folder / "kubeconfig", user="runner", clock=clock)
        async with admin, runner:
            bench = Bench(cluster, machinery.node, clock, admin, runner, wanted)
            for image in (IMAGE, UNFENCED_IMAGE):
                bench.node.scripted.register(image, bench.play)
            await _install(admin)
            yield bench


async def _install(admin: Cluster) -> None:
    for definition in custom_resource_definitions():
        await admin.create(kinds.CUSTOM_RESOURCE_DEFINITIONS, definition)
    await admin.create(kinds.NAMESPACES, {"metadata": {"name": NAMESPACE}})
    for action_type, image, promises in (
        ("test/script", IMAGE, {"fenced": True}),
        ("test/idempotent", IMAGE, {"fenced": True, "idempotent": True}),
        ("test/plain", UNFENCED_IMAGE, {}),
    ):
        await _define(admin, action_type, image, promises)


async def _define(admin: Cluster, action_type: str, image: str, promises: Json) -> None:
    inputs = [
        {"name": "does", "type": "string"},
        {"name": "from", "type": "integer"},
        {"name": "text", "type": "string"},
        {"name": "token", "type": "string", "secret": True},
    ]
    outputs = [{"name": "value", "type": "integer"}, {"name": "text", "type": "string"}]
    spec = {
        "actionType": action_type,
        "image": image,
        "version": "1.0.0",
        "serviceAccountName": "default",
        "contract": {"inputs": inputs, "outputs": outputs, **promises},
    }
    body = {"metadata": {"name": action_type.replace("/", "-")}, "spec": spec}
    await admin.create(kinds.ACTION_DEFINITIONS, body)


def _runner(environment: Any) -> RunnerEnvironment:
    return RunnerEnvironment.parse(environment)


def _said(executed: str, outcome: str, reason: str, message: str = "", code: int = 0, **more: Any) -> ScriptResult:
    said = {"v": 1, "executed": executed, "outcome": outcome, "reason": reason, "message": message, **more}
    return ScriptResult(code, termination_message=json.dumps(said))


def _stamp(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
