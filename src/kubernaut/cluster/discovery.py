"""What a server serves, and which version of our kinds is installed in it."""

from kubernaut.cluster.client import Cluster
from kubernaut.cluster.errors import NotFound
from kubernaut.cluster.kinds import CUSTOM_RESOURCE_DEFINITIONS, ResourceKind
from kubernaut.cluster.requests import Json


async def is_served(cluster: Cluster, kind: ResourceKind) -> bool:
    """Whether the server has this plural in this group and version."""
    try:
        found = await cluster.request("GET", kind.root)
    except NotFound:
        return False
    resources: list[Json] = found.get("resources") or []
    return any(resource.get("name") == kind.plural for resource in resources)


async def served_kind(cluster: Cluster, api_version: str, kind: str) -> ResourceKind:
    """The resource of a kind, as the server lists it. Raises NotFound when it does not serve it."""
    group, _, version = api_version.rpartition("/")
    root = ResourceKind(group, version, kind, "").root
    found = await cluster.request("GET", root)
    resources: list[Json] = found.get("resources") or []
    for resource in resources:
        if resource.get("kind") == kind and "/" not in resource["name"]:
            return ResourceKind(group, version, kind, resource["name"], bool(resource.get("namespaced")))
    raise NotFound(f"the cluster has no {kind} in {api_version}", status=404)


async def crd_annotation(cluster: Cluster, kind: ResourceKind, annotation: str) -> str | None:
    """An annotation of the kind's CustomResourceDefinition. Raises NotFound without one."""
    found = await cluster.get(CUSTOM_RESOURCE_DEFINITIONS, kind.resource)
    annotations: dict[str, str] = found["metadata"].get("annotations") or {}
    return annotations.get(annotation)
