"""What tainting and untainting nodes have in common. Pure."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from kubernaut.sdk import Object, Refused

Effect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]
TaintKey = Annotated[
    str,
    Meta(
        pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        max_length=317,
        description="Key of the taint, as example.com/maintenance.",
    ),
]
TaintValue = Annotated[
    str,
    Meta(
        pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63, description="Value of the taint."
    ),
]

# The node controller keeps these in step with the node's conditions.
_KUBERNETES = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")


def taints_of(node: Object) -> list[Object]:
    """As they stand in the node's spec."""
    found: list[Object] = node.get("spec", {}).get("taints") or []
    return found


def identity(taint: Object) -> tuple[Any, Any]:
    """A node has at most one taint of a key and an effect."""
    return taint.get("key"), taint.get("effect")


def value_of(taint: Object) -> str:
    """Absent and empty are the same."""
    return str(taint.get("value") or "")


def made(key: str, effect: str, value: str) -> Object:
    """A taint as the API server stores it."""
    return {"key": key, **({"value": value} if value else {}), "effect": effect}


def refuse_kubernetes_own(key: str) -> None:
    """Raises Refused("NotToBeChanged"): the node controller would put it back."""
    if key.startswith(_KUBERNETES):
        raise Refused("NotToBeChanged", f"Kubernetes itself sets and removes {key}, as the node's conditions are")
