"""JSON objects as the store keeps them: copying, comparing, and the few parts everyone reads."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeGuard, TypeVar, cast

import msgspec

Object: TypeAlias = dict[str, Any]
"""A Kubernetes object as decoded JSON."""

T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


def to_json(value: Any) -> bytes:
    return _encoder.encode(value)


def from_json(raw: bytes | str) -> Any:
    """Raises msgspec.DecodeError."""
    return _decoder.decode(raw)


def is_map(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def copied(value: T) -> T:
    """Copy JSON deeply. Through its text, which is three times faster than walking it in Python."""
    return cast(T, _decoder.decode(_encoder.encode(value)))


def map_at(obj: Any, *path: str) -> dict[str, Any]:
    """The object at a path; an empty one (not stored) where there is none."""
    for part in path:
        obj = obj.get(part) if is_map(obj) else None
    return obj if is_map(obj) else {}


def list_at(obj: Any, *path: str) -> list[Any]:
    """The list at a path; an empty one (not stored) where there is none."""
    for part in path:
        obj = obj.get(part) if is_map(obj) else None
    return obj if is_list(obj) else []


def name_of(obj: Object) -> str:
    return str(obj["metadata"].get("name", ""))


def namespace_of(obj: Object) -> str:
    """Empty for cluster-wide objects."""
    return str(obj["metadata"].get("namespace") or "")


def uid_of(obj: Object) -> str:
    return str(obj["metadata"].get("uid", ""))


def version_of(obj: Object) -> int:
    """The resourceVersion as a number; 0 when there is none."""
    return int(obj["metadata"].get("resourceVersion") or 0)


def labels_of(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def owners_of(obj: Object) -> list[Object]:
    return obj["metadata"].get("ownerReferences") or []


def controller_of(obj: Object) -> Object | None:
    """The one owner reference marked `controller: true`."""
    return next((owner for owner in owners_of(obj) if owner.get("controller")), None)


def is_deleting(obj: Object) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))


def is_subset(needles: dict[str, str], haystack: dict[str, str]) -> bool:
    """Whether equality-based `needles` (a matchLabels) select `haystack`."""
    return all(haystack.get(key) == value for key, value in needles.items())
