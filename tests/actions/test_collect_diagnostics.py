import json
from pathlib import Path

import pytest

from action_worlds import TARGETS, ActionWorld
from kubernaut.actions.collect_diagnostics import collect_diagnostics, label_selector
from kubernaut.cluster import kinds

pytestmark = pytest.mark.journey

INPUTS = {"namespace": TARGETS, "deployment": "payment"}


async def warn(world: ActionWorld, about: str, message: str) -> None:
    body = {
        "metadata": {"generateName": "event-"},
        "involvedObject": {"kind": "Pod", "namespace": TARGETS, "name": about},
        "type": "Warning",
        "reason": "BackOff",
        "message": message,
        "lastTimestamp": "2026-01-02T03:04:05Z",
    }
    await world.admin.create(kinds.EVENTS, body, TARGETS)


async def test_diagnostics_are_counted_told_and_written_into_the_workspace_without_secrets(
    world: ActionWorld, tmp_path: Path
) -> None:
    await world.deploy(replicas=2)
    await world.settled()
    await world.deploy("cart", replicas=1)
    pod = (await world.admin.list(kinds.PODS, TARGETS, label_selector="app=payment")).items[0]
    await warn(world, pod["metadata"]["name"], "restarting, password=hunter2-and-more")
    await warn(world, "somebody-else", "not ours")
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    ran = await world.run(collect_diagnostics, INPUTS, fenced=False, WORKSPACE_PATH=str(workspace))
    assert ran.code == 0, ran.err
    assert (ran.outputs["pods"], ran.outputs["readyPods"]) == (2, 2)
    assert ran.outputs["warnings"] == ["BackOff: restarting, password=[REDACTED]"]
    assert ran.outputs["summary"] == "Deployment payment: rolled out and available"
    text = (workspace / ran.outputs["report"]).read_text()
    assert "hunter2" not in text
    report = json.loads(text)
    assert report["deployment"]["metadata"]["name"] == "payment"
    assert (len(report["pods"]), len(report["events"]) >= 1, len(report["logs"])) == (2, True, 2)
    assert ran.message["executed"] == "no"
    assert world.writes() == []


async def test_without_a_workspace_the_outputs_are_all(world: ActionWorld) -> None:
    await world.deploy(replicas=1)
    await world.settled()
    ran = await world.run(collect_diagnostics, {**INPUTS, "includeLogs": False}, fenced=False)
    assert ran.code == 0, ran.err
    assert ran.outputs["report"] == ""


def test_every_form_of_a_selector_is_understood() -> None:
    expressions = [
        {"key": "a", "operator": "In", "values": ["x", "y"]},
        {"key": "b", "operator": "NotIn", "values": ["z"]},
        {"key": "c", "operator": "Exists"},
        {"key": "d", "operator": "DoesNotExist"},
    ]
    selector = {"matchLabels": {"n": "1", "m": "2"}, "matchExpressions": expressions}
    assert label_selector(selector) == "m=2,n=1,a in (x,y),b notin (z),c,!d"
