"""How many pods a ReplicaSet has, which go first, and whose they are."""

from typing import Any

from kubernaut.devcluster.workloads.changes import Create, Delete, Merge, SetStatus, Turn
from kubernaut.devcluster.workloads.replicaset import ReplicaSetFacts, decide_replica_set

from .worlds import NOW, meta, owned_by, pod

UID = "rs-uid"


def replica_set(replicas: int, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": meta("web", UID),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "a"}},
            "template": {"metadata": {"labels": {"app": "a"}}, "spec": {}},
            **spec,
        },
        "status": {"replicas": 0},
    }


def mine(name: str, **more: Any) -> dict[str, Any]:
    return pod(name, owned_by("ReplicaSet", UID), **more)


def decide(rs: dict[str, Any], *pods: dict[str, Any], refusal: str = "") -> Turn:
    return decide_replica_set(ReplicaSetFacts(NOW, rs, pods, refusal))


def deleted(turn: Turn) -> list[str]:
    return [c.name for c in turn.changes if isinstance(c, Delete)]


def created(turn: Turn) -> int:
    return sum(isinstance(c, Create) for c in turn.changes)


def test_missing_pods_are_created_and_ended_or_leaving_ones_do_not_count() -> None:
    turn = decide(replica_set(3), mine("a"), mine("b", phase="Failed"), mine("c", deleting=True))
    assert created(turn) == 2


def test_the_least_useful_go_first() -> None:
    pods = [
        mine("ready-old", ready=True, ready_ago=500),
        mine("ready-new", ready=True, ready_ago=5),
        mine("unready", ready=False),
        mine("pending", phase="Pending"),
    ]
    unbound = mine("unbound", phase="Pending")
    del unbound["spec"]["nodeName"]
    everyone = [*pods, unbound]
    order = [deleted(decide(replica_set(len(everyone) - n), *everyone)) for n in range(1, 5)]
    assert order[-1] == ["unbound", "pending", "unready", "ready-new"]


def test_a_deletion_cost_outranks_age() -> None:
    cheap = mine("cheap", ready=True, ready_ago=500)
    cheap["metadata"]["annotations"] = {"controller.kubernetes.io/pod-deletion-cost": "-5"}
    assert deleted(decide(replica_set(1), mine("dear", ready=True, ready_ago=5), cheap)) == ["cheap"]


def test_an_orphan_is_adopted_and_a_relabelled_pod_let_go() -> None:
    turn = decide(replica_set(1), pod("orphan"), mine("relabelled", labels={"app": "debug"}))
    patches = {c.name: c.patch["metadata"]["ownerReferences"] for c in turn.changes if isinstance(c, Merge)}
    assert patches["orphan"][0]["uid"] == UID
    assert patches["relabelled"] is None
    assert created(turn) == 0


def test_ready_long_enough_is_available() -> None:
    turn = decide(
        replica_set(2, minReadySeconds=60),
        mine("a", ready=True, ready_ago=50),
        mine("b", ready=True, ready_ago=61),
    )
    status = next(c.status for c in turn.changes if isinstance(c, SetStatus))
    assert (status["readyReplicas"], status["availableReplicas"]) == (2, 1)
    assert turn.look_again == 10


def test_a_refusal_is_told_in_the_status_until_it_is_over() -> None:
    turn = decide(replica_set(1), refusal="exceeded quota")
    status = next(c.status for c in turn.changes if isinstance(c, SetStatus))
    (failure,) = status["conditions"]
    assert (failure["type"], failure["reason"], failure["message"]) == (
        "ReplicaFailure",
        "FailedCreate",
        "exceeded quota",
    )
    over = decide(replica_set(1), mine("a"), refusal="exceeded quota")
    assert "conditions" not in next(c.status for c in over.changes if isinstance(c, SetStatus))
