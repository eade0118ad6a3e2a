"""Events under load: at a modest rate, warnings first, none told twice."""

from typing import cast

from kubernaut.api.action import ActionExecution, ActionPhase, ActionSpec, ActionStatus
from kubernaut.api.contract import ContractSpec
from kubernaut.api.meta import ObjectMeta
from kubernaut.cluster import AlreadyExists, Cluster, Json, ResourceKind
from kubernaut.concurrency import Supervisor, VirtualClock
from kubernaut.controllers.recorder import Recorder
from kubernaut.telemetry.metrics import Metrics


class Ledger:
    """Keeps what is created, by name as an API server does."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.kept: dict[str, tuple[float, str]] = {}

    async def create(self, _kind: ResourceKind, body: Json, _namespace: str) -> Json:
        if body["metadata"]["name"] in self.kept:
            raise AlreadyExists("there already")
        self.kept[body["metadata"]["name"]] = (self.clock.monotonic(), body["type"])
        return body


def _execution(number: int) -> ActionExecution:
    meta = ObjectMeta(name=f"run-{number}", namespace="n", uid=f"uid-{number}")
    image = "registry.example/act@sha256:" + "0" * 64
    return ActionExecution(metadata=meta, spec=ActionSpec(action_type="a/b", image=image, contract=ContractSpec()))


async def test_a_flood_of_events_is_spread_over_time_and_its_warnings_are_told_first() -> None:
    clock = VirtualClock()
    ledger = Ledger(clock)
    recorder = Recorder(cast(Cluster, ledger), clock, Metrics())
    async with Supervisor() as tasks:
        for number in range(300):
            recorder.action_started(_execution(number), 1)
        failed = ActionStatus(phase=ActionPhase.FAILED, reason="Broken", message="broken")
        for _ in range(2):
            recorder.action_moved(_execution(1), failed)
        tasks.start("events", recorder.run(), eternal=True)
        began = clock.monotonic()
        await clock.sleep(60)
        tasks.stop()
    told = list(ledger.kept.values())
    assert [kind for _, kind in told[:2]] == ["Warning", "Normal"], "the warning waited behind the flood"
    assert len(told) == 301, "something was lost, or told twice"
    at_once = sum(1 for moment, _ in told if moment == began)
    assert at_once <= 100, "the API server got all of them at once"
    assert told[-1][0] - began <= 11
