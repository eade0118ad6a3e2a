"""What is served, and how programs find out."""

import json

import pytest

from .api import Api, Json
from .test_custom_resources import Things, things

__all__ = ["things"]
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


async def resources(cluster: Api, path: str) -> dict[str, Json]:
    answer = await cluster.get(path)
    assert (answer.code, answer.body["kind"]) == (200, "APIResourceList")
    return {entry["name"]: entry for entry in answer.body["resources"]}


async def addresses(cluster: Api) -> Json:
    body = (await cluster.get("/openapi/v3", Accept="application/json")).body
    # The real server calls it plain text.
    return (json.loads(body) if isinstance(body, str) else body)["paths"]


async def test_the_core_group_has_one_version(cluster: Api) -> None:
    answer = await cluster.get("/api")
    assert (answer.body["kind"], answer.body["versions"]) == ("APIVersions", ["v1"])


async def test_groups_name_their_versions_and_the_preferred_one(cluster: Api) -> None:
    groups = {group["name"]: group for group in (await cluster.get("/apis")).body["groups"]}
    assert groups["apps"]["preferredVersion"] == {"groupVersion": "apps/v1", "version": "v1"}
    assert {"batch", "policy", "rbac.authorization.k8s.io", "admissionregistration.k8s.io"} <= set(groups)
    one = await cluster.get("/apis/apps")
    assert (one.body["kind"], one.body["name"]) == ("APIGroup", "apps")


@pytest.mark.parametrize(
    ("path", "name", "kind", "short", "namespaced"),
    [
        ("/api/v1", "pods", "Pod", ["po"], True),
        ("/api/v1", "nodes", "Node", ["no"], False),
        ("/apis/apps/v1", "deployments", "Deployment", ["deploy"], True),
        ("/apis/batch/v1", "cronjobs", "CronJob", ["cj"], True),
        ("/apis/policy/v1", "poddisruptionbudgets", "PodDisruptionBudget", ["pdb"], True),
    ],
)
async def test_a_resource_says_how_to_call_it(
    cluster: Api, path: str, name: str, kind: str, short: list[str], namespaced: bool
) -> None:
    entry = (await resources(cluster, path))[name]
    assert (entry["kind"], entry["shortNames"], entry["namespaced"]) == (kind, short, namespaced)
    assert {"get", "list", "watch", "create", "update", "patch", "delete"} <= set(entry["verbs"])


async def test_subresources_are_listed_with_their_own_kinds(cluster: Api) -> None:
    core, apps = await resources(cluster, "/api/v1"), await resources(cluster, "/apis/apps/v1")
    assert core["pods/eviction"]["kind"] == "Eviction"
    assert core["serviceaccounts/token"]["kind"] == "TokenRequest"
    assert core["pods/log"]["verbs"] == ["get"]
    scale = apps["deployments/scale"]
    assert (scale["kind"], scale["group"], scale["version"]) == ("Scale", "autoscaling", "v1")


async def test_one_answer_can_tell_all_groups(cluster: Api) -> None:
    answer = await cluster.call("GET", "/apis", Accept=AGGREGATED)
    assert "apidiscovery.k8s.io" in answer.headers["Content-Type"]
    items = {item["metadata"]["name"]: item for item in answer.body["items"]}
    (version,) = [one for one in items["apps"]["versions"] if one["version"] == "v1"]
    found = {entry["resource"]: entry for entry in version["resources"]}
    # Group and version are said only where they are not those of the list.
    assert found["deployments"]["responseKind"] == {"group": "", "version": "", "kind": "Deployment"}
    kinds = {entry["subresource"]: entry["responseKind"] for entry in found["deployments"]["subresources"]}
    assert kinds["scale"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}


async def test_a_custom_kind_is_found_explained_and_gone_with_its_definition(cluster: Api, things: Things) -> None:
    entry = (await resources(cluster, f"/apis/{things.group}/v1"))["things"]
    assert (entry["kind"], entry["singularName"]) == ("Thing", "thing")
    paths = await addresses(cluster)
    address = paths[f"apis/{things.group}/v1"]["serverRelativeURL"]
    schemas = (await cluster.get(address, Accept="application/json")).body["components"]["schemas"]
    (thing,) = [schema for name, schema in schemas.items() if name.endswith(".Thing")]
    assert thing["x-kubernetes-group-version-kind"] == [{"group": things.group, "kind": "Thing", "version": "v1"}]
    assert thing["properties"]["spec"]["properties"]["size"]["type"] == "integer"


async def test_builtin_kinds_are_described_for_explain_and_validation(cluster: Api) -> None:
    paths = await addresses(cluster)
    address = paths["apis/apps/v1"]["serverRelativeURL"]
    schemas = (await cluster.get(address, Accept="application/json")).body["components"]["schemas"]
    deployment = schemas["io.k8s.api.apps.v1.Deployment"]
    kind = {"group": "apps", "kind": "Deployment", "version": "v1"}
    assert kind in deployment["x-kubernetes-group-version-kind"]
    spec = schemas["io.k8s.api.apps.v1.DeploymentSpec"]
    assert spec["properties"]["replicas"]["type"] == "integer"
    assert "selector" in spec["required"]


async def test_the_server_names_its_version(cluster: Api) -> None:
    body = (await cluster.get("/version")).body
    assert body["major"] == "1"
    assert body["gitVersion"].startswith("v1.")


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
async def test_the_server_says_that_it_is_well(cluster: Api, path: str) -> None:
    assert (await cluster.get(path)).body == "ok"


async def test_a_path_that_is_none_is_404(cluster: Api) -> None:
    assert (await cluster.get("/nowhere")).code == 404
