"""Creating, replacing and what a write leaves alone."""

import pytest

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


# -- what a write may not do -----------------------------------------------------------------------


async def test_a_new_object_has_no_version_yet(cluster: Api) -> None:
    body = config_map("a")
    body["metadata"]["resourceVersion"] = "1"
    refused = await cluster.post("v1/configmaps", body)
    assert refused.code == 500
    assert refused.message == "resourceVersion should not be set on objects to be created"


async def test_an_update_meant_for_another_object_of_that_name_conflicts(cluster: Api) -> None:
    await cluster.post("v1/configmaps", config_map("a"))
    body = config_map("a", x="1")
    body["metadata"]["uid"] = "0f0f0f0f-0000-4000-8000-000000000000"
    refused = await cluster.put("v1/configmaps/a", body)
    assert (refused.code, refused.body["reason"]) == (409, "Conflict")
    assert "Precondition failed: UID in precondition" in refused.message


async def test_a_patch_may_demand_a_version(cluster: Api) -> None:
    made = await cluster.post("v1/configmaps", config_map("a"))
    patch = {"metadata": {"resourceVersion": made.version}, "data": {"x": "1"}}
    assert (await cluster.patch("v1/configmaps/a", patch)).code == 200
    refused = await cluster.patch("v1/configmaps/a", patch)
    assert (refused.code, refused.body["reason"]) == (409, "Conflict")


async def test_what_the_server_decides_cannot_be_written(cluster: Api) -> None:
    made = await cluster.post("v1/configmaps", config_map("a"))
    body = config_map("a", x="1")
    body["metadata"] |= {"creationTimestamp": "2001-01-01T00:00:00Z", "generation": 7, "selfLink": "/x"}
    changed = await cluster.put("v1/configmaps/a", body)
    assert changed.body["metadata"]["creationTimestamp"] == made.body["metadata"]["creationTimestamp"]
    assert "selfLink" not in changed.body["metadata"]


async def test_unknown_fields_are_dropped_with_a_warning(cluster: Api) -> None:
    body = deployment()
    body["spec"]["replicaz"] = 3
    made = await cluster.post("apps/v1/deployments", body)
    assert made.code == 201
    assert "replicaz" not in made.body["spec"]
    assert made.headers["Warning"] == '299 - "unknown field \\"spec.replicaz\\""'


async def test_unknown_fields_are_refused_when_asked_to(cluster: Api) -> None:
    body = deployment()
    body["spec"]["replicaz"] = 3
    refused = await cluster.post("apps/v1/deployments?fieldValidation=Strict", body)
    assert (refused.code, refused.body["reason"]) == (400, "BadRequest")
    assert 'strict decoding error: unknown field "spec.replicaz"' in refused.message


async def test_fields_that_are_said_twice_are_refused_when_asked_to(cluster: Api) -> None:
    text = b'{"metadata":{"name":"a"},"data":{"x":"1"},"data":{"x":"2"}}'
    refused = await cluster.call("POST", "v1/configmaps?fieldValidation=Strict", text)
    assert refused.code == 400
    assert 'duplicate field "data"' in refused.message


async def test_a_manager_is_named_by_the_request_or_by_the_program(cluster: Api) -> None:
    made = await cluster.post("v1/configmaps?fieldManager=me", config_map("a", x="1"))
    changed = await cluster.patch("v1/configmaps/a", {"data": {"y": "1"}})
    assert [entry["manager"] for entry in made.body["metadata"]["managedFields"]] == ["me"]
    assert {entry["manager"] for entry in changed.body["metadata"]["managedFields"]} == {"me", "tester"}


async def test_a_dry_run_of_a_generated_name_still_gives_one(cluster: Api) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "some-"}}
    assert (await cluster.post("v1/configmaps?dryRun=All", body)).body["metadata"]["name"].startswith("some-")


async def test_a_dry_run_is_judged_like_a_write(cluster: Api) -> None:
    assert (await cluster.post("v1/configmaps?dryRun=All", config_map("A"))).code == 422
    await cluster.post("v1/configmaps", config_map("a"))
    assert (await cluster.post("v1/configmaps?dryRun=All", config_map("a"))).code == 409


async def test_a_lease_is_made_by_the_update_that_names_it(cluster: Api) -> None:
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": {}}
    assert (await cluster.put("coordination.k8s.io/v1/leases/l", body)).code == 201
    refused = await cluster.put("coordination.k8s.io/v1/leases/l", body)
    assert refused.code == 422
    assert refused.causes[0][0] == "metadata.resourceVersion"


# -- immutable -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
async def test_an_immutable_map_stays_as_it_is(cluster: Api, kind: str) -> None:
    path = f"v1/{kind.lower()}s"
    body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "a"}, "data": {"x": "MQ=="}, "immutable": True}
    assert (await cluster.post(path, body)).code == 201
    refused = await cluster.patch(f"{path}/a", {"data": {"x": "Mg=="}})
    assert refused.code == 422
    assert refused.causes == [
        ("data", "FieldValueForbidden", "Forbidden: field is immutable when `immutable` is set")
    ]
    refused = await cluster.patch(f"{path}/a", {"immutable": False})
    assert refused.causes[0][0] == "immutable"
    assert (await cluster.patch(f"{path}/a", {"metadata": {"labels": {"still": "changes"}}})).code == 200
    assert (await cluster.delete(f"{path}/a")).code == 200


async def test_the_type_of_a_secret_does_not_change(cluster: Api) -> None:
    await cluster.post("v1/secrets", {"metadata": {"name": "s"}, "type": "example.com/one"})
    refused = await cluster.patch("v1/secrets/s", {"type": "example.com/two"})
    assert refused.code == 422
    assert refused.causes[0][0] == "type"


async def test_text_of_a_secret_is_kept_as_data(cluster: Api) -> None:
    made = await cluster.post("v1/secrets", {"metadata": {"name": "s"}, "stringData": {"a": "b"}})
    assert made.body["data"] == {"a": "Yg=="}
    assert "stringData" not in made.body
