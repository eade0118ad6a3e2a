"""Pictures of executions, and the order of lists."""

from datetime import UTC, datetime
from typing import Any

import pytest

from kubernaut.cli.advice import next_commands, why
from kubernaut.cli.drawing import places_of, workflow_picture
from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.overview import table
from kubernaut.cli.sorting import sorted_by

NOW = datetime(2026, 1, 2, 3, 5, 0, tzinfo=UTC)
START = "2026-01-02T03:04:00Z"


def workflow(after: dict[str, list[str]], last: tuple[str, ...] = (), **status: Any) -> dict[str, Any]:
    def step(name: str) -> dict[str, Any]:
        return {"name": name, "actionType": "kubernetes/restart_pod", "runAfter": after.get(name, [])}

    return {
        "apiVersion": "workflowexecution.kubernaut.ai/v1alpha1",
        "kind": "WorkflowExecution",
        "metadata": {"name": "w", "namespace": "kubernaut-workflows", "uid": "1"},
        "spec": {"steps": [step(name) for name in after], "finally": [step(name) for name in last]},
        "status": status,
    }


def drawn(found: dict[str, Any], height: int = 50, *, plain: bool = False) -> list[str]:
    lines = workflow_picture(found, places_of(found), NOW, height, plain=plain)
    return ["".join(cell.text for cell in line).rstrip() for line in lines]


def test_a_chain_goes_straight_down_and_branches_are_seen() -> None:
    found = workflow({"a": [], "b": ["a"], "c": ["b"], "d": ["b"], "e": ["c", "d"]}, last=("f",))
    assert [line.partition("Pending")[0].rstrip() for line in drawn(found)[1:]] == [
        "  ○ a",
        "  ○ b",
        "  ├─ ○ c",
        "  └─ ○ d",
        "     ○ e",
        "  ○ f",
    ]
    assert drawn(found)[5].endswith("also after c")


def test_states_and_durations_are_told_where_they_are_known() -> None:
    found = workflow(
        {"a": [], "b": ["a"]},
        phase="Running",
        progress="1/2",
        startedAt=START,
        steps=[
            {"name": "a", "phase": "Succeeded", "startedAt": START, "completedAt": "2026-01-02T03:04:02Z"},
            {
                "name": "b",
                "phase": "Running",
                "startedAt": "2026-01-02T03:04:30Z",
                "attempts": 2,
                "reason": "Waiting",
            },
        ],
    )
    assert drawn(found) == [
        "w  Running  1/2  1m",
        "  ✓ a  Succeeded       2.0s",
        "  ● b  Running          30s  attempt 2  Waiting",
    ]
    assert drawn(found, plain=True)[1:] == [line.replace("✓", "+").replace("●", "*") for line in drawn(found)[1:]]


def test_where_not_every_step_fits_those_in_motion_stay() -> None:
    names = [f"s{number}" for number in range(100)]
    steps = [{"name": name, "phase": "Succeeded"} for name in names]
    steps[70]["phase"] = "Running"
    steps[80]["phase"] = "Failed"
    lines = drawn(workflow({name: [] for name in names}, phase="Running", steps=steps), height=6)
    assert len(lines) <= 6
    assert any("● s70" in line for line in lines)
    assert any("✗ s80" in line for line in lines)
    assert lines[-1].strip() == "and 97 Succeeded"


@pytest.mark.timeout(10)
def test_a_chain_of_500_steps_is_laid_out_without_recursion() -> None:
    names = [f"s{number}" for number in range(500)]
    after = {name: [names[number - 1]] if number else [] for number, name in enumerate(names)}
    assert len(places_of(workflow(after))) == 500


def test_people_are_told_the_next_command() -> None:
    unknown = workflow(
        {"a": []}, phase="Indeterminate", steps=[{"name": "a", "phase": "Indeterminate", "completedAt": START}]
    )
    assert [one.command for one in next_commands(unknown)] == ["kubernaut resolve w --step a"]
    unknown["spec"]["requests"] = [{"type": "resolve", "step": "a", "outcome": "failed", "at": START}]
    assert next_commands(unknown) == []
    failed = workflow(
        {"a": []},
        phase="Failed",
        message="a: Boom: it broke",
        completedAt=START,
        steps=[{"name": "a", "phase": "Failed", "reason": "Boom", "message": "it broke"}],
    )
    failed["metadata"]["namespace"] = "elsewhere"
    assert [one.command for one in next_commands(failed)] == [
        "kubernaut logs w --step a -n elsewhere",
        "kubernaut retry w -n elsewhere",
    ]
    assert why(failed) == ["a: Boom: it broke"]
    held = workflow({"a": []}, phase="Running")
    held["spec"]["requests"] = [{"type": "suspend"}]
    assert next_commands(held)[0].command == "kubernaut resume w"
    refused = workflow({"a": []}, phase="Failed", reason="Refused", completedAt=START)
    assert next_commands(refused)[0].command == "kubernaut lint FILE"


def test_the_table_of_all_fits_its_height_with_those_that_want_a_person_first() -> None:
    found = [workflow({"a": []}, phase="Completed", progress="1/1") for _ in range(500)]
    for number, one in enumerate(found):
        one["metadata"] |= {"name": f"w{number}", "creationTimestamp": START}
    found[400]["status"]["phase"] = "Indeterminate"
    found[300]["status"]["phase"] = "Running"
    lines = ["".join(cell.text for cell in line).rstrip() for line in table(found, "namespace n", NOW, 20)]
    assert len(lines) <= 20
    assert lines[0] == "namespace n: 498 Completed, 1 Indeterminate, 1 Running"
    assert lines[1].split()[:2] == ["w400", "Indeterminate"]
    assert lines[2].split()[:2] == ["w300", "Running"]
    assert lines[-1] == "and 482 more"


def test_objects_are_sorted_by_any_field_and_a_wrong_one_is_mended() -> None:
    items = [{"metadata": {"name": name}, "status": {"n": n}} for name, n in (("b", 10), ("c", 9), ("a", None))]
    assert [item["metadata"]["name"] for item in sorted_by(items, "{.metadata.name}")] == ["a", "b", "c"]
    assert [item["metadata"]["name"] for item in sorted_by(items, ".status.n")] == ["a", "c", "b"]
    with pytest.raises(CommandFailed) as failure:
        sorted_by(items, ".metadata.nmae")
    assert (failure.value.mend, failure.value.code) == ("Did you mean name?", Exit.USAGE)
