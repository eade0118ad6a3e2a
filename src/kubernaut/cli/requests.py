"""Asking something of a running execution: an entry appended to `spec.requests`."""

from kubernaut.cli.output import parts, value_at
from kubernaut.cli.session import fetch
from kubernaut.cluster import Cluster, Conflict, Forbidden, Invalid, Json, NotFound, ResourceKind, kinds
from kubernaut.concurrency import SystemClock

# Who the server takes us for (authentication.k8s.io/v1, served since Kubernetes 1.28).
_SELF_REVIEWS = ResourceKind(
    "authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", namespaced=False
)
_TRIES = 5


async def ask(cluster: Cluster, name: str, namespace: str, what: str, reason: str) -> None:
    """Appends the request. Raises ClusterError; Conflict only when the object changes all the time."""
    request: Json = {"type": what, "at": SystemClock().now().strftime("%Y-%m-%dT%H:%M:%SZ")}
    if reason:
        request["reason"] = reason
    user = await _own_name(cluster)
    if user:
        request["requester"] = {"username": user}
    for tries_left in reversed(range(_TRIES)):
        found = await fetch(cluster, kinds.WORKFLOW_EXECUTIONS, name, namespace)
        requests = [*parts(found, "spec.requests"), request]
        # The resourceVersion keeps two people from losing one another's request.
        change = {
            "metadata": {"resourceVersion": found["metadata"]["resourceVersion"]},
            "spec": {"requests": requests},
        }
        try:
            await cluster.patch(kinds.WORKFLOW_EXECUTIONS, name, namespace, change)
        except Conflict:
            if not tries_left:
                raise
        else:
            return


async def _own_name(cluster: Cluster) -> str:
    try:
        review = await cluster.create(_SELF_REVIEWS, {}, field_manager="")
    except (NotFound, Forbidden, Invalid):
        return ""
    return str(value_at(review, "status.userInfo.username") or "")
