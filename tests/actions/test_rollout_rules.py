"""When a rollout and a scaling are done, factor by factor."""

from typing import Any

import pytest

from kubernaut.actions.deployments import missing_for_rollout
from kubernaut.actions.scale_deployment import missing_replicas
from kubernaut.sdk import Failed

DONE = {"observedGeneration": 4, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}


def deployment(spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    return {"metadata": {"generation": 4}, "spec": {"replicas": 3, **(spec or {})}, "status": {**DONE, **status}}


def test_a_rollout_is_done_when_all_replicas_are_new_and_available() -> None:
    assert missing_for_rollout(deployment()) is None
    assert (
        missing_for_rollout(deployment({"replicas": 0}, replicas=0, updatedReplicas=0, availableReplicas=0))
        is None
    )


@pytest.mark.parametrize(
    ("status", "missing"),
    [
        ({"observedGeneration": 3}, "not yet seen"),
        ({"updatedReplicas": 2}, "2 of 3 replicas are updated"),
        ({"replicas": 4}, "1 old replicas"),
        ({"availableReplicas": 2}, "2 of 3 replicas are available"),
    ],
)
def test_whatever_a_rollout_lacks_is_told(status: dict[str, Any], missing: str) -> None:
    assert missing in (missing_for_rollout(deployment(**status)) or "")


def test_without_a_status_nothing_is_done() -> None:
    bare = {"metadata": {"generation": 1}, "spec": {"replicas": 1}}
    assert missing_for_rollout(bare) is not None
    assert missing_replicas(bare, 1) is not None


def test_a_rollout_that_has_given_up_is_not_waited_for() -> None:
    condition = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "x"}
    with pytest.raises(Failed, match="given up"):
        missing_for_rollout(deployment(updatedReplicas=1, conditions=[condition]))


@pytest.mark.parametrize(
    ("status", "missing"),
    [
        ({"observedGeneration": 3}, "not yet seen"),
        ({"availableReplicas": 1}, "1 of 3 replicas are available"),
        ({"replicas": 5, "updatedReplicas": 5, "availableReplicas": 5}, "2 replicas too many"),
    ],
)
def test_whatever_a_scaling_lacks_is_told(status: dict[str, Any], missing: str) -> None:
    assert missing in (missing_replicas(deployment(**status), 3) or "")


def test_scaling_does_not_wait_for_a_rollout_that_goes_on() -> None:
    assert missing_replicas(deployment(replicas=4, updatedReplicas=2), 3) is None


def test_scaling_stops_when_somebody_else_sets_another_number() -> None:
    with pytest.raises(Failed, match="somebody else set the replicas to 3"):
        missing_replicas(deployment(), 5)
