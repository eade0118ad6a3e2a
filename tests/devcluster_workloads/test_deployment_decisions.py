"""The arithmetic of rollouts and the words of a Deployment's status, factor by factor."""

from typing import Any

import pytest

from kubernaut.devcluster.workloads.changes import Create, Merge, SetStatus, Turn
from kubernaut.devcluster.workloads.deployment import DeploymentFacts, decide_deployment, template_hash
from kubernaut.devcluster.workloads.rollout import (
    Generations,
    is_scaling,
    new_size,
    recreate,
    resolve_fenceposts,
    roll,
    scale,
)

from .worlds import NOW, meta, owned_by, pod, text

UID = "deploy-uid"


def template(image: str = "app:1") -> dict[str, Any]:
    return {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "main", "image": image}]}}


def deployment(replicas: int = 4, **more: Any) -> dict[str, Any]:
    image = more.pop("image", "app:1")
    status = more.pop("status", {})
    rolling = {"maxSurge": more.pop("surge", "25%"), "maxUnavailable": more.pop("unavailable", "25%")}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta("web", UID, annotations=more.pop("annotations", {})),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "a"}},
            "template": template(image),
            "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
            "progressDeadlineSeconds": 600,
            **more,
        },
        "status": status,
    }


def replica_set(name: str, replicas: int, available: int, image: str = "app:1", **more: Any) -> dict[str, Any]:
    """Its actual number equals the wanted one unless `actual` says otherwise."""
    revision = more.get("revision", 1)
    annotations = {
        "deployment.kubernetes.io/revision": str(revision),
        "deployment.kubernetes.io/desired-replicas": str(more.get("desired", 4)),
        "deployment.kubernetes.io/max-replicas": str(more.get("most", 5)),
    }
    labels = {"app": "a", "pod-template-hash": name}
    made = template(image)
    made["metadata"]["labels"] = labels
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": meta(
            name,
            f"uid-{name}",
            labels=labels,
            annotations=annotations,
            ownerReferences=owned_by("Deployment", UID),
            creationTimestamp=text(100 - revision),
        ),
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": made},
        "status": {
            "replicas": more.get("actual", replicas),
            "readyReplicas": available,
            "availableReplicas": available,
            "observedGeneration": 1,
        },
    }


def decide(the_deployment: dict[str, Any], *sets: dict[str, Any], pods: Any = ()) -> Turn:
    return decide_deployment(DeploymentFacts(NOW, the_deployment, sets, pods))


def conditions_of(turn: Turn) -> dict[str, tuple[str, str]]:
    status = next(c.status for c in turn.changes if isinstance(c, SetStatus))
    return {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}


def sizes_of(turn: Turn) -> dict[str, int]:
    return {
        c.name: c.patch["spec"]["replicas"]
        for c in turn.changes
        if isinstance(c, Merge) and "replicas" in c.patch.get("spec", {})
    }


@pytest.mark.parametrize(
    ("surge", "unavailable", "replicas", "posts"),
    [
        ("25%", "25%", 4, (1, 1)),
        ("25%", "25%", 3, (1, 0)),
        ("25%", "25%", 1, (1, 0)),
        (0, "10%", 4, (0, 1)),  # both would be zero: one may be missing
        (2, 0, 4, (2, 0)),
        ("100%", "50%", 3, (3, 1)),
    ],
)
def test_fenceposts(surge: Any, unavailable: Any, replicas: int, posts: tuple[int, int]) -> None:
    assert resolve_fenceposts(deployment(replicas, surge=surge, unavailable=unavailable)) == posts


def test_a_first_rollout_creates_one_replica_set_of_full_size() -> None:
    (created,) = [c for c in decide(deployment()).changes if isinstance(c, Create)]
    body = created.body
    assert body["spec"]["replicas"] == 4
    hashed = template_hash(deployment())
    assert body["metadata"]["name"] == f"web-{hashed}"
    assert body["spec"]["selector"]["matchLabels"] == {"app": "a", "pod-template-hash": hashed}
    assert body["spec"]["template"]["metadata"]["labels"]["pod-template-hash"] == hashed
    assert body["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"


def test_the_hash_depends_on_the_template_alone() -> None:
    assert template_hash(deployment()) == template_hash(deployment(replicas=9))
    assert template_hash(deployment()) != template_hash(deployment(image="app:2"))


def test_a_new_template_comes_up_by_the_surge_first() -> None:
    turn = decide(deployment(image="app:2"), replica_set("old", 4, 4))
    (created,) = [c for c in turn.changes if isinstance(c, Create)]
    assert created.body["spec"]["replicas"] == 1
    assert created.body["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    assert conditions_of(turn)["Progressing"] == ("True", "NewReplicaSetCreated")


@pytest.mark.parametrize(
    ("old", "new", "sizes"),
    [
        ((4, 4), (1, 0), {"old": 3}),  # one may be missing: an old one goes although nothing is ready yet
        ((3, 3), (1, 0), {"new": 2}),
        ((3, 3), (2, 0), {}),  # full: wait
        ((3, 3), (2, 1), {"old": 2}),
        ((2, 2), (2, 2), {"new": 3}),
        ((1, 0), (4, 3), {"old": 0}),  # a broken old one costs nothing
        ((0, 0), (4, 2), {}),
    ],
)
def test_a_rolling_update_step_by_step(old: tuple[int, int], new: tuple[int, int], sizes: dict[str, int]) -> None:
    generations = Generations(
        deployment(image="app:2"), replica_set("new", *new, "app:2"), [replica_set("old", *old)]
    )
    assert roll(generations) == sizes


def test_never_more_than_the_surge_nor_less_than_allowed_in_any_order_of_readiness() -> None:
    for replicas in range(1, 6):
        for surge in range(3):
            for unavailable in range(3):
                _roll_through(deployment(replicas, surge=surge, unavailable=unavailable, image="app:2"))


def _roll_through(the_deployment: dict[str, Any]) -> None:
    """Play a rollout to its end, with one new pod becoming available a turn; keep the promises."""
    wanted = the_deployment["spec"]["replicas"]
    surge, unavailable = resolve_fenceposts(the_deployment)
    old, new, new_available = wanted, 0, 0
    for _ in range(100):
        generations = Generations(
            the_deployment,
            replica_set("new", new, new_available, "app:2"),
            [replica_set("old", old, old)],
        )
        sizes = roll(generations)
        old, new = sizes.get("old", old), sizes.get("new", new)
        assert old + new <= wanted + surge
        assert old + new_available >= wanted - unavailable
        if (old, new, new_available) == (0, wanted, wanted):
            return
        if not sizes:
            assert new_available < new, "stuck"
            new_available += 1
    raise AssertionError("the rollout never ended")


def test_recreate_waits_for_the_last_old_pod() -> None:
    the_deployment = deployment(image="app:2")
    the_deployment["spec"]["strategy"] = {"type": "Recreate"}
    old = replica_set("old", 4, 4)
    assert recreate(Generations(the_deployment, None, [old]), old_pods_run=True) == {"old": 0}
    gone = replica_set("old", 0, 0)
    leaving = pod("p", owned_by("ReplicaSet", "uid-old"), deleting=True)
    assert not any(isinstance(c, Create) for c in decide(the_deployment, gone, pods=[leaving]).changes)
    (created,) = [c for c in decide(the_deployment, gone).changes if isinstance(c, Create)]
    assert created.body["spec"]["replicas"] == 4


def test_a_resize_changes_the_only_replica_set_at_once() -> None:
    generations = Generations(deployment(10), replica_set("only", 4, 4), [])
    assert is_scaling(generations)
    assert scale(generations) == {"only": 10}
    assert sizes_of(decide(deployment(0), replica_set("only", 4, 4))) == {"only": 0}


def test_a_resize_in_the_middle_of_a_rollout_is_shared() -> None:
    generations = Generations(
        deployment(8, image="app:2"), replica_set("new", 2, 1, "app:2"), [replica_set("old", 3, 3)]
    )
    sizes = scale(generations)
    assert sum(sizes.values()) == 10  # 8 and a surge of 2
    assert sizes["old"] >= 3


def test_a_paused_deployment_creates_nothing_but_can_be_resized() -> None:
    paused = deployment(6, image="app:2", paused=True)
    turn = decide(paused, replica_set("old", 4, 4))
    assert not any(isinstance(c, Create) for c in turn.changes)
    assert sizes_of(turn) == {"old": 6}
    assert conditions_of(turn)["Progressing"] == ("Unknown", "DeploymentPaused")


def test_status_counts_and_conditions_when_all_is_well() -> None:
    turn = decide(deployment(annotations={"deployment.kubernetes.io/revision": "1"}), replica_set("a", 4, 4))
    status = next(c.status for c in turn.changes if isinstance(c, SetStatus))
    wanted = {"replicas": 4, "updatedReplicas": 4, "readyReplicas": 4, "availableReplicas": 4}
    assert wanted.items() <= status.items()
    assert "unavailableReplicas" not in status
    assert conditions_of(turn) == {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("True", "NewReplicaSetAvailable"),
    }


def progressing(reason: str, ago: float) -> dict[str, Any]:
    old = {
        "type": "Progressing",
        "status": "True",
        "reason": reason,
        "lastUpdateTime": text(ago),
        "lastTransitionTime": text(ago),
    }
    return {"conditions": [old], "replicas": 4, "updatedReplicas": 4, "observedGeneration": 1}


def test_no_progress_within_the_deadline_is_told() -> None:
    early = decide(deployment(status=progressing("ReplicaSetUpdated", 500)), replica_set("a", 4, 0))
    assert early.look_again == 100
    late = decide(deployment(status=progressing("ReplicaSetUpdated", 601)), replica_set("a", 4, 0))
    assert conditions_of(late)["Progressing"] == ("False", "ProgressDeadlineExceeded")


def test_pods_that_fail_after_a_finished_rollout_are_no_lack_of_progress() -> None:
    turn = decide(deployment(status=progressing("NewReplicaSetAvailable", 9999)), replica_set("a", 4, 0))
    assert conditions_of(turn)["Progressing"] == ("True", "NewReplicaSetAvailable")
    assert conditions_of(turn)["Available"] == ("False", "MinimumReplicasUnavailable")
    assert turn.look_again is None


def test_going_back_to_an_older_template_takes_its_replica_set_up_again() -> None:
    back = deployment(image="app:1", annotations={"deployment.kubernetes.io/revision": "2"})
    first, second = replica_set("first", 0, 0), replica_set("second", 4, 4, "app:2", revision=2)
    turn = decide(back, first, second)
    assert sizes_of(turn) == {"first": 1}
    annotations = [
        c.patch["metadata"]["annotations"]
        for c in turn.changes
        if isinstance(c, Merge) and "annotations" in c.patch.get("metadata", {})
    ]
    assert any(a.get("deployment.kubernetes.io/revision") == "3" for a in annotations)
    assert any(a.get("deployment.kubernetes.io/revision-history") == "1" for a in annotations)


def test_the_new_one_is_never_larger_than_room_allows() -> None:
    generations = Generations(deployment(4, image="b"), None, [replica_set("old", 4, 4)])
    assert new_size(generations) == 1
    zero = Generations(deployment(0, image="b"), None, [])
    assert new_size(zero) == 0
