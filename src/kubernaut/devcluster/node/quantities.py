"""Amounts of resources as Kubernetes writes them. PURE.

Source of the format: k8s.io/apimachinery pkg/api/resource/quantity.go.
"""

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from kubernaut.devcluster.objects import Object
from kubernaut.devcluster.workloads.reading import part, parts

_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def parse_quantity(text: str) -> Decimal:
    """Raises ValueError."""
    text = str(text)
    try:
        if text[-2:] in _BINARY:
            return Decimal(text[:-2]) * Decimal(1024) ** _BINARY[text[-2:]]
        if text[-1:] in _DECIMAL:
            return Decimal(text[:-1]).scaleb(_DECIMAL[text[-1:]])
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is not a quantity") from error


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
