"""An embedded cluster whose actions are scripted, and a controller that can be killed at any write.

The API server, the workload controllers and the node are the real ones of the embedded cluster; only the program
inside the action container is a coroutine instead of a process, so that hundreds of runs fit a minute. It takes
the fence exactly as the runner does, by the runner's own code, and its effects are counted.
"""

import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from kubernaut.api.crd import custom_resource_definitions
from kubernaut.cluster import Cluster, Json, NotFound, Write, kinds
from kubernaut.concurrency import Clock, Supervisor, SystemClock
from kubernaut.controllers.controller import Controller, ControllerSettings
from kubernaut.devcluster.cluster import DevCluster
from kubernaut.devcluster.node import Node
from kubernaut.devcluster.node.machinery import Machinery
from kubernaut.devcluster.node.scripted import ScriptResult, ScriptStart
from kubernaut.sdk.environment import RunnerEnvironment
from kubernaut.sdk.errors import FenceHeld
from kubernaut.sdk.fence import take_fence

NAMESPACE = "kubernaut-workflows"
IMAGE = "registry.example/test@sha256:" + "a" * 64
UNFENCED_IMAGE = "registry.example/plain@sha256:" + "b" * 64
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
    settings: ControllerSettings
    effects: Counter[str] = field(default_factory=Counter[str])
    """How often the action of an ActionExecution changed the world, by its name."""
    release: dict[str, Any] = field(default_factory=dict[str, Any])

    async def submit(self, name: str, steps: list[Json], **spec: Any) -> Json:
        body = {
            "apiVersion": "workflowexecution.kubernaut.ai/v1alpha1",
            "kind": "WorkflowExecution",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"steps": steps, **spec},
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
        return self.cluster.store.get("workflowexecutions.workflowexecution.kubernaut.ai", name, NAMESPACE)

    def executions(self, name: str) -> dict[str, Json]:
        """By step."""
        found = self.cluster.store.list("actionexecutions.execution.kubernaut.ai", NAMESPACE).items
        return {e["spec"]["step"]: e for e in found if (e["spec"].get("workflowRef") or {}).get("name") == name}

    async def until(self, name: str, holds: Callable[[Json], Any]) -> Json:
        kind = "workflowexecutions.workflowexecution.kubernaut.ai"
        async with self.cluster.store.watch(kind, namespace=NAMESPACE, initial=True) as changes:
            async for change in changes:
                found = change.object
                if found["metadata"]["name"] == name and change.type != "DELETED" and holds(found):
                    return found
        raise AssertionError("the watch ended")

    async def until_ended(self, name: str) -> Json:
        return await self.until(name, lambda w: w.get("status", {}).get("phase") in ENDED)

    async def until_phase(self, name: str, phase: str) -> Json:
        return await self.until(name, lambda w: w.get("status", {}).get("phase") == phase)

    async def until_step(self, name: str, step: str, *phases: str) -> Json:
        def holds(workflow: Json) -> bool:
            return steps_of(workflow).get(step, {}).get("phase") in phases

        return await self.until(name, holds)

    @asynccontextmanager
    async def controller(self, *hooks: Callable[[Literal["before", "after"], Write], None]) -> AsyncGenerator[Controller]:
        """A controller at work; leaving the block ends it in good order."""
        async with self.client("controller") as cluster:
            for hook in hooks:
                cluster.on_write(hook)
            controller = Controller(cluster, self.settings, self.clock)
            async with Supervisor() as supervisor:
                supervisor.start("controller", controller.run())
                await controller.working.wait()
                try:
                    yield controller
                finally:
                    controller.stop()

    def client(self, user: str) -> Cluster:
        token = self.cluster.token_of(user, ["system:masters"])
        path = self.cluster.folder
        assert path is not None
        kubeconfig = path / f"{user}.kubeconfig"
        kubeconfig.write_text(self.cluster.kubeconfig_of(token))
        return Cluster.connect(kubeconfig=kubeconfig, user=user)

    async def play(self, start: ScriptStart) -> ScriptResult:
        """The program of every test action; `inputs.does` says what becomes of it."""
        environment = start.environment
        does = json.loads(environment["ACTION_INPUTS"]).get("does", "succeed")
        attempt = int(environment["KUBERNAUT_ATTEMPT"])
        if does == "refuse" or (does == "refuse-once" and attempt == 1):
            return _said("no", "failed", "DryRunRefused", code=65)
        if does == "wait":
            await start.terminated.wait()
            return _said("no", "failed", "Interrupted", code=143)
        if "KUBERNAUT_LEASE" in environment:
            try:
                await take_fence(self.admin, _runner(environment), "test", self.clock)
            except FenceHeld as error:
                return _said("no", "failed", "AlreadyRunning", str(error), code=75)
        self.effects[environment["KUBERNAUT_EXECUTION"]] += 1
        if does == "linger":
            await start.terminated.wait()
            return ScriptResult(143)
        if does == "fail":
            return _said("yes", "failed", "Broken", code=70)
        if does == "die":
            return ScriptResult(137)
        return _said("yes", "succeeded", "", outputs={"value": attempt, "text": f"attempt {attempt}"})


def steps_of(workflow: Json) -> dict[str, Json]:
    return {record["name"]: record for record in workflow.get("status", {}).get("steps", [])}


def step(name: str, does: str = "succeed", *after: str, **more: Any) -> Json:
    body: Json = {"name": name, "actionType": more.pop("type", "test/script"), "inputs": {"does": does}, **more}
    return {**body, "runAfter": list(after)} if after else body


@asynccontextmanager
async def open_bench(folder: Path, **settings: Any) -> AsyncGenerator[Bench]:
    clock = ShiftedClock()
    machinery = Machinery(folder)
    async with DevCluster(folder, clock=clock, hooks=[machinery]) as cluster:
        async with Cluster.connect(kubeconfig=folder / "kubeconfig", user="admin") as admin:
            wanted = {"qps": 1000, "burst": 1000, **settings}
            bench = Bench(cluster, machinery.node, clock, admin, ControllerSettings(**wanted))
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
    inputs = [{"name": "does", "type": "string"}, {"name": "from", "type": "integer"}]
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
