"""Which requests a policy or a webhook is asked about."""

from __future__ import annotations

from collections.abc import Iterable

from kubernaut.devcluster.objects import Object, labels_of, list_at, map_at
from kubernaut.devcluster.resources import NAMESPACES
from kubernaut.devcluster.selectors import selects
from kubernaut.devcluster.writing import Attributes

GROUP = "admissionregistration.k8s.io"


def concerns(match: Object, attributes: Attributes) -> bool:
    """Whether a `matchConstraints`, `matchResources` or webhook selects a request."""
    if attributes.resource.group == GROUP:
        # Nobody can lock himself out of mending his policies.
        return False
    if _is_excluded(match, attributes):
        return False
    return selects_namespace(match, attributes) and _selects_object(match, attributes)


def any_rule(rules: Iterable[Object], attributes: Attributes, *, exact: bool) -> bool:
    """Whether one of `resourceRules` names the request; without `exact` any version of the group is meant."""
    return any(_rule_covers(rule, attributes, exact=exact) for rule in rules)


def _is_excluded(match: Object, attributes: Attributes) -> bool:
    exact = match.get("matchPolicy") == "Exact"
    return any_rule(list_at(match, "excludeResourceRules"), attributes, exact=exact)


def _rule_covers(rule: Object, attributes: Attributes, *, exact: bool) -> bool:
    resource = attributes.resource
    names = list_at(rule, "resourceNames")
    scope = rule.get("scope") or "*"
    is_wide = not resource.namespaced
    return (
        _has(list_at(rule, "operations"), attributes.operation)
        and _has(list_at(rule, "apiGroups"), resource.group)
        and (not exact or _has(list_at(rule, "apiVersions"), resource.version))
        and any(_covers(pattern, attributes) for pattern in list_at(rule, "resources"))
        and (scope == "*" or (scope == "Cluster") == is_wide)
        and (not names or attributes.name in names)
    )


def _has(allowed: list[str], word: str) -> bool:
    return "*" in allowed or word in allowed


def _covers(pattern: str, attributes: Attributes) -> bool:
    wanted, _, part = pattern.partition("/")
    if wanted not in ("*", attributes.resource.plural):
        return False
    return part in ("*", attributes.subresource) if part else not attributes.subresource


def selects_namespace(match: Object, attributes: Attributes) -> bool:
    selector = match.get("namespaceSelector")
    if not selector:
        return True
    namespace = namespace_object(attributes)
    # What lies in no namespace cannot be passed over by one.
    return True if namespace is None else selects(selector, labels_of(namespace))


def namespace_object(attributes: Attributes) -> Object | None:
    """The namespace that a request is about or in."""
    if attributes.resource.key == NAMESPACES:
        return attributes.object or attributes.old
    if not attributes.namespace:
        return None
    record = attributes.store.ledger.get(NAMESPACES, ("", attributes.namespace))
    return None if record is None else record.object


def _selects_object(match: Object, attributes: Attributes) -> bool:
    selector = match.get("objectSelector")
    if not selector:
        return True
    states = (attributes.object, attributes.old)
    return any(state is not None and selects(selector, map_at(state, "metadata", "labels")) for state in states)
