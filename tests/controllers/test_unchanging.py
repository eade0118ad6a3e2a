"""What was asked stays as it was asked: the API server refuses every change of it, but takes further requests."""

from typing import Any

import pytest

from controllers.bench import NAMESPACE, Bench, step
from controllers.test_door import submit_alone
from kubernaut.cluster import Invalid, kinds

ASKED: dict[str, Any] = {
    "workflowType": "test",
    "reason": "because",
    "targetResource": {"name": "a"},
    "remediationRequestRef": {"name": "a"},
    "requiresApproval": True,
    "engine": "job",
    "parallelism": 2,
    "timeout": "10m",
    "rollbackStrategy": "none",
    "parameters": {"x": 1, "y": {"z": [1, 2]}},
    "priority": 3,
    "retryOf": {"name": "before"},
    "rollbackOf": {"name": "before"},
    "requester": {"username": "ann"},
    "finally": [step("last")],
}
OTHER: dict[str, Any] = {
    "workflowType": "other",
    "reason": "other",
    "targetResource": {"name": "b"},
    "remediationRequestRef": {"namespace": "b"},
    "requiresApproval": False,
    "engine": "auto",
    "parallelism": 3,
    "timeout": "20m",
    "rollbackStrategy": "manual",
    "parameters": {"y": {"z": [1, 3]}},
    "priority": 4,
    "retryOf": {"uid": "u"},
    "rollbackOf": {"fromStep": "only"},
    "requester": {"username": "bob"},
    "finally": [step("last", "fail")],
    "steps": [step("only", "fail")],
}


@pytest.mark.parametrize("field", OTHER)
async def test_nothing_that_was_judged_can_be_changed(bench: Bench, field: str) -> None:
    await bench.submit("run", [step("only")], **ASKED)
    for value in (OTHER[field], None):
        with pytest.raises(Invalid, match=f"{field} cannot be changed|Required value"):
            await bench.admin.patch(kinds.WORKFLOW_EXECUTIONS, "run", NAMESPACE, {"spec": {field: value}}, "merge")


@pytest.mark.parametrize("parameters", [{"x": 2}, {"more": 1}, {"x": None}, {"y": {"z": [2, 1]}}])
async def test_no_parameter_can_be_changed_added_or_taken_away(bench: Bench, parameters: dict[str, Any]) -> None:
    await bench.submit("run", [step("only")], **ASKED)
    body = {"spec": {"parameters": parameters}}
    with pytest.raises(Invalid, match="parameters cannot be changed"):
        await bench.admin.patch(kinds.WORKFLOW_EXECUTIONS, "run", NAMESPACE, body, "merge")


async def test_requests_can_be_added_and_nothing_else_is_done_to_them(bench: Bench) -> None:
    await bench.submit("run", [step("only")], **ASKED)
    for kind in ("suspend", "resume", "cancel", "abort"):
        await bench.ask("run", kind)
    kept = bench.get("run")["spec"]["requests"]
    assert [request["type"] for request in kept] == ["suspend", "resume", "cancel", "abort"]
    for changed in (kept[:2], [], None, [{**kept[0], "type": "cancel"}, *kept[1:]]):
        body = {"spec": {"requests": changed}}
        with pytest.raises(Invalid, match="requests can be added"):
            await bench.admin.patch(kinds.WORKFLOW_EXECUTIONS, "run", NAMESPACE, body, "merge")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("inputs", {"does": "fail"}),
        ("imageVerification", {"policy": "warn"}),
        ("targetResource", {"name": "b"}),
        ("correlationId", "b"),
        ("cluster", "b"),
        ("timeout", "1m"),
        ("contract", {"idempotent": True}),
    ],
)
async def test_nothing_of_an_action_can_be_changed_but_that_it_shall_stop(
    bench: Bench, field: str, value: Any
) -> None:
    await submit_alone(bench, "alone", inputs={"does": "succeed"})
    with pytest.raises(Invalid, match=f"{field} cannot be changed"):
        await bench.admin.patch(kinds.ACTION_EXECUTIONS, "alone", NAMESPACE, {"spec": {field: value}}, "merge")
    stop = {"spec": {"stop": {"reason": "Cancelled", "at": "2026-01-01T00:00:00Z"}}}
    await bench.admin.patch(kinds.ACTION_EXECUTIONS, "alone", NAMESPACE, stop, "merge")
