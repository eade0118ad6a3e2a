"""Autoscalers, Leases, Events: kinds that are little more than what is written into them."""

from typing import Any

import pytest

from .api import Answer, Api, Json

SCALERS = "autoscaling/v2/horizontalpodautoscalers"
LEASES = "coordination.k8s.io/v1/leases"


def scaler(**spec: Any) -> Json:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    wanted = {"scaleTargetRef": target, "maxReplicas": 3, **spec}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": wanted,
    }


async def test_an_autoscaler_aims_at_80_percent_of_cpu_unless_told_otherwise(cluster: Api) -> None:
    made = await cluster.post(SCALERS, scaler())
    assert made.code == 201
    assert made.body["spec"]["minReplicas"] == 1
    target = {"type": "Utilization", "averageUtilization": 80}
    assert made.body["spec"]["metrics"] == [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    assert made.body["status"]["desiredReplicas"] == 0


@pytest.mark.parametrize(
    ("spec", "field", "said"),
    [
        ({"maxReplicas": 0}, "spec.maxReplicas", "must be set and greater than 0"),
        ({"minReplicas": 4}, "spec.maxReplicas", "must be greater than or equal to `minReplicas`"),
        ({"minReplicas": 0}, "spec.minReplicas", "must be greater than or equal to 1"),
    ],
)
async def test_the_bounds_of_an_autoscaler_make_sense(cluster: Api, spec: Json, field: str, said: str) -> None:
    refused = await cluster.post(SCALERS, scaler(**spec))
    assert refused.code == 422
    assert any(cause[0] == field and cause[2].endswith(said) for cause in refused.causes)


async def test_the_status_of_an_autoscaler_is_its_own(cluster: Api) -> None:
    await cluster.post(SCALERS, scaler())
    changed = await cluster.patch(f"{SCALERS}/web", {"spec": {"maxReplicas": 5}, "status": {"desiredReplicas": 9}})
    assert changed.body["spec"]["maxReplicas"] == 5
    assert changed.body["status"]["desiredReplicas"] == 0


# -- leases ----------------------------------------------------------------------------------------


def lease(**spec: Any) -> Json:
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "leader"}, "spec": spec}


async def test_a_lease_keeps_microseconds(cluster: Api) -> None:
    moment = "2030-01-01T12:00:00.123456Z"
    made = await cluster.post(LEASES, lease(holderIdentity="a", leaseDurationSeconds=15, renewTime=moment))
    assert made.code == 201
    assert made.body["spec"] == {"holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": moment}


async def test_of_two_who_want_a_lease_one_is_told_of_the_other(cluster: Api) -> None:
    made = await cluster.post(LEASES, lease(holderIdentity="a"))
    first = {**made.body, "spec": {"holderIdentity": "b"}}
    second = {**made.body, "spec": {"holderIdentity": "c"}}
    assert (await cluster.put(f"{LEASES}/leader", first)).code == 200
    refused = await cluster.put(f"{LEASES}/leader", second)
    assert (refused.code, refused.body["reason"]) == (409, "Conflict")
    assert (await cluster.get(f"{LEASES}/leader")).body["spec"]["holderIdentity"] == "b"


async def test_a_lease_lasts_longer_than_nothing(cluster: Api) -> None:
    refused = await cluster.post(LEASES, lease(leaseDurationSeconds=0))
    assert refused.code == 422
    assert refused.causes[0][:2] == ("spec.leaseDurationSeconds", "FieldValueInvalid")
    assert refused.causes[0][2].endswith("must be greater than 0")


# -- events ----------------------------------------------------------------------------------------


async def tell(cluster: Api, name: str, **more: Any) -> Answer:
    about = {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "namespace": cluster.namespace, "uid": "u-1"}
    body = {"metadata": {"name": name}, "involvedObject": about, "reason": "Told", "message": "so it is"}
    source = {"component": "tester"}
    moment = {"firstTimestamp": "2030-01-01T00:00:00Z", "lastTimestamp": "2030-01-01T00:00:00Z", "count": 1}
    return await cluster.post("v1/events", {**body, "type": "Normal", "source": source, **moment, **more})


async def test_an_event_is_the_same_in_both_groups(cluster: Api) -> None:
    assert (await tell(cluster, "e")).code == 201
    found = (await cluster.get("events.k8s.io/v1/events/e")).body
    assert found["apiVersion"] == "events.k8s.io/v1"
    assert found["regarding"]["uid"] == "u-1"
    assert (found["note"], found["reason"], found["type"]) == ("so it is", "Told", "Normal")
    assert found["deprecatedSource"] == {"component": "tester"}
    assert found["deprecatedCount"] == 1


async def test_events_are_found_by_what_they_are_about(cluster: Api) -> None:
    await tell(cluster, "e")
    for selector in (
        "involvedObject.name=a",
        "reason=Told,type=Normal",
        "involvedObject.uid=u-1",
        "source=tester",
    ):
        assert (await cluster.get(f"v1/events?fieldSelector={selector}")).names == ["e"]
    assert (await cluster.get("v1/events?fieldSelector=involvedObject.name=b")).names == []


async def test_an_event_lies_where_its_object_lies(cluster: Api) -> None:
    about = {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "namespace": "elsewhere"}
    refused = await tell(cluster, "e", involvedObject=about)
    assert refused.code == 422
    assert refused.causes[0][0] == "involvedObject.namespace"
    assert refused.causes[0][2].endswith("does not match event.namespace")


async def test_an_event_may_be_counted_once_more(cluster: Api) -> None:
    await tell(cluster, "e")
    changed = await cluster.patch("v1/events/e", {"count": 2, "lastTimestamp": "2030-01-01T00:01:00Z"})
    assert (changed.code, changed.body["count"]) == (200, 2)


# -- immutable -------------------------------------------------------------------------------------


@pytest.mark.parametrize("plural", ["configmaps", "secrets"])
async def test_what_is_immutable_may_still_be_labelled_and_deleted(cluster: Api, plural: str) -> None:
    kind = {"configmaps": "ConfigMap", "secrets": "Secret"}[plural]
    body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "a"}, "data": {"x": "MQ=="}, "immutable": True}
    assert (await cluster.post(f"v1/{plural}", body)).code == 201
    labelled = await cluster.patch(f"v1/{plural}/a", {"metadata": {"labels": {"b": "c"}}})
    assert labelled.code == 200
    assert (await cluster.delete(f"v1/{plural}/a")).code == 200


@pytest.mark.parametrize("plural", ["configmaps", "secrets"])
async def test_what_is_not_may_become_immutable(cluster: Api, plural: str) -> None:
    kind = {"configmaps": "ConfigMap", "secrets": "Secret"}[plural]
    await cluster.post(f"v1/{plural}", {"apiVersion": "v1", "kind": kind, "metadata": {"name": "a"}})
    assert (await cluster.patch(f"v1/{plural}/a", {"data": {"x": "MQ=="}, "immutable": True})).code == 200
    refused = await cluster.patch(f"v1/{plural}/a", {"data": {"y": "MQ=="}})
    assert (refused.code, refused.causes[0][0]) == (422, "data")
