"""Requests to the Kubernetes API as values. PURE: builds, never sends.

Paths and parameters as in the Kubernetes API conventions and API reference.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, urlencode

import msgspec

from kubernaut.cluster.kinds import PODS, ResourceKind

Json = dict[str, Any]
PatchType = Literal["merge", "json", "strategic", "apply"]
Propagation = Literal["Background", "Foreground", "Orphan"]

_PATCH_CONTENT: Mapping[PatchType, str] = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",  # JSON is YAML
}
_PLAIN_SEGMENT = re.compile(r"[A-Za-z0-9.:_-]+")
# Reviews ask a question with POST; nothing is stored.
_QUESTIONS = frozenset({"authentication.k8s.io", "authorization.k8s.io"})


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `verb` and the following fields say in API terms what `method` and `path` do."""

    method: str
    path: str
    """Path and query, already encoded."""
    body: bytes | None = None
    content_type: str = "application/json"
    verb: str = "get"
    kind: ResourceKind | None = None
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    changes: bool = False
    """Whether it may change the cluster; if so it is never repeated on a doubt."""

    @property
    def asked(self) -> str:
        """What was asked for, in words fit for an error message."""
        if self.kind is None:
            return f"{self.method} {self.path}"
        what = self.kind.plural + (f"/{self.subresource}" if self.subresource else "")
        name = f" {self.name}" if self.name else ""
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.verb} {what}{name}{where}"


def object_path(kind: ResourceKind, namespace: str | None, name: str = "", subresource: str = "") -> str:
    """The path of an object, or of its collection when no name is given.

    Without a namespace, a namespaced kind's collection spans all of them. Raises ValueError for a
    name that cannot be a path segment, and for an object of a namespaced kind without a namespace.
    """
    path = kind.root
    if namespace and kind.namespaced:
        path += "/namespaces/" + _segment(namespace)
    elif kind.namespaced and name:
        raise ValueError(f"{kind.kind} {name!r} needs a namespace")
    path += "/" + kind.plural
    if name:
        path += "/" + _segment(name)
    return path + "/" + subresource if subresource else path


def _segment(name: str) -> str:
    if name in {".", ".."} or "/" in name or "%" in name:
        raise ValueError(f"{name!r} cannot be part of an API path")
    return name if _PLAIN_SEGMENT.fullmatch(name) else quote(name, safe="")


def _with_query(path: str, query: Mapping[str, str]) -> str:
    given = {key: value for key, value in query.items() if value}
    return f"{path}?{urlencode(given)}" if given else path


def get(kind: ResourceKind, name: str, namespace: str | None, subresource: str = "") -> Request:
    if not name:
        raise ValueError(f"which {kind.kind}? its name is empty")
    return Request(
        "GET",
        object_path(kind, namespace, name, subresource),
        verb="get",
        kind=kind,
        namespace=namespace or "",
        name=name,
        subresource=subresource,
    )


def list_page(
    kind: ResourceKind,
    namespace: str | None,
    *,
    label_selector: str = "",
    field_selector: str = "",
    limit: int = 0,
    continue_token: str = "",
) -> Request:
    query = {
        "labelSelector": label_selector,
        "fieldSelector": field_selector,
        "limit": str(limit or ""),
        "continue": continue_token,
    }
    return Request(
        "GET",
        _with_query(object_path(kind, namespace), query),
        verb="list",
        kind=kind,
        namespace=namespace or "",
    )


def watch(
    kind: ResourceKind,
    namespace: str | None,
    *,
    label_selector: str = "",
    field_selector: str = "",
    resource_version: str = "",
    timeout_seconds: int = 0,
) -> Request:
    query = {
        "watch": "1",
        "allowWatchBookmarks": "true",
        "labelSelector": label_selector,
        "fieldSelector": field_selector,
        "resourceVersion": resource_version,
        "timeoutSeconds": str(timeout_seconds or ""),
    }
    return Request(
        "GET",
        _with_query(object_path(kind, namespace), query),
        verb="watch",
        kind=kind,
        namespace=namespace or "",
    )


def create(
    kind: ResourceKind,
    body: Mapping[str, Any],
    namespace: str | None,
    *,
    name: str = "",
    subresource: str = "",
    dry_run: bool = False,
    field_manager: str = "",
) -> Request:
    """With a subresource, `name` says of which object: `pods/<name>/eviction`."""
    meta: Mapping[str, Any] = body.get("metadata") or {}
    namespace = str(namespace or meta.get("namespace") or "") if kind.namespaced else ""
    if kind.namespaced and not namespace:
        raise ValueError(f"{kind.kind} {meta.get('name')!r} needs a namespace")
    path = object_path(kind, namespace, name if subresource else "", subresource)
    query = {"dryRun": "All" if dry_run else "", "fieldManager": field_manager}
    return Request(
        "POST",
        _with_query(path, query),
        msgspec.json.encode(_named(kind, body) if not subresource else body),
        verb="create",
        kind=kind,
        namespace=namespace,
        name=name or str(meta.get("name") or meta.get("generateName") or ""),
        subresource=subresource,
        changes=not dry_run and kind.group not in _QUESTIONS,
    )


def replace(
    kind: ResourceKind,
    body: Mapping[str, Any],
    *,
    subresource: str = "",
    dry_run: bool = False,
    field_manager: str = "",
) -> Request:
    meta: Mapping[str, Any] = body.get("metadata") or {}
    name, namespace = str(meta.get("name") or ""), str(meta.get("namespace") or "")
    if not name:
        raise ValueError(f"which {kind.kind}? its metadata.name is empty")
    query = {"dryRun": "All" if dry_run else "", "fieldManager": field_manager}
    return Request(
        "PUT",
        _with_query(object_path(kind, namespace, name, subresource), query),
        msgspec.json.encode(_named(kind, body) if not subresource else body),
        verb="update",
        kind=kind,
        namespace=namespace,
        name=name,
        subresource=subresource,
        changes=not dry_run,
    )


def patch(
    kind: ResourceKind,
    name: str,
    namespace: str | None,
    body: object,
    patch_type: PatchType,
    *,
    subresource: str = "",
    dry_run: bool = False,
    field_manager: str = "",
    force: bool = False,
) -> Request:
    if not name:
        raise ValueError(f"which {kind.kind}? its name is empty")
    query = {
        "dryRun": "All" if dry_run else "",
        "fieldManager": field_manager,
        "force": "true" if force and patch_type == "apply" else "",
    }
    return Request(
        "PATCH",
        _with_query(object_path(kind, namespace, name, subresource), query),
        msgspec.json.encode(body),
        content_type=_PATCH_CONTENT[patch_type],
        verb="patch",
        kind=kind,
        namespace=namespace or "",
        name=name,
        subresource=subresource,
        changes=not dry_run,
    )


def delete(
    kind: ResourceKind,
    name: str,
    namespace: str | None,
    *,
    propagation: Propagation = "Background",
    uid: str | None = None,
    resource_version: str | None = None,
    grace_period_seconds: int | None = None,
    dry_run: bool = False,
) -> Request:
    if not name:
        raise ValueError(f"which {kind.kind}? its name is empty")
    options: Json = {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "propagationPolicy": propagation,
    }
    preconditions = {"uid": uid, "resourceVersion": resource_version}
    preconditions = {key: value for key, value in preconditions.items() if value}
    if preconditions:
        options["preconditions"] = preconditions
    if grace_period_seconds is not None:
        options["gracePeriodSeconds"] = grace_period_seconds
    if dry_run:
        options["dryRun"] = ["All"]
    return Request(
        "DELETE",
        object_path(kind, namespace, name),
        msgspec.json.encode(options),
        verb="delete",
        kind=kind,
        namespace=namespace or "",
        name=name,
        changes=not dry_run,
    )


def logs(
    namespace: str,
    pod: str,
    *,
    container: str | None = None,
    tail_lines: int | None = None,
    limit_bytes: int | None = None,
    follow: bool = False,
    previous: bool = False,
) -> Request:
    query = {
        "container": container or "",
        "tailLines": "" if tail_lines is None else str(tail_lines),
        "limitBytes": "" if limit_bytes is None else str(limit_bytes),
        "follow": "true" if follow else "",
        "previous": "true" if previous else "",
    }
    return Request(
        "GET",
        _with_query(object_path(PODS, namespace, pod, "log"), query),
        verb="get",
        kind=PODS,
        namespace=namespace,
        name=pod,
        subresource="log",
    )


def _named(kind: ResourceKind, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The body with its `apiVersion` and `kind`, which objects taken from a list may lack."""
    if "kind" in body and "apiVersion" in body:
        return body
    return {"apiVersion": kind.api_version, "kind": kind.kind, **body}
