"""What several controllers ask about pods, owners and conditions."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from kubernaut.devcluster.objects import Object, controller_of, copied, labels_of
from kubernaut.devcluster.workloads import moments
from kubernaut.devcluster.workloads.reading import items, part, parts

FINISHED = frozenset({"Succeeded", "Failed"})


def phase_of(pod: Object) -> str:
    """Pending when nothing is written yet."""
    return str(part(pod, "status").get("phase") or "Pending")


def is_finished(pod: Object) -> bool:
    return phase_of(pod) in FINISHED


def is_active(pod: Object) -> bool:
    """Neither finished nor on its way out."""
    return not is_finished(pod) and not pod["metadata"].get("deletionTimestamp")


def is_terminating(pod: Object) -> bool:
    """Asked to go, and its containers may still run."""
    return bool(pod["metadata"].get("deletionTimestamp")) and not is_finished(pod)


def condition_of(obj: Object, type_: str) -> Object | None:
    """The condition of this type in an object's status."""
    conditions: list[Object] = parts(obj, "status", "conditions")
    return next((c for c in conditions if c.get("type") == type_), None)


def has_condition(obj: Object, type_: str) -> bool:
    """Whether the condition is there and True."""
    found = condition_of(obj, type_)
    return found is not None and found.get("status") == "True"


def is_ready(pod: Object) -> bool:
    return has_condition(pod, "Ready")


def seconds_until_available(pod: Object, min_ready_seconds: int, now: datetime) -> float | None:
    """0 when available, a wait while ready for too short, None while not ready."""
    ready = condition_of(pod, "Ready")
    if ready is None or ready.get("status") != "True":
        return None
    if not min_ready_seconds or not ready.get("lastTransitionTime"):
        return 0.0
    waited = moments.seconds_since(ready["lastTransitionTime"], now)
    return max(0.0, min_ready_seconds - waited)


def is_controlled_by(obj: Object, owner: Object) -> bool:
    """By uid: an owner of the same name that came later does not count."""
    reference = controller_of(obj)
    return reference is not None and reference.get("uid") == owner["metadata"]["uid"]


def owner_reference(owner: Object) -> Object:
    """The reference a controller puts on what it creates."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def pod_from_template(owner: Object, *, finalizers: Iterable[str] = ()) -> Object:
    """A pod as the controllers ask for it: the template, a generated name, an owner."""
    template: Object = copied(owner["spec"]["template"])
    written = part(template, "metadata")
    meta: Object = {
        "generateName": f"{owner['metadata']['name'][:57]}-",
        "namespace": owner["metadata"]["namespace"],
        "labels": part(written, "labels"),
        "ownerReferences": [owner_reference(owner)],
    }
    if written.get("annotations"):
        meta["annotations"] = written["annotations"]
    if wanted := [*items(written, "finalizers"), *finalizers]:
        meta["finalizers"] = wanted
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}


def selects(selector: Mapping[str, Any] | None, obj: Object) -> bool:
    """A label selector (meta/v1 LabelSelector); an absent or empty one selects nothing here.

    Empty selectors select everything in the API, but controllers refuse to work with them.
    """
    if not selector:
        return False
    labels = labels_of(obj)
    wanted: Mapping[str, str] = part(selector, "matchLabels")
    rules: list[Object] = parts(selector, "matchExpressions")
    if not wanted and not rules:
        return False
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _keeps(rule, labels) for rule in rules
    )


def _keeps(rule: Object, labels: Mapping[str, str]) -> bool:
    key, values = rule["key"], items(rule, "values")
    match rule["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:  # DoesNotExist
            return key not in labels


def condition(
    type_: str, status: str, reason: str, message: str, now: datetime, *, updates: bool = False
) -> Object:
    """A condition that changed now; `updates` adds lastUpdateTime, as Deployments have it."""
    text = moments.to_text(now)
    made: Object = {"type": type_, "status": status, "reason": reason, "message": message}
    if updates:
        made["lastUpdateTime"] = text
    made["lastTransitionTime"] = text
    return made
