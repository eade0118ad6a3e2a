"""What is read never claims more than was seen, and lets no secret through."""

import json
from typing import Any

import pytest

from kubernaut.engines.job import needs_log, read_fence, read_job

AT = "2026-01-01T00:00:00Z"
COMPLETE = {"type": "Complete", "status": "True"}
FAILED = {"type": "Failed", "status": "True", "reason": "PodFailurePolicy"}
OVERDUE = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "Job was active too long"}
RUNNING: dict[str, Any] = {"state": {"running": {"startedAt": AT}}}
WAITING: dict[str, Any] = {"state": {"waiting": {"reason": "ContainerCreating"}}}


def job(*conditions: dict[str, Any]) -> dict[str, Any]:
    meta = {"name": "j", "namespace": "n", "uid": "j-1"}
    return {"metadata": meta, "spec": {}, "status": {"startTime": AT, "conditions": list(conditions)}}


def pod(name: str = "p", at: str = AT, **container: Any) -> dict[str, Any]:
    statuses = [{"name": "action", **container}] if container else []
    meta = {"name": name, "namespace": "n", "uid": f"uid-{name}", "creationTimestamp": at}
    return {"metadata": meta, "status": {"containerStatuses": statuses}}


def ended(code: int, message: str = "", started: str | None = AT) -> dict[str, Any]:
    said = {"exitCode": code, "reason": "Error", "message": message, "startedAt": started, "finishedAt": AT}
    return {"state": {"terminated": said}}


def message(**said: Any) -> str:
    return json.dumps({"v": 1, **said})


def test_a_condition_that_is_false_says_nothing() -> None:
    for condition in (COMPLETE, FAILED):
        assert read_job(job(condition | {"status": "False"}), [], []).state == "active"


@pytest.mark.parametrize(
    ("pods", "started"),
    [
        ([], None),
        ([pod()], False),
        ([pod(**WAITING)], False),
        ([pod(**ended(128, started=None))], False),
        ([pod(**ended(1))], True),
        ([pod(**RUNNING)], True),
        ([pod(**WAITING, lastState={"terminated": {"exitCode": 1}})], True),
        ([pod("a", **WAITING), pod("b", **RUNNING)], True),
    ],
    ids=["no pod left", "no status", "waiting", "ended unstarted", "ended", "running", "restarted", "one of two"],
)
def test_that_nothing_started_is_said_only_of_pods_that_are_seen(
    pods: list[dict[str, Any]], started: bool | None
) -> None:
    assert read_job(job(FAILED), pods, []).container_started is started


def test_an_image_that_may_never_be_pulled_is_hopeless() -> None:
    waiting = {"state": {"waiting": {"reason": "ErrImageNeverPull"}}}
    facts = read_job(job(), [pod(**waiting)], [])
    assert facts.waiting is not None
    assert (facts.waiting.reason, facts.is_hopeless) == ("ImagePullFailed", True)


def test_a_deadline_stays_one_whatever_the_killed_container_says() -> None:
    assert read_job(job(OVERDUE), [pod(**ended(143))], []).reason == "DeadlineExceeded"


def test_an_unmet_precondition_has_its_reason() -> None:
    assert read_job(job(FAILED), [pod(**ended(66))], []).reason == "PreconditionFailed"


def test_the_youngest_pod_tells_and_is_named() -> None:
    old = pod("old", "2026-01-01T00:00:00Z", **ended(1, message(executed="no")))
    young = pod("young", "2026-01-01T00:00:09Z", **ended(1, message(executed="yes")))
    for pods in ([old, young], [young, old]):
        outcome = read_job(job(FAILED), pods, []).outcome
        assert outcome is not None
        assert (outcome.pod, outcome.executed) == ("uid-young", "yes")


def test_a_job_that_goes_on_has_no_outcome_and_one_that_ended_waits_for_nothing() -> None:
    assert read_job(job(), [pod(**ended(0, message(executed="yes")))], []).outcome is None
    pulling = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "because"}}}
    assert read_job(job(OVERDUE), [pod(**pulling)], []).waiting is None


@pytest.mark.parametrize(
    ("spec", "holder", "attempt"),
    [
        ({"leaseTransitions": 1}, "", 1),
        ({"leaseTransitions": 2, "holderIdentity": "p-1/x"}, "p-1/x", 2),
        ({"holderIdentity": None}, "", 0),
    ],
)
def test_a_fence_is_read_as_it_stands(spec: dict[str, Any], holder: str, attempt: int) -> None:
    fence = read_fence({"metadata": {"name": "f", "uid": "u", "resourceVersion": "7"}, "spec": spec})
    assert (fence.uid, fence.resource_version, fence.holder, fence.attempt) == ("u", "7", holder, attempt)


def test_a_volume_that_came_in_the_end_is_no_obstacle() -> None:
    event = {"reason": "FailedMount", "message": 'secret "db" not found', "lastTimestamp": AT}
    assert read_job(job(), [pod(**RUNNING)], [event]).waiting is None


def test_no_secret_passes_in_any_field_of_a_result() -> None:
    secret = "hunter2-hunter2"
    said = message(
        executed="yes",
        outputs={"password": secret},
        rollback={"note": f"password={secret}"},
        changes=[{"kind": "Secret", "name": "s", "before": {"token": secret}, "after": {"token": secret}}],
    )
    outcome = read_job(job(COMPLETE), [pod(**ended(0, said))], []).outcome
    assert outcome is not None
    assert outcome.changes
    assert secret not in repr(outcome)
    pulling = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": f"GET /?token={secret}: 401"}}}
    waiting = read_job(job(), [pod(**pulling)], []).waiting
    assert waiting is not None
    assert secret not in waiting.message


def test_the_last_rollback_line_is_the_way_back() -> None:
    log = 'ROLLBACK_INFO: {"replicas": 1}\nagain\nROLLBACK_INFO: {"replicas": 2}\n{"n": 1}\n'
    outcome = read_job(job(COMPLETE), [pod(**ended(0))], [], log).outcome
    assert outcome is not None
    assert outcome.rollback == {"replicas": 2}


def test_a_message_of_another_version_is_not_believed() -> None:
    said = json.dumps({"v": 2, "executed": "no"})
    outcome = read_job(job(FAILED), [pod(**ended(70, said))], []).outcome
    assert outcome is not None
    assert outcome.executed is None


def test_the_log_of_a_failure_is_always_wanted_and_that_of_a_told_success_never() -> None:
    told = pod(**ended(1, message(executed="yes")))
    assert needs_log(read_job(job(FAILED), [told], []), [told]) == "p"
    assert needs_log(read_job(job(COMPLETE), [told], []), [told]) is None
    assert needs_log(read_job(job(), [told], []), [told]) is None
