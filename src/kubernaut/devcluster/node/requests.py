"""What pods ask of a node. PURE.

Source of the rules: k8s.io/component-helpers resource (PodRequests).
"""

from collections.abc import Iterable
from decimal import Decimal

from kubernaut.devcluster.objects import Object
from kubernaut.devcluster.quantities import parse_quantity
from kubernaut.devcluster.workloads.reading import part, parts

Amounts = dict[str, Decimal]


def requests_of(pod: Object) -> Amounts:
    """What a pod asks of a node; limits count where requests lack.

    Init containers run before the others: the largest sum of what runs at one time counts. Sidecars run with
    all that come after them.
    """
    together = _sum(_asked(container) for container in parts(pod, "spec", "containers"))
    beside: Amounts = {}
    most: Amounts = {}
    for container in parts(pod, "spec", "initContainers"):
        if container.get("restartPolicy") == "Always":
            beside = _sum((beside, _asked(container)))
            most = _largest(most, beside)
        else:
            most = _largest(most, _sum((beside, _asked(container))))
    overhead = {name: parse_quantity(amount) for name, amount in part(pod, "spec", "overhead").items()}
    return _sum((_largest(_sum((together, beside)), most), overhead))


def sum_requests(pods: Iterable[Object]) -> Amounts:
    """What all these pods ask together; `pods` counts them."""
    found = list(pods)
    return {"pods": Decimal(len(found)), **_sum(requests_of(pod) for pod in found)}


def _asked(container: Object) -> Amounts:
    resources = part(container, "resources")
    asked = {**part(resources, "limits"), **part(resources, "requests")}
    return {name: parse_quantity(amount) for name, amount in asked.items()}


def _sum(amounts: Iterable[Amounts]) -> Amounts:
    total: Amounts = {}
    for each in amounts:
        for name, amount in each.items():
            total[name] = total.get(name, Decimal(0)) + amount
    return total


def _largest(one: Amounts, other: Amounts) -> Amounts:
    names = {**one, **other}
    return {name: max(one.get(name, Decimal(0)), other.get(name, Decimal(0))) for name in names}
