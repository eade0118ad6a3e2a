"""Kubernetes' own shapes, as far as kubernaut reads them, and the base of every struct of this room."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta

JSON = Any
"""A JSON value. Free-form only where a contract gives it a type: action inputs, outputs and parameters."""

Name = Annotated[str, Meta(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63, description="A DNS label.")]
ShortText = Annotated[str, Meta(max_length=253)]
Text = Annotated[str, Meta(max_length=1024)]
DurationText = Annotated[
    str,
    Meta(
        pattern=r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$",
        max_length=32,
        description='A Go duration such as "90s", "5m" or "1h30m".',
    ),
]


class Frozen(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """A value: never changed, camelCase on the wire, defaults left out of it."""


class OwnerReference(Frozen, frozen=True, kw_only=True):
    """Points at the object that this one goes away with (same namespace only)."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ObjectMeta(Frozen, frozen=True, kw_only=True):
    """The fields of `metadata` that kubernaut reads (Kubernetes API reference, ObjectMeta v1)."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()


class Condition(Frozen, frozen=True, kw_only=True, omit_defaults=False):
    """A statement with a truth value (Kubernetes API conventions, metav1.Condition)."""

    type: ShortText
    status: Annotated[str, Meta(pattern="^(True|False|Unknown)$", max_length=7)]
    reason: ShortText
    message: Annotated[str, Meta(max_length=1024)] = ""
    last_transition_time: datetime
    observed_generation: int = 0


class ObjectReference(Frozen, frozen=True, kw_only=True):
    """Names one object anywhere in the cluster."""

    api_version: ShortText = ""
    kind: ShortText = ""
    namespace: ShortText = ""
    name: ShortText


class Requester(Frozen, frozen=True, kw_only=True):
    """Who asked, as admission saw it."""

    username: ShortText = ""
    uid: ShortText = ""
    groups: Annotated[tuple[ShortText, ...], Meta(max_length=64)] = ()


class SecretKeyRef(Frozen, frozen=True, kw_only=True):
    """A value that stays in a Secret and is mounted into the action, never copied."""

    name: ShortText
    key: ShortText


class LocalReference(Frozen, frozen=True, kw_only=True):
    """An object in the same namespace, held by UID once it exists."""

    name: ShortText
    uid: ShortText = ""


class Resource(Protocol):
    """Anything with the two fields that name its kind."""

    @property
    def api_version(self) -> str: ...
    @property
    def kind(self) -> str: ...


def to_wire(value: object) -> Any:
    """Dumps a struct of this room to plain JSON values (dict, list, str, ...), times as RFC 3339."""
    return msgspec.to_builtins(value, str_keys=True)


def to_object(resource: Resource) -> dict[str, Any]:
    """Dumps a whole resource, with the apiVersion and kind that `to_wire` leaves out as defaults."""
    return {"apiVersion": resource.api_version, "kind": resource.kind, **to_wire(resource)}
