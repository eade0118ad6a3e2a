"""Whether larger pods still fit into a namespace: its LimitRanges and its ResourceQuotas. Pure but for reading.

The API server looks at pods only, not at the templates of what makes them: a Deployment that its namespace has no
room for is accepted, and its rollout hangs. Quotas with scopes are not looked at.
Source of the rules: k8s.io/kubernetes plugin/pkg/admission/limitranger and quota evaluators for pods.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from kubernaut.actions.deployments import desired_replicas
from kubernaut.actions.reading import part, parts
from kubernaut.api.quantity import from_quantity
from kubernaut.sdk import Forbidden, Object, Permission, Refused, Run, kinds

LIST_LIMITS = Permission(api_groups=("",), resources=("limitranges", "resourcequotas"), verbs=("list",))

_NOTHING = Decimal(0)


class Room(NamedTuple):
    """What a namespace allows."""

    limit_ranges: Sequence[Object] = ()
    quotas: Sequence[Object] = ()


async def read_room(run: Run, namespace: str) -> Room:
    """What the namespace allows; where that may not be read, everything."""
    try:
        return Room(
            await run.cluster.list(kinds.LIMIT_RANGES, namespace),
            await run.cluster.list(kinds.RESOURCE_QUOTAS, namespace),
        )
    except Forbidden:
        run.say("limits and quotas of the namespace could not be seen: listing them is forbidden")
        return Room()


def refuse_without_room(room: Room, before: Object, after: Object) -> None:
    """Raises Refused, `OverLimit` or `OverQuota`, when pods of the changed workload would not be let in."""
    over = list(_over_limits(room.limit_ranges, after["spec"]["template"]["spec"]))
    if over:
        raise Refused("OverLimit", "; ".join(over))
    over = list(_over_quotas(room.quotas, before, after))
    if over:
        raise Refused("OverQuota", "; ".join(over))


def _over_limits(limit_ranges: Sequence[Object], pod: Object) -> Iterator[str]:
    for limit_range in limit_ranges:
        name = f"LimitRange {limit_range['metadata']['namespace']}/{limit_range['metadata']['name']}"
        for item in parts(limit_range, "spec", "limits"):
            if item.get("type") == "Container":
                for container in pod["containers"]:
                    yield from _over_of_container(name, item, container)
            elif item.get("type") == "Pod":
                for resource, most in part(item, "max").items():
                    total = _total(pod, "limits", resource)
                    if total > from_quantity(most):
                        told = text(total, resource)
                        yield f"{name} allows a pod {most} of {resource}, its containers would have {told}"


def _over_of_container(name: str, item: Object, container: Object) -> Iterator[str]:
    for resource, most in part(item, "max").items():
        asked = [amount for where in ("limits", "requests") if (amount := _amount(container, where, resource))]
        if asked and max(asked) > from_quantity(most):
            told = text(max(asked), resource)
            yield f"{name} allows a container {most} of {resource}, {container['name']} would have {told}"
    for resource, most in part(item, "maxLimitRequestRatio").items():
        limit, request = (_amount(container, where, resource) for where in ("limits", "requests"))
        if request and limit / request > from_quantity(most):
            yield (
                f"{name} allows limits of {most} times the request of {resource}, {container['name']} would have "
                f"{text(limit, resource)} and {text(request, resource)}"
            )


def _over_quotas(quotas: Sequence[Object], before: Object, after: Object) -> Iterator[str]:
    pods = _pods(before)
    old, new = before["spec"]["template"]["spec"], after["spec"]["template"]["spec"]
    for quota in quotas:
        if quota["spec"].get("scopes") or quota["spec"].get("scopeSelector"):
            continue
        used = part(quota, "status", "used")
        for name, hard in part(quota, "status", "hard").items():
            where, resource = _counted(name)
            if not where or name not in used:
                continue
            was = _total(old, where, resource)
            more = pods * (_total(new, where, resource) - was)
            if pods and _needs_one_more(before):
                more += was
            if more > 0 and from_quantity(used[name]) + more > from_quantity(hard):
                meta = quota["metadata"]
                yield (
                    f"ResourceQuota {meta['namespace']}/{meta['name']} allows {name}={hard}, of which "
                    f"{used[name]} is used: replacing {pods} pods needs {text(more, resource)} more"
                )


def _counted(name: str) -> tuple[str, str]:
    """`limits.memory` -> (limits, memory); `cpu` is `requests.cpu`. Empty for what no container asks for."""
    where, _, resource = name.rpartition(".")
    known = resource in ("cpu", "memory") and where in ("", "requests", "limits")
    return (where or "requests", resource) if known else ("", "")


def _pods(workload: Object) -> int:
    if workload["kind"] == "DaemonSet":
        return int(part(workload, "status").get("desiredNumberScheduled", 0))
    return desired_replicas(workload)


def _needs_one_more(workload: Object) -> bool:
    """Whether a new pod must come before the first old one goes."""
    strategy = part(workload, "spec", "strategy")
    if workload["kind"] != "Deployment" or strategy.get("type") == "Recreate":
        return False
    amount = str(part(strategy, "rollingUpdate").get("maxUnavailable", "25%"))
    share = int(amount[:-1]) * desired_replicas(workload) // 100 if amount.endswith("%") else int(amount)
    return share == 0


def _total(pod: Object, where: str, resource: str) -> Decimal:
    return sum((_amount(container, where, resource) for container in pod["containers"]), _NOTHING)


def _amount(container: Object, where: str, resource: str) -> Decimal:
    found = part(container, "resources", where).get(resource)
    if found is None and where == "requests":
        # Without a request, the limit is it.
        found = part(container, "resources", "limits").get(resource)
    return _NOTHING if found is None else from_quantity(found)


def text(amount: Decimal, resource: str) -> str:
    """As people write it: `512Mi`, `250m`."""
    if resource == "cpu":
        return f"{int(amount)}" if amount == int(amount) else f"{int(amount * 1000)}m"
    for unit, size in (("Gi", 2**30), ("Mi", 2**20)):
        if amount and amount % size == 0:
            return f"{int(amount / size)}{unit}"
    return str(int(amount))
