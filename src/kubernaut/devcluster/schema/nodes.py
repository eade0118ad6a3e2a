"""One node of a structural schema. Builtin kinds get theirs from `*.types`, CRDs from OpenAPI."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

NodeType = Literal["object", "map", "list", "string", "integer", "number", "boolean", "any", "intstr", "quantity"]


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


@dataclass(slots=True, kw_only=True)
class Node:
    """Not frozen: builtin types refer to each other and are tied together after parsing."""

    type: NodeType
    name: str = ""
    """Type name as in OpenAPI's `definitions`; empty for anonymous nodes."""
    format: str = ""
    fields: dict[str, Node] = field(default_factory=dict[str, "Node"])
    numbers: dict[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    """Field -> its number in protobuf, through inlined messages."""
    values: Node | None = None
    """What a map holds."""
    items: Node | None = None
    """What a list holds."""
    default: Any = MISSING
    has_defaults: bool = True
    """False when nothing below has a default, so that the walk may stop here."""
    required: list[str] = field(default_factory=list[str])
    enum: tuple[str, ...] = ()
    list_type: Literal["atomic", "set", "map"] = "atomic"
    list_keys: tuple[str, ...] = ()
    merge_key: str = ""
    """Strategic merge patch key of a list of objects; `""` means the list is replaced."""
    merge_set: bool = False
    """Strategic merge of a list of scalars (finalizers)."""
    retain_keys: bool = False
    atomic: bool = False
    """Server-side apply owns this object or map as a whole."""
    preserve: bool = False
    """Unknown fields are kept."""
    nullable: bool = False
    embedded: bool = False
    """x-kubernetes-embedded-resource: apiVersion, kind and metadata are always kept."""
    description: str = ""


ANY: Final = Node(type="any", preserve=True, has_defaults=False)
STRING: Final = Node(type="string", has_defaults=False)
