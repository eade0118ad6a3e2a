"""Where pods go, and the words for why they cannot."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubernaut.devcluster import DevCluster
from kubernaut.devcluster.node.machinery import Machinery
from kubernaut.devcluster.node.requests import requests_of, sum_requests
from kubernaut.devcluster.node.scheduling import Seat, is_picky, place
from kubernaut.devcluster.quantities import parse_quantity
from kubernaut.devcluster.resources import EVENTS, NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS


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
            "node(s) had untolerated taint(s)",
        ),
    ],
)
def test_why_not(the_node: dict[str, Any], the_pod: dict[str, Any], said: str) -> None:
    assert reason(the_pod, Seat(the_node, {})) == (
        f"0/1 nodes are available: 1 {said}. no new claims to deallocate, preemption: 0/1 nodes are available: "
        "1 Preemption is not helpful for scheduling."
    )


def test_what_runs_already_counts() -> None:
    taken = sum_requests([pod({"cpu": "1500m"})])
    assert reason(pod({"cpu": "1"}), Seat(node(), taken)) == (
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: "
        "0/1 nodes are available: 1 No preemption victims found for incoming pod."
    )
    assert place(pod({"cpu": "500m"}), [Seat(node(), taken)]).node == "n1"


def test_too_many_pods() -> None:
    taken = sum_requests([pod(), pod(), pod()])
    assert reason(pod(), Seat(node(), taken)).startswith("0/1 nodes are available: 1 Too many pods. ")


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


def apart(name: str = "p", **labels: str) -> dict[str, Any]:
    """A pod that wants no pod of its labels in its place."""
    term = {"labelSelector": {"matchLabels": labels}, "topologyKey": "kubernetes.io/hostname"}
    rule = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    made = pod(affinity=rule)
    made["metadata"] = {"name": name, "namespace": "default", "labels": labels}
    return made


def seat_of(the_node: dict[str, Any], *pods: dict[str, Any]) -> Seat:
    return Seat(the_node, sum_requests(pods), pods, [one for one in pods if is_picky(one)])


def test_pods_that_want_to_be_apart_are() -> None:
    seats = [seat_of(node("n1"), apart(app="web")), seat_of(node("n2"))]
    assert place(apart(app="web"), seats).node == "n2"
    full = [seat_of(node("n1"), apart(app="web")), seat_of(node("n2"), apart(app="web"))]
    assert "2 node(s) didn't match pod anti-affinity rules" in reason(apart(app="web"), *full)
    plain = {**pod(), "metadata": {"name": "p", "namespace": "default", "labels": {"app": "web"}}}
    assert "2 node(s) didn't satisfy existing pods anti-affinity rules" in reason(plain, *full)
    elsewhere = {**plain, "metadata": {**plain["metadata"], "namespace": "other"}}
    assert place(elsewhere, full).node == "n1"


def test_pods_that_want_to_be_together_are_and_the_first_of_them_goes_anywhere() -> None:
    term = {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "kubernetes.io/hostname"}
    rule = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    metadata = {"name": "p", "namespace": "default", "labels": {"app": "web"}}
    together = {**pod(affinity=rule), "metadata": metadata}
    assert place(together, [seat_of(node("n1")), seat_of(node("n2"))]).node == "n1"
    assert place(together, [seat_of(node("n1")), seat_of(node("n2"), together)]).node == "n2"
    stranger = {**together, "metadata": {**metadata, "labels": {}}}
    assert "1 node(s) didn't match pod affinity rules" in reason(stranger, seat_of(node("n1")))


def test_a_host_port_is_given_once() -> None:
    def on(port: int) -> dict[str, Any]:
        made = pod()
        made["spec"]["containers"][0]["ports"] = [{"containerPort": 80, "hostPort": port}]
        return made

    assert "didn't have free ports" in reason(on(80), seat_of(node(), on(80)))
    assert place(on(81), [seat_of(node(), on(80))]).node == "n1"


def test_every_lack_is_told_and_whether_others_could_make_room() -> None:
    seats = [Seat(node("n1"), {"cpu": Decimal(1)}), Seat(node("n2", unschedulable=True), {})]
    assert reason(pod({"cpu": "1500m", "memory": "2Gi"}), *seats) == (
        "0/2 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 1 node(s) were unschedulable. "
        "no new claims to deallocate, preemption: 0/2 nodes are available: "
        "2 Preemption is not helpful for scheduling."
    )


def test_init_containers_count_where_they_ask_more_and_sidecars_all_the_time() -> None:
    def asks(cpu: str, **more: Any) -> dict[str, Any]:
        return {"name": "c", "resources": {"requests": {"cpu": cpu}}, **more}

    first = [asks("1", restartPolicy="Always"), asks("4")]
    made: dict[str, Any] = {"spec": {"initContainers": first, "containers": [asks("2"), asks("1")]}}
    assert requests_of(made)["cpu"] == 5
    made["spec"]["containers"].append(asks("2"))
    assert requests_of(made)["cpu"] == 6


_CPU = st.sampled_from([0, 1, 2, 3, 5, 8])
_TAINTS = st.lists(st.sampled_from(["a", "b"]), max_size=2, unique=True)
_PODS = st.tuples(_CPU, _TAINTS, st.sampled_from(["", "n0", "n1"]), st.booleans())


@given(st.lists(st.tuples(_CPU, _TAINTS), min_size=1, max_size=4), st.lists(_PODS, min_size=1, max_size=12))
def test_nodes_are_never_overcommitted_taints_are_kept_and_who_fits_somewhere_is_placed(
    machines: list[tuple[int, list[str]]], wanted: list[tuple[int, list[str], str, bool]]
) -> None:
    nodes = [
        node(f"n{i}", taints=[{"key": t, "effect": "NoSchedule"} for t in t_])
        for i, (_, t_) in enumerate(machines)
    ]
    for one, (cpu, _) in zip(nodes, machines, strict=True):
        one["status"]["allocatable"] = {"cpu": str(cpu), "pods": "4"}
    placed: dict[str, list[dict[str, Any]]] = {one["metadata"]["name"]: [] for one in nodes}
    asked: dict[str, int] = dict.fromkeys(placed, 0)
    for cpu, tolerated, only, alone in wanted:
        new = apart(app="x") if alone else pod()
        new["spec"]["containers"][0]["resources"] = {"requests": {"cpu": str(cpu)}}
        new["spec"]["tolerations"] = [{"key": key, "operator": "Exists"} for key in tolerated]
        if only:
            new["spec"]["nodeSelector"] = {"kubernetes.io/hostname": only}
        seats = [seat_of(one, *placed[one["metadata"]["name"]]) for one in nodes]
        placement = place(new, seats)
        # By hand, from what was drawn: what the rules above come to.
        fits = {
            f"n{i}"
            for i, (size, taints) in enumerate(machines)
            if set(taints) <= set(tolerated)
            and only in {"", f"n{i}"}
            and (cpu == 0 or asked[f"n{i}"] + cpu <= size)
            and len(placed[f"n{i}"]) < 4
            and not (alone and any(p["metadata"].get("labels") for p in placed[f"n{i}"]))
        }
        if placement.node:
            assert placement.node in fits
            placed[placement.node].append(new)
            asked[placement.node] += cpu
        else:
            assert not fits
            assert placement.reason.startswith(f"0/{len(nodes)} nodes are available: ")
    for one, (size, _) in zip(nodes, machines, strict=True):
        assert parse_quantity(str(size)) >= sum_requests(placed[one["metadata"]["name"]]).get("cpu", 0)


async def test_a_cluster_of_three_nodes_spreads_fills_up_and_says_so(tmp_path: Path) -> None:
    machinery = Machinery(tmp_path, nodes=3, allocatable={"cpu": "1", "memory": "1Gi", "pods": "10"})
    async with DevCluster(hooks=[machinery]) as cluster:
        assert [n["metadata"]["name"] for n in cluster.store.list(NODES).items] == list(machinery.nodes)
        for number in range(4):
            container = {"name": "c", "image": "nginx:1", "resources": {"requests": {"cpu": "700m"}}}
            body = {"metadata": {"name": f"p{number}"}, "spec": {"containers": [container]}}
            cluster.store.create(PODS, body, "default")
        async with cluster.store.watch(EVENTS, namespace="default", initial=True) as changes:
            async for change in changes:
                if change.object["reason"] == "FailedScheduling":
                    assert change.object["message"].startswith("0/3 nodes are available: 3 Insufficient cpu. ")
                    break
        on = [str(p["spec"].get("nodeName", "")) for p in cluster.store.list(PODS, "default").items]
        assert sorted(name for name in on if name) == sorted(machinery.nodes)


async def test_a_pod_follows_its_volume_and_waits_where_its_node_is_closed(tmp_path: Path) -> None:
    def body(name: str) -> dict[str, Any]:
        volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
        containers = [{"name": "c", "image": "nginx:1"}]
        return {"metadata": {"name": name}, "spec": {"containers": containers, "volumes": volumes}}

    machinery = Machinery(tmp_path, nodes=2)
    async with DevCluster(hooks=[machinery]) as cluster:
        store = cluster.store
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        store.create(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "data"}, "spec": claim}, "default")
        store.create(PODS, body("first"), "default")
        async with store.watch(PERSISTENT_VOLUMES, initial=True) as changes:
            async for change in changes:
                if change.object["status"].get("phase") == "Bound":
                    break
        home = store.get(PODS, "first", "default")["spec"]["nodeName"]
        store.patch(NODES, home, None, {"spec": {"unschedulable": True}})
        store.create(PODS, body("second"), "default")
        said = ""
        async with store.watch(EVENTS, namespace="default", initial=True) as changes:
            async for change in changes:
                if change.object["reason"] == "FailedScheduling":
                    said = change.object["message"]
                    break
        assert "1 node(s) didn't match PersistentVolume's node affinity, 1 node(s) were unschedulable" in said
        store.patch(NODES, home, None, {"spec": {"unschedulable": None}})
        async with store.watch(PODS, namespace="default", initial=True) as changes:
            async for change in changes:
                if change.object["metadata"]["name"] == "second" and change.object["spec"].get("nodeName"):
                    assert change.object["spec"]["nodeName"] == home
                    break
