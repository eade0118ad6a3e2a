"""What a PodDisruptionBudget allows, as the real disruption controller counts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubernaut.devcluster.budgets import count, may_go

Object = dict[str, Any]


def pod(*, ready: bool = True, deleting: bool = False) -> Object:
    metadata = {"name": "p", "deletionTimestamp": "2026-01-01T00:00:00Z"} if deleting else {"name": "p"}
    status = {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    return {"metadata": metadata, "status": status}


def allowed(spec: Object, pods: list[Object], wanted: int | None = None) -> int:
    scaled = None if wanted is None else ("owner", wanted)
    return count(spec, pods, lambda _: scaled).allowed


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"minAvailable": 2}, 1),
        ({"minAvailable": "50%"}, 1),
        ({"minAvailable": "34%"}, 1),
        ({"maxUnavailable": 1}, 1),
        ({"maxUnavailable": "34%"}, 2),
        ({"maxUnavailable": 0}, 0),
        ({"minAvailable": "100%"}, 0),
        ({"minAvailable": 5}, 0),
        ({}, 3),
    ],
)
def test_of_three_ready_pods_so_many_may_go(spec: Object, expected: int) -> None:
    assert allowed(spec, [pod(), pod(), pod()], 3) == expected


def test_pods_that_are_on_their_way_out_or_not_ready_count_against_the_budget() -> None:
    most_one = {"maxUnavailable": 1}
    assert allowed(most_one, [pod(), pod(), pod(deleting=True)], 3) == 0
    assert allowed(most_one, [pod(), pod(), pod(ready=False)], 3) == 0
    assert allowed(most_one, [pod(), pod()], 3) == 0, "one is still to be made"


def test_a_share_of_pods_that_nothing_scales_allows_nothing() -> None:
    assert allowed({"maxUnavailable": 1}, [pod(), pod()]) == 0
    assert allowed({"minAvailable": 1}, [pod(), pod()]) == 1


def test_a_pod_that_is_not_ready_may_go_as_its_policy_says() -> None:
    sick = pod(ready=False)
    spec = {"minAvailable": 2}
    healthy = count(spec, [pod(), pod(), sick], lambda _: None)
    disrupted = count(spec, [pod(), sick], lambda _: None)
    assert may_go(sick, spec, healthy)
    assert not may_go(sick, spec, disrupted)
    assert may_go(sick, {**spec, "unhealthyPodEvictionPolicy": "AlwaysAllow"}, disrupted)


@given(
    st.lists(st.booleans(), max_size=6),
    st.integers(0, 6),
    st.sampled_from(["minAvailable", "maxUnavailable"]),
    st.one_of(st.integers(0, 7), st.integers(0, 100).map(lambda share: f"{share}%")),
)
def test_what_is_allowed_never_leaves_fewer_than_needed(
    ready: list[bool], wanted: int, rule: str, amount: int | str
) -> None:
    found = count({rule: amount}, [pod(ready=r) for r in ready], lambda _: ("owner", wanted))
    assert 0 <= found.allowed <= sum(ready)
    assert found.allowed == 0 or found.healthy - found.allowed >= found.needed
