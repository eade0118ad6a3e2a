"""What a controller decides can be saved as it happens, or by somebody who only looks on; secrets never are."""

import asyncio
from typing import Any

import pytest

from controllers.bench import NAMESPACE, SECRET, WORKFLOWS, Bench, step
from kubernaut.cluster import Cluster, Forbidden, Json, kinds
from kubernaut.controllers.shadow import Shadow, has_ended
from kubernaut.controllers.turn_recording import TurnRecording
from kubernaut.planning.recording import About, Facts, Recording, read_recording
from kubernaut.planning.replay import replay
from kubernaut.planning.turns import Turn

pytestmark = pytest.mark.timeout(20)


def decisions(recording: Recording) -> set[tuple[str, str]]:
    """What was decided to be done, without how often it was looked at."""
    return {
        (one.step, change["change"]) if one.of == "ActionExecution" else ("", change["change"])
        for one in recording.turns
        for change in one.decided["changes"]
    }


async def played(bench: Bench, name: str, steps: list[Json], **spec: Any) -> list[str]:
    lines: list[str] = []
    recording = TurnRecording(lines.append, About(name=name))
    async with bench.controller() as controller:
        controller.be_seen_by(recording)
        await bench.submit(name, steps, **spec)
        await bench.until_ended(name)
    recording.end("ended")
    return lines


async def test_a_recorded_run_replays_without_a_difference(bench: Bench) -> None:
    quick = {"limit": 1, "backoff": {"base": "10ms", "cap": "20ms"}}
    recording = read_recording(
        await played(bench, "one", [step("a", "refuse-once", retry=quick), step("b", "fail", "a")])
    )
    assert replay(recording) == []
    assert {("", "WriteWorkflowStatus"), ("a", "StartJob"), ("a", "ArmFence"), ("b", "StartJob")} <= decisions(
        recording
    )
    assert recording.turns[-1].of in ("WorkflowExecution", "ActionExecution")


async def test_the_same_run_with_other_limits_shows_where_they_mattered(bench: Bench) -> None:
    recording = read_recording(await played(bench, "two", [step("a"), step("b")]))
    changed = replay(recording, {"max_parallel": 1})
    starts = {
        one.turn
        for one in recording.turns
        if sum(change["change"] == "CreateExecution" for change in one.decided["changes"]) == 2
    }
    assert starts
    assert starts <= {one.turn for one in changed}
    assert {one.about for one in changed} <= {"a", "b", "the workflow"}


async def test_no_secret_is_in_a_recording(bench: Bench) -> None:
    lines = await played(
        bench,
        "quiet",
        [
            step("tells", "leak", critical=False),
            step("takes", inputs={"text": "$(params.dbPassword)"}),
            step("says", inputs={"text": f"password={SECRET}"}),
        ],
        parameters={"dbPassword": SECRET},
    )
    assert SECRET not in "\n".join(lines)
    recording = read_recording(lines)
    assert replay(recording) == []
    assert not any(one.without_secrets for one in recording.turns)
    # Known under its name in one place, it is taken out where it stands without it, too.
    given = [one.facts["execution"]["spec"]["inputs"] for one in recording.turns if one.step == "takes"]
    assert {each["text"] for each in given} == {"[REDACTED]"}


async def test_without_a_witness_nobody_is_told_anything(bench: Bench) -> None:
    seen: list[object] = []
    async with bench.controller() as controller:
        controller.be_seen_by(lambda facts, _: seen.append(facts))
        await bench.submit("first", [step("a")])
        await bench.until_ended("first")
        controller.be_seen_by(None)
        before = len(seen)
        await bench.submit("second", [step("a")])
        await bench.until_ended("second")
    assert before
    assert len(seen) == before


# -- by looking on ---------------------------------------------------------------------------------


async def look_on(bench: Bench, cluster: Cluster, name: str, begun: asyncio.Event | None = None) -> Recording:
    """`begun` is set once something was seen."""
    lines: list[str] = []
    recording = TurnRecording(lines.append, About(name=name, source="cluster"))

    def see(facts: Facts, turn: Turn[Any]) -> None:
        recording(facts, turn)
        if begun is not None:
            begun.set()

    found = await cluster.get(kinds.WORKFLOW_EXECUTIONS, name, NAMESPACE)
    shadow = Shadow(cluster, bench.settings, found, see)
    await shadow.check()
    recording.end(await shadow.follow())
    return read_recording(lines)


async def test_somebody_who_looks_on_sees_what_the_controller_decides(bench: Bench) -> None:
    own: list[str] = []
    witness = TurnRecording(own.append, About(name="seen"))
    await bench.submit("other", [step("elsewhere")])
    await bench.submit("seen", [step("a"), step("b", "fail", "a", critical=False)])
    async with bench.client("onlooker") as cluster:
        bench.cluster.requests.reset()
        begun = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(look_on(bench, cluster, "seen", begun))
            await begun.wait()
            async with bench.controller() as controller:
                controller.be_seen_by(witness)
                seen = await looking
        assert bench.cluster.requests.writes("onlooker") == []
    witness.end("ended")
    assert replay(seen) == []
    assert {one.name for one in seen.turns if one.of == "WorkflowExecution"} == {"seen"}
    assert {one.step for one in seen.turns} == {"", "a", "b"}
    theirs = {one for one in decisions(read_recording(own)) if one[0] != "elsewhere"}
    # From outside an execution is seen before its fence, which the controller makes in the same turn; and the
    # controller's first turn comes before it has a witness.
    assert decisions(seen) - theirs <= {("", "CreateFence"), ("", "AddFinalizer")}
    assert ("", "WriteWorkflowStatus") in decisions(seen)
    assert seen.end.end == "ended"


async def test_of_a_run_that_has_ended_the_last_turns_are_left(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("past", [step("a"), step("b")])
        ended = await bench.until_ended("past")
    assert has_ended(ended)
    async with bench.client("onlooker") as cluster:
        seen = await look_on(bench, cluster, "past")
    assert sorted((one.of, one.step) for one in seen.turns) == [
        ("ActionExecution", "a"),
        ("ActionExecution", "b"),
        ("WorkflowExecution", ""),
    ]
    assert replay(seen) == []
    records = seen.turns[0].facts["workflow"]["status"]["steps"]
    assert [(record["name"], record["phase"]) for record in records] == [("a", "Succeeded"), ("b", "Succeeded")]


async def test_a_run_that_is_deleted_ends_its_recording(bench: Bench) -> None:
    await bench.submit("gone", [step("a")])
    lines: list[str] = []
    recording = TurnRecording(lines.append, About(name="gone"))

    def delete(facts: Any, turn: Any) -> None:
        recording(facts, turn)
        bench.cluster.store.delete(WORKFLOWS, "gone", NAMESPACE)

    async with bench.client("onlooker") as cluster:
        found = await cluster.get(kinds.WORKFLOW_EXECUTIONS, "gone", NAMESPACE)
        recording.end(await Shadow(cluster, bench.settings, found, delete).follow())
    assert read_recording(lines).end.end == "gone"


async def test_who_may_not_read_everything_is_told_so_before_it_begins(bench: Bench) -> None:
    await bench.submit("kept", [step("a")])
    found = await bench.admin.get(kinds.WORKFLOW_EXECUTIONS, "kept", NAMESPACE)
    path = bench.cluster.folder
    assert path is not None
    (path / "nobody").write_text(bench.cluster.kubeconfig_of(bench.cluster.token_of("nobody")))
    async with Cluster.connect(path / "nobody") as cluster:
        with pytest.raises(Forbidden, match="workflowexecutions"):
            await Shadow(cluster, bench.settings, found, lambda _facts, _turn: None).check()
