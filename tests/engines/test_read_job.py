"""Every way in which an attempt ends has a reason of its own, and never claims more than was seen."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from kubernaut.api import names
from kubernaut.engines.job import needs_log, read_job
from kubernaut.engines.job.outcome import outcome_of

AT = "2026-01-01T00:00:00Z"


def job(*conditions: tuple[str, str], **spec: Any) -> dict[str, Any]:
    said = [
        {"type": kind, "status": "True", "reason": reason, "message": f"{reason} said", "lastTransitionTime": AT}
        for kind, reason in conditions
    ]
    return {
        "metadata": {"name": "j", "namespace": "n", "uid": "j-1"},
        "spec": spec,
        "status": {"startTime": AT, "conditions": said},
    }


def pod(state: dict[str, Any] | None = None, *conditions: dict[str, Any], **status: Any) -> dict[str, Any]:
    statuses = [{"name": "action", "state": state}] if state else []
    return {
        "metadata": {"name": "p", "namespace": "n", "uid": "p-1", "creationTimestamp": AT},
        "status": {"containerStatuses": statuses, "conditions": list(conditions), **status},
    }


def ended(code: int, message: str = "", reason: str = "Error") -> dict[str, Any]:
    ending = {"exitCode": code, "reason": reason, "message": message, "startedAt": AT, "finishedAt": AT}
    return {"terminated": ending}


FAILED = ("Failed", "PodFailurePolicy")
DISRUPTED = {"type": "DisruptionTarget", "status": "True", "message": "bye"}


@pytest.mark.parametrize(
    ("the_job", "the_pod", "reason"),
    [
        (job(FAILED), pod(ended(1)), "Error"),
        (job(FAILED), pod(ended(64)), "InvalidInputs"),
        (job(FAILED), pod(ended(65)), "DryRunRefused"),
        (job(FAILED), pod(ended(75)), "AlreadyRunning"),
        (job(FAILED), pod(ended(137, reason="OOMKilled")), "OOMKilled"),
        (job(FAILED), pod(ended(143), DISRUPTED | {"reason": "EvictionByEvictionAPI"}), "Evicted"),
        (job(FAILED), pod(None, DISRUPTED | {"reason": "DeletionByTaintManager"}), "NodeLost"),
        (job(FAILED), pod(None, reason="Evicted", message="disk"), "Evicted"),
        (job(("Failed", "DeadlineExceeded")), None, "DeadlineExceeded"),
        (job(("Failed", "BackoffLimitExceeded")), None, "BackoffLimitExceeded"),
    ],
)
def test_every_failure_has_its_own_reason(
    the_job: dict[str, Any], the_pod: dict[str, Any] | None, reason: str
) -> None:
    assert read_job(the_job, [the_pod] if the_pod else [], []).reason == reason


@pytest.mark.parametrize(
    ("the_job", "state"),
    [
        (job(), "active"),
        (job(("FailureTarget", "DeadlineExceeded")), "active"),
        (job(("SuccessCriteriaMet", "CompletionsReached")), "active"),
        (job(("FailureTarget", "PodFailurePolicy"), FAILED), "failed"),
        (job(("Complete", "CompletionsReached")), "succeeded"),
        (job(suspend=True), "suspended"),
    ],
)
def test_a_job_has_ended_only_when_its_pods_have(the_job: dict[str, Any], state: str) -> None:
    assert read_job(the_job, [], []).state == state


@pytest.mark.parametrize(
    ("told", "released_at"),
    [
        ("2026-01-01T10:00:00.5Z", datetime(2026, 1, 1, 10, 0, 0, 500_000, UTC)),
        ("2026-01-01T10:00:00", None),
        ("soon", None),
        (None, None),
    ],
)
def test_a_job_that_was_held_counts_its_time_from_its_release(told: str | None, released_at: object) -> None:
    the_job = job()
    the_job["metadata"]["annotations"] = {} if told is None else {names.ANNOTATION_RELEASED_AT: told}
    assert read_job(the_job, [], []).released_at == released_at


@pytest.mark.parametrize(
    ("waiting", "reason", "is_hopeless"),
    [
        ("ImagePullBackOff", "ImagePullFailed", False),
        ("ErrImagePull", "ImagePullFailed", False),
        ("CreateContainerConfigError", "ConfigurationError", False),
        ("InvalidImageName", "InvalidImageName", True),
    ],
)
def test_what_keeps_a_container_from_starting_is_told(waiting: str, reason: str, is_hopeless: bool) -> None:
    facts = read_job(job(), [pod({"waiting": {"reason": waiting, "message": "because"}})], [])
    assert facts.waiting is not None
    assert (facts.waiting.reason, facts.waiting.message) == (reason, "because")
    assert (facts.is_hopeless, facts.container_started) == (is_hopeless, False)


def test_a_pod_that_no_node_takes_is_told() -> None:
    unschedulable = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1"}
    facts = read_job(job(), [pod(None, unschedulable)], [])
    assert facts.waiting is not None
    assert facts.waiting.reason == "Unschedulable"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('pods "j-x" is forbidden: exceeded quota: q, requested: pods=1', "QuotaExceeded"),
        ('pods "j-x" is forbidden: error looking up service account n/sa: serviceaccount "sa" not found',
         "ServiceAccountMissing"),
        ('pods "j-x" is forbidden: violates PodSecurity', "PodRefused"),
    ],
)  # fmt: skip
def test_a_pod_that_may_not_be_created_is_told(message: str, reason: str) -> None:
    facts = read_job(job(), [], [{"reason": "FailedCreate", "message": message, "lastTimestamp": AT}])
    assert facts.waiting is not None
    assert facts.waiting.reason == reason


def test_a_volume_that_is_missing_is_told() -> None:
    event = {"reason": "FailedMount", "message": 'secret "db" not found', "lastTimestamp": AT}
    facts = read_job(job(), [pod({"waiting": {"reason": "ContainerCreating"}})], [event])
    assert facts.waiting is not None
    assert facts.waiting.reason == "MountFailed"
    assert facts.waiting.message.startswith("It waits for the Secret db, which is not in its namespace")


def test_the_termination_message_is_the_result() -> None:
    said = {"v": 1, "executed": "yes", "outcome": "succeeded", "outputs": {"n": 3}, "rollback": {"replicas": 1}}
    the_pod = pod(ended(0, json.dumps(said), "Completed"))
    outcome = read_job(job(("Complete", "")), [the_pod], []).outcome
    assert outcome is not None
    assert (outcome.executed, outcome.outputs, outcome.rollback) == ("yes", {"n": 3}, {"replicas": 1})


def test_without_a_message_the_last_json_line_of_the_log_is_the_result() -> None:
    log = 'hello\n{"n": 1}\nROLLBACK_INFO: {"replicas": 2}\nnoise\n{"n": 2}\nbye\n'
    the_pod = pod(ended(0, reason="Completed"))
    facts = read_job(job(("Complete", "")), [the_pod], [])
    assert needs_log(facts, [the_pod]) == "p"
    outcome = read_job(job(("Complete", "")), [the_pod], [], log).outcome
    assert outcome is not None
    assert (outcome.outputs, outcome.rollback, outcome.executed) == ({"n": 2}, {"replicas": 2}, None)


def test_secrets_in_what_a_container_said_go_no_further() -> None:
    said = {"v": 1, "executed": "no", "message": "login with password=hunter2 refused", "outputs": {}}
    the_pod = pod(ended(70, json.dumps(said)))
    outcome = read_job(job(FAILED), [the_pod], [], "Authorization: Bearer abcdef0123456789\n").outcome
    assert outcome is not None
    assert "hunter2" not in outcome.message
    assert "abcdef0123456789" not in outcome.log_tail


@pytest.mark.parametrize("message", ["{", '{"v": 2}', "plain", '{"v": 1, "outputs": 7}', "[]"])
def test_a_message_that_is_no_result_harms_nothing(message: str) -> None:
    outcome = read_job(job(FAILED), [pod(ended(1, message))], []).outcome
    assert outcome is not None
    assert outcome.executed is None


def test_a_pod_that_is_gone_still_tells_why_it_went() -> None:
    disrupted = DISRUPTED | {"reason": "DeletionByPodGC"}
    policy = job(("Failed", "PodFailurePolicy"))
    policy["status"]["conditions"][0]["message"] = "Pod n/p has condition DisruptionTarget matching FailJob rule"
    last = pod({"running": {"startedAt": AT}}, disrupted, phase="Failed")
    facts = read_job(policy, [], [], departed=[last])
    assert (facts.reason, facts.container_started) == ("NodeLost", True)
    assert needs_log(facts, []) is None
    # Nobody remembers it: that it was taken away is all that the Job says.
    forgotten = read_job(policy, [], [])
    assert (forgotten.reason, forgotten.container_started) == ("Evicted", None)


def test_an_interrupted_action_does_not_hide_by_whom() -> None:
    said = {"v": 1, "executed": "no", "reason": "Interrupted", "message": "SIGTERM came first", "outputs": {}}
    last = pod(ended(143, json.dumps(said)), DISRUPTED | {"reason": "EvictionByEvictionAPI"})
    facts = read_job(job(FAILED), [], [], departed=[last])
    assert facts.outcome is not None
    assert (facts.reason, facts.outcome.reason, facts.outcome.executed) == ("Evicted", "", "no")
    assert facts.outcome.message == "SIGTERM came first"


def test_a_pod_that_never_started_and_is_gone_proves_nothing() -> None:
    last = pod({"waiting": {"reason": "ContainerCreating"}})
    assert read_job(job(FAILED), [], [], departed=[last]).container_started is None


def test_the_words_of_the_kubelet_are_not_those_of_the_action() -> None:
    unknown = ended(
        137, "The container could not be located when the pod was terminated", "ContainerStatusUnknown"
    )
    del unknown["terminated"]["startedAt"]
    facts = read_job(job(("Failed", "DeadlineExceeded")), [], [], departed=[pod(unknown)])
    assert facts.outcome is not None
    assert (facts.outcome.message, facts.outcome.exit_code) == ("", None)
    assert facts.container_started is None


def test_a_result_of_a_newer_runner_is_told_as_such_and_not_guessed_at() -> None:
    newer = '{"v": 2, "executed": "no", "outcome": "succeeded", "outputs": {"a": 1}}'
    said = outcome_of(newer, '{"a": 2}\n', 0, None)
    assert (said.reason, said.executed, said.outputs) == ("ResultTooNew", None, {})
    assert "in version 2, and this controller knows only 1" in said.message
