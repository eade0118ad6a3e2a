"""For random objects and inputs: an action and its rollback leave everything as it was, or overwrite nothing.

Laws of each reversible action:
1. One that does not succeed here has changed nothing.
2. What is changed can be taken back, by the step that the rollback information names.
3. Action, then rollback, is the identity on what it owns; what others changed elsewhere since stays.
4. Where others changed one of its fields since, the rollback is refused and changes nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubernaut.actions import SHIPPED
from kubernaut.devcluster.errors import ApiError
from kubernaut.devcluster.objects import copied
from kubernaut.devcluster.store import Store
from kubernaut.sdk.declare import AnyAction
from kubernaut.sdk.entrypoint import find_action
from kubernaut.sdk.undo import ABSENT, Difference, differences

from .store_cluster import new_store, run, settle

Object = dict[str, Any]
ACTIONS: dict[str, AnyAction] = {found.name: found for found in map(find_action, SHIPPED)}
NAMESPACE = "shop"
IN_SHOP = {"namespace": NAMESPACE}
REVISION = "deployment.kubernetes.io/revision"

# -- random objects --------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "c"])
TEXTS = st.dictionaries(NAMES, st.sampled_from(["", "x", "y"]), max_size=2)
IMAGES = st.sampled_from(["app:1", "app:2", "app:3"])
MEMORY = st.sampled_from(["64Mi", "128Mi", "1Gi"])
CPU = st.sampled_from(["50m", "500m", "2"])
AMOUNTS = st.fixed_dictionaries({}, optional={"memory": MEMORY, "cpu": CPU})
ENVIRONMENT = st.lists(
    st.builds(lambda n, v: {"name": n, "value": v}, NAMES, st.just("1")), max_size=2, unique_by=str
)
ANY_LIMITS = st.fixed_dictionaries({}, optional={"limits": AMOUNTS, "requests": AMOUNTS})


def _fitting(resources: Object) -> Object:
    """Requests may not be more than limits."""
    limits = resources.get("limits", {})
    requests = {key: limits.get(key, value) for key, value in resources.get("requests", {}).items()}
    return {**resources, **({"requests": requests} if requests else {})}


@st.composite
def templates(draw: st.DrawFn) -> Object:
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    containers = [
        {"name": n, "image": draw(IMAGES), "env": draw(ENVIRONMENT), "resources": _fitting(draw(ANY_LIMITS))}
        for n in names
    ]
    metadata: Object = {"labels": {"app": "web", **draw(TEXTS)}}
    if annotations := draw(TEXTS):
        metadata["annotations"] = annotations
    return {"metadata": metadata, "spec": {"containers": containers}}


@st.composite
def workloads(draw: st.DrawFn, kind: str) -> Object:
    # The controller of Deployments sees to it that there always is an annotation.
    metadata: Object = {"name": "web", "namespace": NAMESPACE, "annotations": {REVISION: "3", **draw(TEXTS)}}
    if labels := draw(TEXTS):
        metadata["labels"] = labels
    body: Object = {"selector": {"matchLabels": {"app": "web"}}, "template": draw(templates())}
    replicas = draw(st.none() | st.integers(0, 120))
    if replicas is not None and kind != "DaemonSet":
        body["replicas"] = replicas
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": body}


# -- for each action: what there is, and what is asked for -----------------------------------------

Case = tuple[list[Object], Object]
CASES: dict[str, st.SearchStrategy[Case]] = {}


def cases(name: str) -> Callable[[Callable[..., Case]], None]:
    def add(function: Callable[..., Case]) -> None:
        CASES[f"kubernetes/{name}"] = st.composite(function)()

    return add


@cases("scale_deployment")
def _(draw: st.DrawFn) -> Case:
    return [draw(workloads("Deployment"))], {**IN_SHOP, "deployment": "web", "replicas": draw(st.integers(0, 100))}


@cases("scale_statefulset")
def _(draw: st.DrawFn) -> Case:
    wait = draw(st.booleans())
    inputs = {**IN_SHOP, "resourceName": "web", "replicas": draw(st.integers(0, 100)), "waitForReady": wait}
    return [draw(workloads("StatefulSet"))], inputs


@cases("increase_resources")
def _(draw: st.DrawFn) -> Case:
    kind = draw(st.sampled_from(["Deployment", "StatefulSet", "DaemonSet"]))
    workload = draw(workloads(kind))
    containers = workload["spec"]["template"]["spec"]["containers"]
    containers[0]["resources"] = _fitting({"limits": {"memory": draw(MEMORY)}, **draw(ANY_LIMITS)})
    name = containers[0]["name"]
    wanted = draw(
        st.fixed_dictionaries(
            {"memory": st.sampled_from(["128Mi", "2Gi"])},
            optional={"cpu": st.sampled_from(["100m", "3"]), "containerName": st.sampled_from([name, name, "c"])},
        )
    )
    return [workload], {**IN_SHOP, "resourceName": "web", "resourceType": kind.lower(), **wanted}


@cases("rollback_deployment")
def _(draw: st.DrawFn) -> Case:
    deployment = draw(workloads("Deployment"))
    sets: list[Object] = []
    for number in ("1", "2", "3"):
        template = draw(templates())
        template["metadata"]["labels"]["pod-template-hash"] = number
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "", "controller": True}
        metadata = {
            "name": f"web-{number}",
            "namespace": NAMESPACE,
            "annotations": {**draw(TEXTS), REVISION: number},
            "ownerReferences": [owner],
        }
        spec = {"replicas": 0, "selector": deployment["spec"]["selector"], "template": template}
        sets.append({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec})
    wanted = draw(
        st.fixed_dictionaries({}, optional={"revision": st.integers(1, 4), "waitForReady": st.booleans()})
    )
    return [deployment, *sets], {**IN_SHOP, "resourceName": "web", **wanted}


TEMPLATE_PATCHES = st.fixed_dictionaries(
    {},
    optional={
        "metadata": st.fixed_dictionaries({"annotations": st.dictionaries(NAMES, st.none() | st.just("z"))}),
        "spec": st.fixed_dictionaries(
            {
                "containers": st.lists(
                    st.fixed_dictionaries(
                        {"name": NAMES, "image": IMAGES}, optional={"env": ENVIRONMENT, "resources": ANY_LIMITS}
                    ),
                    max_size=2,
                    unique_by=lambda container: str(container["name"]),
                )
            }
        ),
    },
)
PATCHES = st.fixed_dictionaries(
    {},
    optional={
        "metadata": st.fixed_dictionaries(
            {},
            optional={
                part: st.dictionaries(NAMES, st.none() | st.just("z")) for part in ("labels", "annotations")
            },
        ),
        "spec": st.fixed_dictionaries(
            {},
            optional={
                "replicas": st.integers(0, 9),
                "paused": st.booleans(),
                "minReadySeconds": st.integers(0, 9),
                "strategy": st.just({"type": "Recreate", "rollingUpdate": None}),
                "template": TEMPLATE_PATCHES,
            },
        ),
    },
)


@cases("patch_deployment")
def _(draw: st.DrawFn) -> Case:
    target = {**IN_SHOP, "deployment": "web"}
    if draw(st.booleans()):
        image = draw(st.fixed_dictionaries({"image": IMAGES}, optional={"containerName": NAMES}))
        return [draw(workloads("Deployment"))], {**target, **image}
    type_ = draw(st.sampled_from(["strategic", "merge"]))
    return [draw(workloads("Deployment"))], {**target, "patchType": type_, "patch": draw(PATCHES)}


@cases("update_hpa")
def _(draw: st.DrawFn) -> Case:
    def metric(resource: str) -> Object:
        target = draw(
            st.one_of(
                st.builds(lambda n: {"type": "Utilization", "averageUtilization": n}, st.integers(1, 150)),
                st.just({"type": "AverageValue", "averageValue": "1k"}),
            )
        )
        return {"type": "Resource", "resource": {"name": resource, "target": target}}

    resources = draw(st.lists(st.sampled_from(["cpu", "memory", "storage"]), unique=True))
    least = draw(st.integers(1, 9))
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": least,
        "maxReplicas": least + draw(st.integers(0, 9)),
        "metrics": [metric(resource) for resource in resources],
    }
    metadata = {"name": "web", "namespace": NAMESPACE}
    hpa = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}
    percent = st.integers(1, 100)
    wanted = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "minReplicas": st.integers(1, 20),
                "maxReplicas": st.integers(1, 20),
                "targetCpuUtilization": percent,
                "targetMemoryUtilization": percent,
            },
        )
    )
    return [hpa], {**IN_SHOP, "resourceName": "web", **wanted}


@cases("update_configmap")
def _(draw: st.DrawFn) -> Case:
    metadata = {"name": "web", "namespace": NAMESPACE}
    found = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": draw(TEXTS)}
    wanted = draw(st.fixed_dictionaries({"data": TEXTS}, optional={"remove": st.lists(NAMES, max_size=1)}))
    return [found], {**IN_SHOP, "configMap": "web", **wanted}


# Their laws stand beside their other tests: they keep values in Secrets, create objects, or act on nodes.
ELSEWHERE = {
    "kubernetes/update_secret",
    "kubernetes/apply_manifest",
    "kubernetes/cordon_node",
    "kubernetes/uncordon_node",
    "kubernetes/drain_node",
    "kubernetes/taint_node",
    "kubernetes/untaint_node",
}


def test_each_reversible_action_has_its_law() -> None:
    reversible = {name for name, action in ACTIONS.items() if action.contract.spec.reversible}
    assert reversible == CASES.keys() | ELSEWHERE


# -- the laws --------------------------------------------------------------------------------------

RESOURCES = {
    "Deployment": "deployments.apps",
    "StatefulSet": "statefulsets.apps",
    "DaemonSet": "daemonsets.apps",
    "ReplicaSet": "replicasets.apps",
    "HorizontalPodAutoscaler": "horizontalpodautoscalers.autoscaling",
    "ConfigMap": "configmaps",
}


def filled(objects: list[Object]) -> Store | None:
    """None where the objects themselves are none that a cluster would hold."""
    store, uid = new_store(), ""
    for body in objects:
        for owner in body["metadata"].get("ownerReferences", []):
            owner["uid"] = uid
        try:
            made = store.create(RESOURCES[body["kind"]], body, NAMESPACE)
        except ApiError:
            return None
        uid = uid or made["metadata"]["uid"]
        settle(store, RESOURCES[body["kind"]], body["metadata"]["name"], NAMESPACE)
    return store


def held(store: Store, body: Object) -> Object:
    return store.get(RESOURCES[body["kind"]], body["metadata"]["name"], NAMESPACE)


def essence(obj: Object) -> Object:
    """Without what the server writes itself; an empty map of labels or annotations is none."""
    metadata = {
        part: {key: value for key, value in (obj["metadata"].get(part) or {}).items() if key != THEIRS}
        for part in ("labels", "annotations")
    }
    rest = {key: value for key, value in obj.items() if key not in ("metadata", "status")}
    return {**rest, "data": rest.get("data") or {}, "metadata": metadata}


THEIRS = "example.com/theirs"


def drift(store: Store, body: Object, found: list[Difference], chosen: int) -> bool:
    """Somebody changes a field that the action changed, to a third value; False where there is none."""
    fields = [d for d in found if isinstance(d.after, int | str) and not isinstance(d.after, bool)]
    if not fields:
        return False
    field = fields[chosen % len(fields)]
    other: Any = field.after + 200 if isinstance(field.after, int) else _another(field.after)
    path = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in field.parts)
    operation = [{"op": "replace", "path": path, "value": other}]
    try:
        store.patch(RESOURCES[body["kind"]], body["metadata"]["name"], NAMESPACE, operation, "json")
    except ApiError:
        return False
    return True


def _another(text: str) -> str:
    if text.endswith(("Mi", "Gi")):
        return "77Gi"
    return "77" if text.rstrip("m").isdigit() else f"{text}theirs"


async def check(action: AnyAction, case: Case, drifts: int | None) -> str:
    objects, inputs = case
    store = filled(objects)
    if store is None:
        return "no cluster"
    target = objects[0]
    before = copied(held(store, target))
    ran = await run(store, action, inputs)
    after = copied(held(store, target))
    if ran.code != 0:
        assert ran.code in (64, 65, 66), ran.err
        assert after == before
        return "refused"
    changed = differences(before, after)
    if not changed:
        assert "ROLLBACK_INFO" not in ran.out.replace("ROLLBACK_INFO: null", "")
        return "nothing to do"
    assert ran.rollback["available"], ran.out
    undo = ACTIONS[ran.rollback["action"]] if "action" in ran.rollback else None
    annotation = {"metadata": {"annotations": {THEIRS: "x"}}}
    store.patch(RESOURCES[target["kind"]], target["metadata"]["name"], NAMESPACE, annotation)
    if drifts is not None and drift(store, target, changed, drifts):
        theirs = copied(held(store, target))
        if undo is not None:
            back = await run(store, undo, ran.rollback["inputs"])
            assert back.code in (65, 66), f"{changed} {ran.rollback} {back.err}"
            assert held(store, target) == theirs
        return "drifted"
    if undo is None:
        (listed,) = ran.rollback["objects"]
        store.patch(RESOURCES[target["kind"]], "web", NAMESPACE, listed["patch"], "json")
    else:
        back = await run(store, undo, ran.rollback["inputs"])
        assert back.code == 0, f"{changed} {ran.rollback} {back.err}"
    now = held(store, target)
    assert essence(now) == essence(before)
    assert now["metadata"]["annotations"][THEIRS] == "x"
    return "taken back"


@pytest.mark.journey
@pytest.mark.parametrize("name", sorted(CASES))
def test_an_action_and_its_rollback_are_the_identity_or_overwrite_nothing(name: str) -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=60, deadline=None)
    @given(CASES[name], st.integers(0, 9))
    def law(case: Case, drifts: int) -> None:
        for chosen in (None, drifts):
            seen[asyncio.run(check(ACTIONS[name], copied(case), chosen))] += 1

    law()
    assert min(seen["taken back"], seen["drifted"]) > 0, f"the law had too little to hold: {seen}"


def test_absent_is_no_value_to_drift() -> None:
    assert not drift(new_store(), {}, [Difference(("spec", "x"), 1, ABSENT)], 0)
