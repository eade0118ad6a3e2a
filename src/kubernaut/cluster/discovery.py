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


async def crd_annotation(cluster: Cluster, kind: ResourceKind, annotation: str) -> str | None:
    """An annotation of the kind's CustomResourceDefinition. Raises NotFound without one."""
    found = await cluster.get(CUSTOM_RESOURCE_DEFINITIONS, kind.resource)
    annotations: dict[str, str] = found["metadata"].get("annotations") or {}
    return annotations.get(annotation)
