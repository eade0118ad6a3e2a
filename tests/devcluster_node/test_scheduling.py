"""Where pods go, and the words for why they cannot."""

from decimal import Decimal
from typing import Any

import pytest

from kubernaut.devcluster.node.requests import sum_requests
from kubernaut.devcluster.node.scheduling import Seat, place


def node(name: str = "n1", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "disk": "ssd"}},
        "spec": spec,
        "status": {"allocatable": {"cpu": "2", "memory": "1Gi", "pods": "3"}},
    }


def pod(requests: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "resources": {"requests": requests or {}}}
    return {"metadata": {"name": "p"}, "spec": {"containers": [container], **spec}}


def reason(the_pod: dict[str, Any], *seats: Seat) -> str:
    return place(the_pod, seats).reason


def test_a_pod_goes_to_the_emptiest_node() -> None:
    seats = [Seat(node("full"), {"pods": Decimal(2)}), Seat(node("empty"), {})]
    assert place(pod(), seats).node == "empty"


@pytest.mark.parametrize(
    ("the_node", "the_pod", "said"),
    [
        (node(unschedulable=True), pod(), "node(s) were unschedulable"),
        (node(), pod({"cpu": "2500m"}), "Insufficient cpu"),
        (node(), pod({"memory": "2Gi"}), "Insufficient memory"),
        (node(), pod(nodeSelector={"disk": "hdd"}), "node(s) didn't match Pod's node affinity/selector"),
        (
            node(taints=[{"key": "k", "value": "v", "effect": "NoSchedule"}]),
            pod(),
            "node(s) had untolerated taint {k: v}",
        ),
    ],
)
def test_why_not(the_node: dict[str, Any], the_pod: dict[str, Any], said: str) -> None:
    assert reason(the_pod, Seat(the_node, {})) == f"0/1 nodes are available: 1 {said}."


def test_what_runs_already_counts() -> None:
    taken = sum_requests([pod({"cpu": "1500m"})])
    assert reason(pod({"cpu": "1"}), Seat(node(), taken)) == "0/1 nodes are available: 1 Insufficient cpu."
    assert place(pod({"cpu": "500m"}), [Seat(node(), taken)]).node == "n1"


def test_too_many_pods() -> None:
    taken = sum_requests([pod(), pod(), pod()])
    assert reason(pod(), Seat(node(), taken)) == "0/1 nodes are available: 1 Too many pods."


def test_a_toleration_opens_a_tainted_or_cordoned_node() -> None:
    tainted = node(taints=[{"key": "k", "value": "v", "effect": "NoSchedule"}])
    assert place(pod(tolerations=[{"key": "k", "operator": "Exists"}]), [Seat(tainted, {})]).node == "n1"
    everything = pod(tolerations=[{"operator": "Exists"}])
    assert place(everything, [Seat(node(unschedulable=True), {})]).node == "n1"


def test_required_affinity_on_a_host_name() -> None:
    def on(name: str) -> dict[str, Any]:
        rule = {"key": "kubernetes.io/hostname", "operator": "In", "values": [name]}
        terms = {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}
        required = {"requiredDuringSchedulingIgnoredDuringExecution": terms}
        return pod(affinity={"nodeAffinity": required})

    assert place(on("n1"), [Seat(node(), {})]).node == "n1"
    assert reason(on("n2"), Seat(node(), {})) != ""


def test_without_nodes_that_is_said() -> None:
    assert reason(pod()) == "no nodes available to schedule pods"
