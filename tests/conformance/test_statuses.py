"""What is refused, and the Status that says so."""

from typing import Any

import pytest

from .api import MERGE, Api, Json
from .objects import config_map, deployment


def status(code: int, reason: str, message: str, **details: Any) -> Json:
    found: Json = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
    return {**found, "details": details} if details else found


async def test_what_does_not_exist_is_404_and_named(cluster: Api) -> None:
    missing = await cluster.get("v1/configmaps/a")
    assert missing.code == 404
    assert missing.body == status(404, "NotFound", 'configmaps "a" not found', name="a", kind="configmaps")


async def test_what_does_not_exist_in_a_group_names_the_group(cluster: Api) -> None:
    missing = await cluster.get("apps/v1/deployments/a")
    details = {"name": "a", "group": "apps", "kind": "deployments"}
    assert missing.body == status(404, "NotFound", 'deployments.apps "a" not found', **details)


async def test_changing_and_deleting_what_does_not_exist_is_404(cluster: Api) -> None:
    assert (await cluster.put("v1/configmaps/a", config_map("a"))).code == 404
    assert (await cluster.patch("v1/configmaps/a", {"data": {}})).code == 404
    assert (await cluster.delete("v1/configmaps/a")).code == 404


async def test_a_kind_that_is_not_served_is_404(cluster: Api) -> None:
    missing = await cluster.get("v1/confmaps")
    assert missing.code == 404
    assert missing.message == "the server could not find the requested resource"


async def test_a_group_that_is_not_served_is_a_page_not_found(cluster: Api) -> None:
    missing = await cluster.get("/apis/nowhere.example.com/v1/namespaces/default/things")
    assert (missing.code, missing.body) == (404, "404 page not found\n")


async def test_a_namespace_that_does_not_exist_takes_nothing(cluster: Api) -> None:
    refused = await cluster.post("/api/v1/namespaces/kubernaut-nowhere/configmaps", config_map("a"))
    assert refused.code == 404
    assert refused.message == 'namespaces "kubernaut-nowhere" not found'


async def test_a_body_that_is_no_json_is_400(cluster: Api) -> None:
    refused = await cluster.call("POST", "v1/configmaps", b"{oops")
    assert (refused.code, refused.body["reason"]) == (400, "BadRequest")


async def test_a_body_of_another_kind_is_400(cluster: Api) -> None:
    refused = await cluster.post("v1/configmaps", {**config_map("a"), "kind": "Secret"})
    assert (refused.code, refused.body["reason"]) == (400, "BadRequest")
    assert "cannot be handled as a ConfigMap" in refused.message


async def test_a_value_of_another_type_is_400_and_names_its_place(cluster: Api) -> None:
    body = deployment()
    body["spec"]["replicas"] = "many"
    refused = await cluster.post("apps/v1/deployments", body)
    assert (refused.code, refused.body["reason"]) == (400, "BadRequest")
    assert "spec.replicas" in refused.message


async def test_a_name_that_is_not_the_one_of_the_address_is_400(cluster: Api) -> None:
    await cluster.post("v1/configmaps", config_map("a"))
    refused = await cluster.put("v1/configmaps/a", config_map("b"))
    assert refused.code == 400
    assert refused.message == "the name of the object (b) does not match the name on the URL (a)"


async def test_a_namespace_that_is_not_the_one_of_the_address_is_400(cluster: Api) -> None:
    body = config_map("a")
    body["metadata"]["namespace"] = "default"
    refused = await cluster.post("v1/configmaps", body)
    assert refused.code == 400
    assert "does not match the namespace" in refused.message


async def test_creating_needs_no_name_in_the_address(cluster: Api) -> None:
    refused = await cluster.post("v1/configmaps/a", config_map("a"))
    assert (refused.code, refused.body["reason"]) == (405, "MethodNotAllowed")


async def test_a_patch_of_an_unknown_type_is_415(cluster: Api) -> None:
    await cluster.post("v1/configmaps", config_map("a"))
    refused = await cluster.patch("v1/configmaps/a", {"data": {}}, "application/json")
    assert (refused.code, refused.body["reason"]) == (415, "UnsupportedMediaType")


async def test_a_body_of_an_unknown_type_is_415(cluster: Api) -> None:
    refused = await cluster.call("POST", "v1/configmaps", b"a", "text/csv")
    assert (refused.code, refused.body["reason"]) == (415, "UnsupportedMediaType")


async def test_yaml_is_taken_as_well_as_json(cluster: Api) -> None:
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: '1'}\n"
    made = await cluster.call("POST", "v1/configmaps", text, "application/yaml")
    assert (made.code, made.body["data"]) == (201, {"x": "1"})


async def test_every_fault_of_an_object_is_a_cause(cluster: Api) -> None:
    body = config_map("a", {"bad key!": "x"})
    body["data"] = {"no/slash": "1"}
    refused = await cluster.post("v1/configmaps", body)
    assert (refused.code, refused.body["reason"]) == (422, "Invalid")
    assert [cause[0] for cause in refused.causes] == ["metadata.labels", "data[no/slash]"]
    assert {key: refused.body["details"][key] for key in ("name", "kind")} == {"name": "a", "kind": "ConfigMap"}


@pytest.mark.parametrize("name", ["A", "a_b", "-a", "a..b", "x" * 254])
async def test_names_are_lower_case_and_short(cluster: Api, name: str) -> None:
    refused = await cluster.post("v1/configmaps", config_map(name))
    assert refused.code == 422
    assert refused.causes[0][:2] == ("metadata.name", "FieldValueInvalid")


async def test_an_object_needs_a_name(cluster: Api) -> None:
    refused = await cluster.post("v1/configmaps", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}})
    assert refused.code == 422
    assert refused.causes == [
        ("metadata.name", "FieldValueRequired", "Required value: name or generateName is required")
    ]


async def test_a_body_of_many_megabytes_is_413(cluster: Api) -> None:
    refused = await cluster.post("v1/configmaps", config_map("a", x="y" * (4 << 20)))
    assert refused.code == 413
    assert refused.body["reason"] == "RequestEntityTooLarge"


async def test_a_map_of_more_than_a_megabyte_is_refused(cluster: Api) -> None:
    refused = await cluster.post("v1/configmaps", config_map("a", x="y" * ((1 << 20) + 1)))
    assert refused.code == 422
    assert refused.causes[0][1] == "FieldValueTooLong"


async def test_force_is_for_apply_only(cluster: Api) -> None:
    await cluster.post("v1/configmaps", config_map("a"))
    refused = await cluster.patch("v1/configmaps/a?force=true", {"data": {}}, MERGE)
    assert (refused.code, refused.body["reason"]) == (422, "Invalid")
    assert refused.causes[0][0] == "force"


async def test_dry_runs_are_all_or_nothing(cluster: Api) -> None:
    refused = await cluster.post("v1/configmaps?dryRun=Some", config_map("a"))
    assert (refused.code, refused.body["reason"]) == (422, "Invalid")
    assert refused.causes[0][0] == "dryRun"


async def test_somebody_without_a_credential_reads_nothing(cluster: Api) -> None:
    async with cluster.stranger.get(cluster.at("v1/configmaps")) as response:
        # A cluster may know anonymous users; they may do nothing.
        assert response.status in (401, 403)


async def test_who_may_not_is_told_what(cluster: Api) -> None:
    refused = await cluster.get("apps/v1/deployments/web", Impersonate_User="bob")
    message = (
        'deployments.apps "web" is forbidden: User "bob" cannot get resource "deployments" in API group "apps" '
        f'in the namespace "{cluster.namespace}"'
    )
    details = {"name": "web", "group": "apps", "kind": "deployments"}
    assert refused.body == status(403, "Forbidden", message, **details)
    wide = await cluster.get("/api/v1/nodes", Impersonate_User="bob")
    assert wide.message == (
        'nodes is forbidden: User "bob" cannot list resource "nodes" in API group "" at the cluster scope'
    )
