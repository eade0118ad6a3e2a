"""Role-based access control, evaluated as kube-apiserver's RBAC authorizer does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kubernaut.devcluster.ledger import Change
from kubernaut.devcluster.objects import Object, list_at
from kubernaut.devcluster.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES
from kubernaut.devcluster.store import Store

from .users import User

_CACHED = 20_000


@dataclass(frozen=True, slots=True)
class Access:
    """What a caller wants to do. Either a resource or a path that is none."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    """Empty for the whole cluster."""
    name: str = ""
    path: str = ""
    """A non-resource URL; resource is empty then."""

    @property
    def full_resource(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


@dataclass(frozen=True, slots=True)
class Verdict:
    is_allowed: bool
    reason: str = ""


class Authorizer:
    """Answers from the roles and bindings that are in the store now."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._verdicts: dict[tuple[str, tuple[str, ...], Access], Verdict] = {}
        store.subscribe(self._forget, [ROLES, CLUSTER_ROLES, ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS])

    def _forget(self, _change: Change) -> None:
        self._verdicts.clear()

    def judge(self, user: User, access: Access) -> Verdict:
        if user.is_master:
            return Verdict(True)
        key = (user.name, user.groups, access)
        verdict = self._verdicts.get(key)
        if verdict is None:
            verdict = self._judge(user, access)
            if len(self._verdicts) >= _CACHED:
                self._verdicts.clear()
            self._verdicts[key] = verdict
        return verdict

    def _judge(self, user: User, access: Access) -> Verdict:
        for binding, namespace, rule in self.rules_of(user, access.namespace):
            if covers(rule, access):
                metadata, role = binding["metadata"], binding["roleRef"]
                where = f"{metadata['name']}/{namespace}" if namespace else metadata["name"]
                return Verdict(
                    True,
                    f'RBAC: allowed by {binding["kind"]} "{where}" of {role["kind"]} '
                    f'"{role["name"]}" to {_subject_text(user, binding, namespace)}',
                )
        return Verdict(False)

    def rules_of(self, user: User, namespace: str) -> Iterator[tuple[Object, str, Object]]:
        """(binding, its namespace, rule) of everything that is granted there."""
        for record in self._store.ledger.records(CLUSTER_ROLE_BINDINGS):
            if _subject_of(user, record.object, "") is not None:
                for rule in self._rules(record.object, ""):
                    yield record.object, "", rule
        if namespace:
            for record in self._store.ledger.records(ROLE_BINDINGS, namespace):
                if _subject_of(user, record.object, namespace) is not None:
                    for rule in self._rules(record.object, namespace):
                        yield record.object, namespace, rule

    def _rules(self, binding: Object, namespace: str) -> list[Object]:
        reference = binding["roleRef"]
        is_wide = reference["kind"] == "ClusterRole"
        place = ("" if is_wide else namespace, reference["name"])
        record = self._store.ledger.get(CLUSTER_ROLES if is_wide else ROLES, place)
        return [] if record is None else list_at(record.object, "rules")


def _subject_of(user: User, binding: Object, namespace: str) -> Object | None:
    subjects: list[Object] = list_at(binding, "subjects")
    for subject in subjects:
        kind, name = subject.get("kind"), subject.get("name")
        if (
            (kind == "User" and name == user.name)
            or (kind == "Group" and name in user.groups)
            or (
                kind == "ServiceAccount"
                and user.name == f"system:serviceaccount:{subject.get('namespace') or namespace}:{name}"
            )
        ):
            return subject
    return None


def _subject_text(user: User, binding: Object, namespace: str) -> str:
    subject = _subject_of(user, binding, namespace) or {}
    name = subject.get("name")
    if subject.get("kind") == "ServiceAccount":
        name = f"{name}/{subject.get('namespace') or namespace}"
    return f'{subject.get("kind")} "{name}"'


def covers(rule: Object, access: Access) -> bool:
    verbs = list_at(rule, "verbs")
    if access.verb not in verbs and "*" not in verbs:
        return False
    if access.path:
        return any(_covers_path(pattern, access.path) for pattern in list_at(rule, "nonResourceURLs"))
    groups = list_at(rule, "apiGroups")
    if access.group not in groups and "*" not in groups:
        return False
    names = list_at(rule, "resourceNames")
    if names and access.name not in names:
        return False
    return any(_covers_resource(pattern, access) for pattern in list_at(rule, "resources"))


def _covers_resource(pattern: str, access: Access) -> bool:
    if pattern in ("*", access.full_resource):
        return True
    return bool(access.subresource) and pattern == f"*/{access.subresource}"


def _covers_path(pattern: str, path: str) -> bool:
    if pattern.endswith("*"):
        return path.startswith(pattern[:-1])
    return path == pattern


def forbidden_text(user: User, access: Access) -> str:
    """As kubectl users know it."""
    if access.path:
        return f'forbidden: User "{user.name}" cannot {access.verb} path "{access.path}"'
    resource = f"{access.resource}.{access.group}" if access.group else access.resource
    named = f'{resource} "{access.name}"' if access.name else resource
    where = f'in the namespace "{access.namespace}"' if access.namespace else "at the cluster scope"
    return (
        f'{named} is forbidden: User "{user.name}" cannot {access.verb} resource '
        f'"{access.full_resource}" in API group "{access.group}" {where}'
    )
