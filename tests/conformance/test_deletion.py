"""How things go: finalizers, preconditions, owners, namespaces."""

import copy

from kubernaut.concurrency import SystemClock

from .api import Api
from .objects import config_map, eventually, owned


async def test_a_finalizer_keeps_an_object_until_it_is_taken_away(cluster: Api) -> None:
    body = config_map("a")
    body["metadata"]["finalizers"] = ["example.com/hold"]
    await cluster.post("v1/configmaps", body)
    deleted = await cluster.delete("v1/configmaps/a")
    assert deleted.code == 200
    assert deleted.body["metadata"]["deletionTimestamp"]
    assert (await cluster.get("v1/configmaps/a")).body["metadata"]["deletionGracePeriodSeconds"] == 0
    refused = await cluster.patch(
        "v1/configmaps/a", {"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}}
    )
    assert refused.code == 422
    assert "no new finalizers can be added if the object is being deleted" in refused.message
    assert (await cluster.patch("v1/configmaps/a", {"metadata": {"finalizers": None}})).code == 200
    assert (await cluster.get("v1/configmaps/a")).code == 404


async def test_a_deletion_meant_for_another_object_is_refused(cluster: Api) -> None:
    made = await cluster.post("v1/configmaps", config_map("a"))
    for condition in ({"uid": "other"}, {"resourceVersion": "1"}):
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": condition}
        assert (await cluster.delete("v1/configmaps/a", options)).code == 409
    options = {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "preconditions": {"uid": made.body["metadata"]["uid"], "resourceVersion": made.version},
    }
    assert (await cluster.delete("v1/configmaps/a", options)).code == 200


async def test_what_is_owned_goes_with_its_owner(cluster: Api) -> None:
    owner = await cluster.post("v1/configmaps", config_map("owner"))
    await cluster.post("v1/configmaps", owned("child", owner))
    await cluster.delete("v1/configmaps/owner?propagationPolicy=Background")
    await eventually(cluster, "v1/configmaps/child", 404)


async def test_orphans_stay_and_forget_their_owner(cluster: Api) -> None:
    owner = await cluster.post("v1/configmaps", config_map("owner"))
    await cluster.post("v1/configmaps", owned("child", owner))
    await cluster.delete("v1/configmaps/owner?propagationPolicy=Orphan")
    await eventually(cluster, "v1/configmaps/owner", 404)
    child = await cluster.get("v1/configmaps/child")
    assert "ownerReferences" not in child.body["metadata"]


async def test_in_the_foreground_the_owner_goes_last(cluster: Api) -> None:
    owner = await cluster.post("v1/configmaps", config_map("owner"))
    child = owned("child", owner, blockOwnerDeletion=True)
    child["metadata"]["finalizers"] = ["example.com/hold"]
    await cluster.post("v1/configmaps", child)
    deleted = await cluster.delete("v1/configmaps/owner?propagationPolicy=Foreground")
    assert deleted.body["metadata"]["finalizers"] == ["foregroundDeletion"]
    clock = SystemClock()
    while "deletionTimestamp" not in (await cluster.get("v1/configmaps/child")).body["metadata"]:
        await clock.sleep(0.05)
    assert (await cluster.get("v1/configmaps/owner")).code == 200
    await cluster.patch("v1/configmaps/child", {"metadata": {"finalizers": None}})
    await eventually(cluster, "v1/configmaps/owner", 404)


async def test_a_child_of_nobody_is_collected(cluster: Api) -> None:
    owner = await cluster.post("v1/configmaps", config_map("owner"))
    ghost = copy.deepcopy(owner)
    ghost.body["metadata"]["uid"] = "0f0f0f0f-0000-4000-8000-000000000000"
    await cluster.post("v1/configmaps", owned("child", ghost))
    await eventually(cluster, "v1/configmaps/child", 404)


async def test_a_child_of_two_stays_with_the_second(cluster: Api) -> None:
    one = await cluster.post("v1/configmaps", config_map("one"))
    two = await cluster.post("v1/configmaps", config_map("two"))
    body = owned("child", one)
    body["metadata"]["ownerReferences"] += owned("", two)["metadata"]["ownerReferences"]
    await cluster.post("v1/configmaps", body)
    await cluster.delete("v1/configmaps/one")
    clock = SystemClock()
    while len((await cluster.get("v1/configmaps/child")).body["metadata"]["ownerReferences"]) > 1:
        await clock.sleep(0.05)


async def test_a_job_deleted_without_a_word_leaves_its_pods(cluster: Api) -> None:
    spec = {"containers": [{"name": "a", "image": "busybox:1"}], "restartPolicy": "Never"}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j"},
        "spec": {"suspend": True, "template": {"spec": spec}},
    }
    assert (await cluster.post("batch/v1/jobs", job)).code == 201
    deleted = await cluster.delete("batch/v1/jobs/j")
    assert deleted.body["metadata"]["finalizers"] == ["orphan"]
    assert "child pods are preserved by default" in deleted.headers["Warning"]


async def test_a_deleted_namespace_takes_everything_along_and_accepts_nothing_new(cluster: Api) -> None:
    held = config_map("held")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await cluster.post("v1/configmaps", held)
    await cluster.post("v1/secrets", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}})
    gone = await cluster.delete(f"/api/v1/namespaces/{cluster.namespace}")
    assert gone.body["status"]["phase"] == "Terminating"
    refused = await cluster.post("v1/configmaps", config_map("new"))
    assert refused.code == 403
    assert "because it is being terminated" in refused.message
    await eventually(cluster, "v1/secrets/s", 404)
    await cluster.patch("v1/configmaps/held", {"metadata": {"finalizers": None}})
    await eventually(cluster, f"/api/v1/namespaces/{cluster.namespace}", 404)
