"""What pods ask of a node. PURE."""

from collections.abc import Iterable
from decimal import Decimal

from kubernaut.devcluster.objects import Object
from kubernaut.devcluster.quantities import parse_quantity
from kubernaut.devcluster.workloads.reading import part, parts


def requests_of(pod: Object) -> dict[str, Decimal]:
    """What a pod asks of a node: the sum over its containers; limits count where requests lack."""
    total: dict[str, Decimal] = {}
    for container in parts(pod, "spec", "containers"):
        resources = part(container, "resources")
        asked = {**part(resources, "limits"), **part(resources, "requests")}
        for resource, amount in asked.items():
            total[resource] = total.get(resource, Decimal(0)) + parse_quantity(amount)
    return total


def sum_requests(pods: Iterable[Object]) -> dict[str, Decimal]:
    """What all these pods ask together; `pods` counts them."""
    total: dict[str, Decimal] = {"pods": Decimal(0)}
    for pod in pods:
        total["pods"] += 1
        for resource, amount in requests_of(pod).items():
            total[resource] = total.get(resource, Decimal(0)) + amount
    return total
