"""Creating, replacing and what a write leaves alone."""

from .api import Api, Json
from .objects import config_map, deployment


async def test_a_write_that_changes_nothing_gets_no_new_version(cluster: Api) -> None:
    made = await cluster.post("v1/configmaps", config_map("a", x="1"))
    assert made.code == 201
    again = await cluster.put("v1/configmaps/a", config_map("a", x="1"))
    patched = await cluster.patch("v1/configmaps/a", {"data": {"x": "1"}})
    assert again.version == patched.version == made.version


async def test_two_writers_with_one_version_conflict(cluster: Api) -> None:
    made = await cluster.post("v1/configmaps", config_map("a", x="1"))
    stale = made.body
    assert (await cluster.patch("v1/configmaps/a", {"data": {"x": "2"}})).code == 200
    refused = await cluster.put("v1/configmaps/a", stale)
    assert refused.code == 409
    assert refused.body["reason"] == "Conflict"
    assert refused.message == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply '
        "your changes to the latest version and try again"
    )


async def test_an_update_without_a_version_overwrites_what_there_is(cluster: Api) -> None:
    await cluster.post("v1/configmaps", config_map("a", x="1"))
    assert (await cluster.put("v1/configmaps/a", config_map("a", y="2"))).body["data"] == {"y": "2"}


async def test_a_dry_run_answers_and_keeps_nothing(cluster: Api) -> None:
    tried = await cluster.post("v1/configmaps?dryRun=All", config_map("a", x="1"))
    assert tried.code == 201
    assert tried.body["metadata"]["uid"]
    assert (await cluster.get("v1/configmaps/a")).code == 404
    await cluster.post("v1/configmaps", config_map("a", x="1"))
    assert (await cluster.patch("v1/configmaps/a?dryRun=All", {"data": {"x": "2"}})).body["data"] == {"x": "2"}
    assert (await cluster.get("v1/configmaps/a")).body["data"] == {"x": "1"}
    assert (await cluster.delete("v1/configmaps/a?dryRun=All")).code == 200
    assert (await cluster.get("v1/configmaps/a")).code == 200


async def test_generated_names_differ(cluster: Api) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "some-"}}
    names = [(await cluster.post("v1/configmaps", body)).body["metadata"]["name"] for _ in range(3)]
    assert len(set(names)) == 3
    assert all(name.startswith("some-") and len(name) == 10 for name in names)


async def test_names_of_existing_objects_are_taken(cluster: Api) -> None:
    await cluster.post("v1/configmaps", config_map("a"))
    refused = await cluster.post("v1/configmaps", config_map("a"))
    assert (refused.code, refused.body["reason"]) == (409, "AlreadyExists")
    assert refused.body["details"] == {"name": "a", "kind": "configmaps"}


def daemon_set() -> Json:
    """Its controller leaves the annotations alone, which a deployment counts as well."""
    body = deployment(replicas=None)
    body["kind"] = "DaemonSet"
    body["spec"]["template"]["spec"]["nodeSelector"] = {"nowhere": "true"}
    return body


async def test_generation_rises_with_the_spec_and_not_with_labels_or_status(cluster: Api) -> None:
    made = await cluster.post("apps/v1/daemonsets", daemon_set())
    assert made.body["metadata"]["generation"] == 1
    labelled = await cluster.patch("apps/v1/daemonsets/web", {"metadata": {"labels": {"a": "b"}}})
    assert labelled.body["metadata"]["generation"] == 1
    changed = await cluster.patch("apps/v1/daemonsets/web", {"spec": {"minReadySeconds": 3}})
    assert changed.body["metadata"]["generation"] == 2
    status = {"status": {"numberReady": 0, "collisionCount": 4}, "spec": {"minReadySeconds": 9}}
    told = await cluster.patch("apps/v1/daemonsets/web/status", status)
    assert told.body["metadata"]["generation"] == 2
    assert told.body["spec"]["minReadySeconds"] == 3


async def test_the_scale_of_a_deployment_can_be_read_and_written(cluster: Api) -> None:
    await cluster.post("apps/v1/deployments", deployment())
    scale = await cluster.get("apps/v1/deployments/web/scale")
    assert scale.body["kind"] == "Scale"
    assert scale.body["status"]["selector"] == "app=web"
    body = {**scale.body, "spec": {"replicas": 0}}
    body["metadata"].pop("resourceVersion")
    assert (await cluster.put("apps/v1/deployments/web/scale", body)).code == 200
    refused = await cluster.patch("apps/v1/deployments/web/scale", {"spec": {"replicas": -1}})
    assert refused.code == 422
    assert refused.causes == [
        ("spec.replicas", "FieldValueInvalid", "Invalid value: -1: must be greater than or equal to 0")
    ]
