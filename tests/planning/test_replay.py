"""Recordings keep what was decided, and replaying shows what is decided otherwise: that, and nothing else."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from kubernaut.planning.recording import (
    FORMAT,
    About,
    Facts,
    Lines,
    Recorded,
    Recording,
    RecordingInvalid,
    decide_on,
    facts_from_wire,
    facts_to_wire,
    read_recording,
    turn_to_wire,
)
from kubernaut.planning.replay import Changed, replay
from kubernaut.planning.telling import differences
from kubernaut.planning.turns import StartJob, Turn, WriteActionStatus

GOLDEN = Path(__file__).parents[1] / "golden" / "recordings"
STORIES = sorted(path.stem for path in GOLDEN.glob("*.jsonl"))


def lines_of(story: str) -> list[str]:
    return (GOLDEN / f"{story}.jsonl").read_text().splitlines()


def read(story: str) -> Recording:
    return read_recording(lines_of(story))


def decided(facts: Facts) -> dict[str, Any]:
    return turn_to_wire(decide_on(facts))


def all_turns() -> Iterator[tuple[str, Recorded]]:
    for story in STORIES:
        for one in read(story).turns:
            yield story, one


# -- what is kept is what was there ----------------------------------------------------------------


def test_facts_come_back_as_they_were() -> None:
    for story, one in all_turns():
        facts = facts_from_wire(one.of, one.facts)
        again = facts_from_wire(one.of, facts_to_wire(facts))
        assert again == facts, (story, one.turn)


def test_a_recording_that_is_written_again_is_the_same() -> None:
    for story in STORIES:
        found, lines = read(story), Lines()
        written = [lines.first(found.about)]
        for one in found.turns:
            written += lines.turn(one)
        assert read_recording([*written, lines.last(found.end.end)]) == found


# -- what has changed is shown ---------------------------------------------------------------------


def turns_of(changed: list[Changed]) -> set[int]:
    return {one.turn for one in changed}


@pytest.mark.parametrize("story", STORIES)
def test_a_planner_that_never_starts_a_job_is_seen_in_each_turn_that_started_one(
    story: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = decide_on

    def broken(facts: Facts) -> Turn[Any]:
        turn = today(facts)
        return Turn(tuple(c for c in turn.changes if not isinstance(c, StartJob)), turn.look_again_at, turn.queued)

    found = read(story)
    started = {one.turn for one in found.turns if "StartJob" in {c["change"] for c in one.decided["changes"]}}
    monkeypatch.setattr("kubernaut.planning.replay.decide_on", broken)
    changed = replay(found)
    assert started
    assert turns_of(changed) == started
    assert all(one.before[0].startswith("gets the Job of attempt") and not one.after for one in changed)


def test_another_word_in_a_status_is_a_changed_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    today = decide_on

    def wordy(facts: Facts) -> Turn[Any]:
        turn = today(facts)
        changes = [
            WriteActionStatus(replace(c.status, message="Hm.")) if isinstance(c, WriteActionStatus) else c
            for c in turn.changes
        ]
        return Turn(tuple(changes), turn.look_again_at, turn.queued)

    found = read("trouble")
    written = {
        one.turn for one in found.turns for c in one.decided["changes"] if c["change"] == "WriteActionStatus"
    }
    monkeypatch.setattr("kubernaut.planning.replay.decide_on", wordy)
    changed = replay(found)
    assert turns_of(changed) == written
    assert all("Hm." in " ".join(one.why) for one in changed)


def test_other_settings_show_what_they_change_and_where() -> None:
    changed = replay(read("trouble"), {"default_parallel": 1})
    first = next(one for one in changed if one.about == "broken")
    assert (first.before, first.after) == (("gets its ActionExecution",), ())
    waiting = next(one for one in changed if one.turn == first.turn and one.about == "the workflow")
    assert waiting.after == ("1 step waits for a place beside those that run",)
    for one in read("trouble").turns:
        if one.turn not in turns_of(changed):
            assert one.decided == decided(_narrow(one))


def _narrow(one: Recorded) -> Facts:
    limits = {**one.facts["limits"], "default_parallel": 1}
    return facts_from_wire(one.of, {**one.facts, "limits": limits})


def test_a_planner_that_fails_on_recorded_facts_is_shown_and_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_: Facts) -> Turn[Any]:
        raise KeyError("nothing")

    monkeypatch.setattr("kubernaut.planning.replay.decide_on", failing)
    found = read("fork")
    changed = replay(found)
    assert turns_of(changed) == {one.turn for one in found.turns}
    assert changed[0].after == ("the planner fails: KeyError: 'nothing'",)


def test_a_condition_that_is_asked_for_only_today_is_shown() -> None:
    found = read("trouble")
    asked = [one for one in found.turns if one.facts.get("verdicts")]
    bare = [replace(one, facts={**one.facts, "verdicts": {}}) for one in asked]
    assert bare
    changed = replay(Recording(found.about, tuple(bare), found.end))
    assert all(
        any(one.after == ("its condition is asked for",) for one in changed if one.turn == b.turn) for b in bare
    )


def test_two_values_differ_where_it_is_said() -> None:
    found = list(differences({"a": [{"b": 1}], "c": 2}, {"a": [{"b": 3}, 4], "c": 2}))
    assert found == ["a[0].b: 1 -> 3", "a[1]: nothing -> 4"]


# -- bad files -------------------------------------------------------------------------------------


def complaint(lines: list[str]) -> str:
    with pytest.raises(RecordingInvalid) as raised:
        replay(read_recording(lines))
    said = str(raised.value)
    assert "\n" not in said
    return said


def test_what_is_no_recording_is_refused() -> None:
    for foreign in ([], ["hello"], ["[]"], ['{"kind": "Pod"}'], ["{" * 5000]):
        assert "no recording of kubernaut" in complaint(foreign)


def test_a_recording_that_is_cut_off_is_refused_wherever_it_is_cut() -> None:
    lines = lines_of("fork")
    for number in range(1, len(lines)):
        assert "middle" in complaint(lines[:number])
    assert "cut off" in complaint([*lines[:3], lines[3][: len(lines[3]) // 2]])
    without_one = [line for line in lines if '"turn":5,' not in line]
    assert len(without_one) == len(lines) - 1
    assert "turns are missing" in complaint(without_one)


def test_a_part_that_is_missing_is_said() -> None:
    lines = [line for line in lines_of("fork") if not line.startswith('{"part":3,')]
    assert "part is missing" in complaint(lines)


def test_a_newer_format_is_named_with_the_program_that_wrote_it() -> None:
    first = json.loads(lines_of("fork")[0]) | {"format": FORMAT + 1, "program": "9.1"}
    said = complaint([json.dumps(first), *lines_of("fork")[1:]])
    assert f"format {FORMAT + 1} by kubernaut 9.1" in said
    assert "bring kubernaut up to date" in said


def test_facts_that_lack_something_are_refused_by_the_turn() -> None:
    found = read("fork")
    first = found.turns[0]
    for facts in ({}, {**first.facts, "workflow": 7}, {k: v for k, v in first.facts.items() if k != "now"}):
        with pytest.raises(RecordingInvalid, match="turn 1"):
            replay(Recording(found.about, (replace(first, facts=facts),), found.end))
    with pytest.raises(RecordingInvalid, match="decision of turn 1"):
        replay(Recording(found.about, (replace(first, decided={"changes": [{}]}),), found.end))


def test_the_first_line_keeps_what_is_told_of_a_run() -> None:
    about = About(name="a", namespace="b", program="1", source="cluster", notes=("late",))
    lines = Lines()
    assert read_recording([lines.first(about), lines.last("gone")]).about == about
