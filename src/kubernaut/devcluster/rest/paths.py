"""From method and path to verb and target, as apiserver's RequestInfo resolver does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from kubernaut.devcluster.identity.rbac import Access


@dataclass(frozen=True, slots=True)
class Target:
    """What a path speaks of. `resource` is empty when it is no resource."""

    path: str
    group: str = ""
    version: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def full_resource(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


_ONE_NAME = re.compile(r"(?:^|,)metadata\.name==?([^,=!]+)")
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}
_NAMESPACE_PARTS = ("status", "finalize")


def target_of(raw_path: str) -> Target:
    parts = [unquote(part) for part in raw_path.split("/") if part]
    path = "/" + "/".join(parts)
    if len(parts) >= 3 and parts[0] == "api":
        group, version, rest = "", parts[1], parts[2:]
    elif len(parts) >= 4 and parts[0] == "apis":
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return Target(path)
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        if len(rest) > 2 and rest[2] not in _NAMESPACE_PARTS:
            namespace, rest = rest[1], rest[2:]
        else:
            # A namespace is its own namespace where access is judged.
            namespace = rest[1]
    resource, name, subresource = (*rest, "", "")[:3] if len(rest) < 3 else rest[:3]
    if len(rest) > 3:
        subresource = "/".join(rest[2:])
    return Target(path, group, version, resource, namespace, name, subresource)


def verb_of(method: str, target: Target, *, is_watch: bool) -> str:
    """Kubernetes' verb; for other paths the method in lower case."""
    if not target.resource:
        return method.lower()
    if method in ("GET", "HEAD"):
        if is_watch:
            return "watch"
        return "get" if target.name else "list"
    if method == "DELETE":
        return "delete" if target.name else "deletecollection"
    return _VERBS.get(method, method.lower())


def access_to(verb: str, target: Target, field_selector: str = "") -> Access:
    if not target.resource:
        return Access(verb, path=target.path)
    name = target.name
    if not name and verb in ("list", "watch", "deletecollection"):
        # Whoever may read one object by name may list and watch that one.
        name = next(iter(_ONE_NAME.findall(field_selector)), "")
    return Access(verb, target.group, target.resource, target.subresource, target.namespace, name)
