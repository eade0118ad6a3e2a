"""What is served: /api, /apis and below, both as lists per group and aggregated; /version."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from typing import Any, NamedTuple

from kubernaut.devcluster.objects import to_json
from kubernaut.devcluster.resources import Catalogue, Resource

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
GIT_VERSION = "v1.34.0+devcluster"


class Review(NamedTuple):
    """A resource that can only be POSTed: a question, not an object."""

    group: str
    plural: str
    kind: str
    namespaced: bool = False
    short_names: tuple[str, ...] = ()


_AUTHENTICATION, _AUTHORIZATION = "authentication.k8s.io", "authorization.k8s.io"
REVIEWS = (
    Review(_AUTHENTICATION, "tokenreviews", "TokenReview"),
    Review(_AUTHENTICATION, "selfsubjectreviews", "SelfSubjectReview"),
    Review(_AUTHORIZATION, "localsubjectaccessreviews", "LocalSubjectAccessReview", namespaced=True),
    Review(_AUTHORIZATION, "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    Review(_AUTHORIZATION, "selfsubjectrulesreviews", "SelfSubjectRulesReview"),
    Review(_AUTHORIZATION, "subjectaccessreviews", "SubjectAccessReview"),
)

_SUBRESOURCE_KINDS = {
    "scale": ("autoscaling", "v1", "Scale"),
    "eviction": ("policy", "v1", "Eviction"),
    "binding": ("", "v1", "Binding"),
    "token": (_AUTHENTICATION, "v1", "TokenRequest"),
}
_SUBRESOURCE_VERBS = {
    "eviction": ["create"],
    "binding": ["create"],
    "token": ["create"],
    "log": ["get"],
    "finalize": ["update"],
}


def version() -> dict[str, str]:
    return {
        "major": "1",
        "minor": "34",
        "gitVersion": GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": f"linux/{'arm64' if platform.machine() == 'aarch64' else 'amd64'}",
    }


def wants_aggregated(accept: str) -> bool:
    return "as=APIGroupDiscoveryList" in accept and "v=v2;" in accept + ";"


class Discovery:
    """Kept until the catalogue changes."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._edition = -1
        self._kept: dict[str, bytes] = {}

    def answer(self, path: str, *, aggregated: bool) -> bytes | None:
        """The document at a path; None where there is none."""
        if self._edition != self._catalogue.edition:
            self._edition = self._catalogue.edition
            self._kept = {}
        key = f"{path} {aggregated}"
        if key not in self._kept:
            found = self._made(path, aggregated)
            if found is None:
                return None
            self._kept[key] = to_json(found)
        return self._kept[key]

    def groups(self) -> dict[str, list[str]]:
        """Group -> versions, without the core group."""
        found: dict[str, list[str]] = {}
        for resource in self._served():
            versions = found.setdefault(resource.group, [])
            if resource.version not in versions:
                versions.append(resource.version)
        for review in REVIEWS:
            found.setdefault(review.group, ["v1"])
        return {group: found[group] for group in found if group}

    def _served(self) -> Iterable[Resource]:
        for resource in self._catalogue.all():
            if resource.definition is None or _is_served(resource):
                yield resource

    def _made(self, path: str, aggregated: bool) -> Any:
        parts = [part for part in path.split("/") if part]
        if parts == ["api"]:
            if aggregated:
                return _aggregated([("", ["v1"])], self)
            return {
                "kind": "APIVersions",
                "versions": ["v1"],
                "serverAddressByClientCIDRs": [],
            }
        if parts == ["apis"]:
            if aggregated:
                return _aggregated(list(self.groups().items()), self)
            groups = [_group(name, versions) for name, versions in self.groups().items()]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        if len(parts) == 2 and parts[0] == "apis":
            versions = self.groups().get(parts[1])
            if versions is None:
                return None
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(parts[1], versions)}
        if parts == ["api", "v1"]:
            return self._resource_list("", "v1")
        if len(parts) == 3 and parts[0] == "apis" and parts[2] in self.groups().get(parts[1], ()):
            return self._resource_list(parts[1], parts[2])
        return None

    def of(self, group: str, version_name: str) -> list[Resource]:
        found = [r for r in self._served() if (r.group, r.version) == (group, version_name)]
        return sorted(found, key=lambda resource: resource.plural)

    def _resource_list(self, group: str, version_name: str) -> dict[str, Any]:
        resources: list[dict[str, Any]] = []
        for resource in self.of(group, version_name):
            resources.append(_entry(resource))
            resources.extend(_sub_entry(resource, sub) for sub in sorted(resource.subresources))
        for review in REVIEWS:
            if review.group == group and version_name == "v1":
                resources.append(
                    {
                        "name": review.plural,
                        "singularName": review.kind.lower(),
                        "namespaced": review.namespaced,
                        "kind": review.kind,
                        "verbs": ["create"],
                    }
                )
        group_version = f"{group}/{version_name}" if group else version_name
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": group_version,
            "resources": resources,
        }


def _is_served(resource: Resource) -> bool:
    versions = (resource.definition or {})["spec"]["versions"]
    return any(version["name"] == resource.version and version.get("served") for version in versions)


def _group(name: str, versions: list[str]) -> dict[str, Any]:
    shown = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": shown, "preferredVersion": shown[0]}


def _entry(resource: Resource) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    return entry


def _sub_kind(resource: Resource, sub: str) -> tuple[str, str, str]:
    return _SUBRESOURCE_KINDS.get(sub, (resource.group, resource.version, resource.kind))


def _sub_entry(resource: Resource, sub: str) -> dict[str, Any]:
    group, version_name, kind = _sub_kind(resource, sub)
    entry: dict[str, Any] = {
        "name": f"{resource.plural}/{sub}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": kind,
        "verbs": _SUBRESOURCE_VERBS.get(sub, ["get", "patch", "update"]),
    }
    if (group, version_name) != (resource.group, resource.version):
        entry["group"], entry["version"] = group, version_name
    return entry


def _aggregated(groups: list[tuple[str, list[str]]], discovery: Discovery) -> dict[str, Any]:
    items = [
        {
            "metadata": {"name": group} if group else {"creationTimestamp": None},
            "versions": [
                {
                    "version": version_name,
                    "freshness": "Current",
                    "resources": [
                        *(_aggregated_entry(resource) for resource in discovery.of(group, version_name)),
                        *(_aggregated_review(r) for r in REVIEWS if r.group == group and version_name == "v1"),
                    ],
                }
                for version_name in versions
            ],
        }
        for group, versions in groups
    ]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _aggregated_review(review: Review) -> dict[str, Any]:
    return {
        "resource": review.plural,
        "responseKind": {"group": "", "version": "", "kind": review.kind},
        "scope": "Namespaced" if review.namespaced else "Cluster",
        "singularResource": review.kind.lower(),
        "verbs": ["create"],
    }


def _aggregated_entry(resource: Resource) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "resource": resource.plural,
        "responseKind": _response_kind(resource, (resource.group, resource.version, resource.kind)),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.subresources:
        entry["subresources"] = [
            {
                "subresource": sub,
                "responseKind": _response_kind(resource, _sub_kind(resource, sub)),
                "verbs": _SUBRESOURCE_VERBS.get(sub, ["get", "patch", "update"]),
            }
            for sub in sorted(resource.subresources)
        ]
    return entry


def _response_kind(resource: Resource, kind: tuple[str, str, str]) -> dict[str, str]:
    """Group and version are said only where they are not those of the list."""
    if kind[:2] == (resource.group, resource.version):
        kind = ("", "", kind[2])
    return dict(zip(("group", "version", "kind"), kind, strict=True))
