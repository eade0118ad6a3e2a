"""LimitRanges at the door: defaults for containers that say nothing, refusal of what is out of bounds.

Source: k8s.io/kubernetes plugin/pkg/admission/limitranger.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from .errors import Forbidden
from .kinds.pods import quality_of_service
from .objects import Object, list_at, map_at
from .quantities import parse_quantity
from .resources import PERSISTENT_VOLUME_CLAIMS, PODS
from .store import Attributes

LIMIT_RANGES = "limitranges"
_TOLD = "kubernetes.io/limit-ranger"


def apply_defaults(attributes: Attributes) -> None:
    """A mutating step: new pods get the requests and limits of their namespace."""
    pod = attributes.object
    if (
        attributes.operation != "CREATE"
        or attributes.resource.key != PODS
        or pod is None
        or attributes.subresource
    ):
        return
    told = [text for item in _items(attributes, "Container") for text in _merged(pod["spec"], item)]
    if told:
        annotations = pod["metadata"].setdefault("annotations", {})
        annotations[_TOLD] = "LimitRanger plugin set: " + "; ".join(told)
        pod["status"]["qosClass"] = quality_of_service(pod["spec"])


def refuse_out_of_bounds(attributes: Attributes) -> None:
    """A validating step. Raises Forbidden."""
    obj, key = attributes.object, attributes.resource.key
    if obj is None or attributes.subresource or attributes.operation == "DELETE":
        return
    if key == PODS and attributes.operation == "CREATE":
        complaints = [*_pod_complaints(attributes, obj["spec"])]
    elif key == PERSISTENT_VOLUME_CLAIMS:
        asked = _Amounts(map_at(obj, "spec", "resources", "requests"), {}, is_claim=True)
        complaints = [c for item in _items(attributes, "PersistentVolumeClaim") for c in _complaints(item, asked)]
    else:
        return
    if complaints:
        words = complaints[0] if len(complaints) == 1 else f"[{', '.join(complaints)}]"
        raise Forbidden(f'{key} "{attributes.name}" is forbidden: {words}', {"name": attributes.name, "kind": key})


def _items(attributes: Attributes, kind: str) -> Iterator[Object]:
    for record in attributes.store.ledger.records(LIMIT_RANGES, attributes.namespace):
        for item in list_at(record.object, "spec", "limits"):
            if item.get("type") == kind:
                yield item


# -- defaults ----------------------------------------------------------------------------------------


def _merged(spec: Object, item: Object) -> Iterator[str]:
    """What was set, in the words of the annotation."""
    for part, word in (("containers", "container"), ("initContainers", "init container")):
        for container in list_at(spec, part):
            for kind, source, name in (
                ("requests", "defaultRequest", "request"),
                ("limits", "default", "limit"),
            ):
                held = map_at(container, "resources", kind)
                missing = {key: value for key, value in map_at(item, source).items() if key not in held}
                if missing:
                    container.setdefault("resources", {})[kind] = {**held, **missing}
                    yield f"{', '.join(sorted(missing))} {name} for {word} {container['name']}"


# -- bounds ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Amounts:
    """What a container, a whole pod or a claim asks for, by resource."""

    requests: dict[str, str]
    limits: dict[str, str]
    is_claim: bool = False


def _pod_complaints(attributes: Attributes, spec: Object) -> Iterator[str]:
    for item in _items(attributes, "Container"):
        for part in ("containers", "initContainers"):
            for container in list_at(spec, part):
                resources = map_at(container, "resources")
                yield from _complaints(item, _Amounts(map_at(resources, "requests"), map_at(resources, "limits")))
    for item in _items(attributes, "Pod"):
        yield from _complaints(item, _Amounts(_whole(spec, "requests"), _whole(spec, "limits")))


def _whole(spec: Object, kind: str) -> dict[str, str]:
    """Of all containers together, or of the one init container that wants more."""
    amounts: dict[str, list[str]] = {}
    for container in list_at(spec, "containers"):
        for name, amount in map_at(container, "resources", kind).items():
            amounts.setdefault(name, []).append(amount)
    found = {name: _sum(many) for name, many in amounts.items()}
    for container in list_at(spec, "initContainers"):
        for name, amount in map_at(container, "resources", kind).items():
            if name not in found or parse_quantity(amount) > parse_quantity(found[name]):
                found[name] = amount
    return found


def _sum(amounts: list[str]) -> str:
    if len(amounts) == 1:
        return amounts[0]
    total = sum((parse_quantity(amount) for amount in amounts), Decimal(0))
    if amounts[0].endswith("i"):
        steps: tuple[tuple[str, Decimal], ...] = tuple(
            (f"{letter}i", Decimal(1024) ** power) for power, letter in reversed([*enumerate("KMGTPE", start=1)])
        )
    else:
        steps = tuple(
            (letter, Decimal(10) ** power) for letter, power in zip("EPTGMk", range(18, 0, -3), strict=True)
        )
    for suffix, size in (*steps, ("", Decimal(1)), ("m", Decimal("0.001"))):
        if total % size == 0 and total:
            return f"{int(total / size)}{suffix}"
    return str(total)


def _complaints(item: Object, asked: _Amounts) -> Iterator[str]:
    kind = str(item.get("type"))
    for part, judge in (("min", _too_little), ("max", _too_much), ("maxLimitRequestRatio", _too_far_apart)):
        for name, bound in sorted(map_at(item, part).items()):
            if words := judge(asked, name, bound):
                yield words.format(name=name, kind=kind, bound=bound)


def _too_little(asked: _Amounts, name: str, bound: str) -> str:
    head = "minimum {name} usage per {kind} is {bound}"
    request, limit = asked.requests.get(name), asked.limits.get(name)
    if request is None:
        return head + ".  No request is specified"
    if parse_quantity(request) < parse_quantity(bound):
        return f"{head}, but request is {request}"
    if limit is not None and parse_quantity(limit) < parse_quantity(bound):
        return f"{head}, but limit is {limit}"
    return ""


def _too_much(asked: _Amounts, name: str, bound: str) -> str:
    head = "maximum {name} usage per {kind} is {bound}"
    request, limit = asked.requests.get(name), asked.limits.get(name)
    if limit is None and not asked.is_claim:
        return head + ".  No limit is specified"
    if limit is not None and parse_quantity(limit) > parse_quantity(bound):
        return f"{head}, but limit is {limit}"
    if request is None:
        return head + ".  No request is specified" if asked.is_claim else ""
    if parse_quantity(request) > parse_quantity(bound):
        return f"{head}, but request is {request}"
    return ""


def _too_far_apart(asked: _Amounts, name: str, bound: str) -> str:
    head = "{name} max limit to request ratio per {kind} is {bound}"
    request, limit = (parse_quantity(part.get(name, "0")) for part in (asked.requests, asked.limits))
    if not request:
        return head + ", but no request is specified or request is 0"
    if not limit:
        return head + ", but no limit is specified or limit is 0"
    ratio = limit / request
    return f"{head}, but provided ratio is {ratio:.6f}" if ratio > parse_quantity(bound) else ""
