"""Asking something of an execution: an entry appended to `spec.requests`, or `spec.stop` of a lone action."""

from datetime import datetime

from kubernaut.cli.output import moment, part, parts
from kubernaut.cli.session import fetch
from kubernaut.cluster import Cluster, Conflict, Forbidden, Invalid, Json, NotFound, ResourceKind, kinds
from kubernaut.concurrency import SystemClock

# Who the server takes us for (authentication.k8s.io/v1, served since Kubernetes 1.28).
_SELF_REVIEWS = ResourceKind(
    "authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", namespaced=False
)
_TRIES = 5
_STOPS = {"cancel": "Cancelled", "abort": "Aborted"}


async def ask(
    cluster: Cluster, name: str, namespace: str, what: str, reason: str, *, step: str = "", outcome: str = ""
) -> None:
    """Appends the request. Raises ClusterError; Conflict only when the object changes all the time."""
    user = await _own_name(cluster)
    for tries_left in reversed(range(_TRIES)):
        found = await fetch(cluster, kinds.WORKFLOW_EXECUTIONS, name, namespace)
        request: Json = {"type": what, "at": timestamp(_now(found, step))}
        request |= {
            key: value for key, value in (("reason", reason), ("step", step), ("outcome", outcome)) if value
        }
        if user:
            request["requester"] = {"username": user}
        # The resourceVersion keeps two people from losing one another's request.
        change = {
            "metadata": {"resourceVersion": found["metadata"]["resourceVersion"]},
            "spec": {"requests": [*parts(found, "spec.requests"), request]},
        }
        try:
            await cluster.patch(kinds.WORKFLOW_EXECUTIONS, name, namespace, change)
        except Conflict:
            if not tries_left:
                raise
        else:
            return


async def stop_action(cluster: Cluster, found: Json, what: str, reason: str) -> None:
    """Asks the running attempt of a lone ActionExecution to end. Raises ClusterError."""
    user = await _own_name(cluster) or "somebody"
    why = f": {reason}" if reason else "."
    stop = {
        "reason": _STOPS[what],
        "at": timestamp(SystemClock().now()),
        "message": f"{what.capitalize()} was requested by {user}{why}",
    }
    metadata = found["metadata"]
    change = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "spec": {"stop": stop}}
    await cluster.patch(kinds.ACTION_EXECUTIONS, metadata["name"], metadata["namespace"], change)


def _now(found: Json, step: str) -> datetime:
    """Not before what is spoken about, even where this machine's clock is behind the controller's."""
    now = SystemClock().now()
    ends = [moment(one.get("completedAt")) for one in parts(found, "status.steps") if step and one["name"] == step]
    return max([now, *(end for end in ends if end is not None)])


def timestamp(when: datetime) -> str:
    """RFC 3339 with microseconds."""
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def signed(cluster: Cluster, body: Json) -> Json:
    """A workflow with the name of who asks for it, where it does not say: whoever approves must be another one."""
    if body["kind"] != kinds.WORKFLOW_EXECUTIONS.kind or part(body, "spec.requester"):
        return body
    username = await _own_name(cluster)
    return {**body, "spec": {**body["spec"], "requester": {"username": username}}} if username else body


async def own_identity(cluster: Cluster) -> Json:
    """Who the server takes us for: `username` and `groups`; empty where it does not say."""
    try:
        review = await cluster.create(_SELF_REVIEWS, {}, field_manager="")
    except (NotFound, Forbidden, Invalid):
        return {}
    return part(review, "status.userInfo")


async def _own_name(cluster: Cluster) -> str:
    return str((await own_identity(cluster)).get("username") or "")
