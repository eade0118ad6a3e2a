"""Nobody hands out more than he holds, unless he may `escalate` the role or `bind` it.

Source: k8s.io/kubernetes pkg/registry/rbac (policybased storages, escalation_check.go).
"""

from __future__ import annotations

from collections.abc import Iterator

from kubernaut.devcluster.errors import Forbidden, NotFound
from kubernaut.devcluster.objects import Object, list_at, map_at
from kubernaut.devcluster.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    ROLE_BINDINGS,
    ROLES,
    Resource,
)
from kubernaut.devcluster.writing import Attributes

from .rbac import Access, Authorizer, covers
from .users import User

_GROUP = "rbac.authorization.k8s.io"
_EVERYTHING: list[Object] = [
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
    {"nonResourceURLs": ["*"], "verbs": ["*"]},
]


class Escalation:
    """The admission step of roles and their bindings."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def __call__(self, attributes: Attributes) -> None:
        """Raises Forbidden, NotFound."""
        user, obj, key = attributes.write.user, attributes.object, attributes.resource.key
        if obj is None or attributes.resource.group != _GROUP or user.is_master:
            return
        if key in (ROLES, CLUSTER_ROLES):
            may = Access("escalate", _GROUP, attributes.resource.plural, "", attributes.namespace, attributes.name)
            rules = _EVERYTHING if obj.get("aggregationRule") else list_at(obj, "rules")
        elif key in (ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS):
            reference = map_at(obj, "roleRef")
            is_wide = reference.get("kind") == "ClusterRole"
            name = str(reference.get("name"))
            plural = "clusterroles" if is_wide else "roles"
            may = Access("bind", _GROUP, plural, "", attributes.namespace, name)
            if self._authorizer.judge(user, may).is_allowed:
                return
            kind = CLUSTER_ROLES if is_wide else ROLES
            record = attributes.store.ledger.get(kind, ("" if is_wide else attributes.namespace, name))
            if record is None:
                raise NotFound.of(kind, name)
            rules = list_at(record.object, "rules")
        else:
            return
        if not self._authorizer.judge(user, may).is_allowed:
            self._refuse_excess(attributes.resource, attributes, user, rules)

    def _refuse_excess(self, resource: Resource, attributes: Attributes, user: User, rules: list[Object]) -> None:
        held = [rule for _, _, rule in self._authorizer.rules_of(user, attributes.namespace)]
        missing = [
            access for rule in rules for access in _accesses(rule) if not any(covers(own, access) for own in held)
        ]
        if not missing:
            return
        groups = " ".join(f'"{group}"' for group in user.groups)
        told = "\n".join(dict.fromkeys(map(_text, missing)))
        raise Forbidden(
            f'{resource.key} "{attributes.name}" is forbidden: user "{user.name}" (groups=[{groups}]) is '
            f"attempting to grant RBAC permissions not currently held:\n{told}",
            {"name": attributes.name, "group": _GROUP, "kind": resource.plural},
        )


def _accesses(rule: Object) -> Iterator[Access]:
    """Every single thing that a rule allows."""
    for verb in list_at(rule, "verbs"):
        for path in list_at(rule, "nonResourceURLs"):
            yield Access(verb, path=path)
        for group in list_at(rule, "apiGroups"):
            for pattern in list_at(rule, "resources"):
                resource, _, subresource = pattern.partition("/")
                for name in list_at(rule, "resourceNames") or [""]:
                    yield Access(verb, group, resource, subresource, name=name)


def _text(access: Access) -> str:
    if access.path:
        return f'{{NonResourceURLs:["{access.path}"], Verbs:["{access.verb}"]}}'
    names = f', ResourceNames:["{access.name}"]' if access.name else ""
    return (
        f'{{APIGroups:["{access.group}"], Resources:["{access.full_resource}"]{names}, Verbs:["{access.verb}"]}}'
    )
