"""What changing single keys of a ConfigMap or a Secret has in common: what is there, and what is expected there.

Pure. A value is text in `data`, or {"base64": ...} for what stands in a ConfigMap's `binaryData`.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, cast

from kubernaut.sdk import NotFound, Object, Refused, ResourceKind, Run

Values = dict[str, Any]
"""Key -> value; None stands for "not there"."""


async def get_to_change(run: Run, kind: ResourceKind, name: str, namespace: str) -> Object:
    """The object. Raises Refused("TargetNotFound") when there is none, or when it is being deleted."""
    try:
        found = await run.cluster.get(kind, name, namespace)
    except NotFound as error:
        raise Refused("TargetNotFound", f"there is no {kind.kind} {namespace}/{name}") from error
    if found["metadata"].get("deletionTimestamp"):
        raise Refused("TargetNotFound", f"{kind.kind} {namespace}/{name} is being deleted")
    return found


def refuse_immutable(obj: Object) -> None:
    """Raises Refused("Immutable"): not even its owner can change it."""
    if obj.get("immutable"):
        kind, meta = obj["kind"], obj["metadata"]
        raise Refused(
            "Immutable",
            f"{kind} {meta['namespace']}/{meta['name']} is immutable: create one of another name and use that, "
            f"or delete it and create it again",
        )


def config_map_values(obj: Object) -> Values:
    """All keys of a ConfigMap."""
    texts: Values = obj.get("data") or {}
    bytes_: Values = obj.get("binaryData") or {}
    return {**texts, **{key: {"base64": text} for key, text in bytes_.items()}}


def is_value(value: object) -> bool:
    """Whether it is a value as the inputs and the way back write it."""
    if isinstance(value, Mapping):
        parts = cast(Mapping[str, object], value)
        return set(parts) == {"base64"} and is_base64(parts["base64"])
    return value is None or isinstance(value, str)


def is_base64(text: object) -> bool:
    """Whether the API server would take it for bytes."""
    try:
        base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        return False
    return isinstance(text, str)


def config_map_patch(now: Values, wanted: Values) -> Object:
    """The merge patch that brings the wanted keys; empty when all is as it is wanted."""
    body: Object = {}
    for key, value in wanted.items():
        if now.get(key) == value:
            continue
        is_binary = isinstance(value, Mapping)
        if key in now and (value is None or isinstance(now[key], Mapping) != is_binary):
            body.setdefault("binaryData" if isinstance(now[key], Mapping) else "data", {})[key] = None
        if is_binary:
            body.setdefault("binaryData", {})[key] = value["base64"]
        elif value is not None:
            body.setdefault("data", {})[key] = value
    return body


def changed_values(before: Values, after: Values) -> tuple[Values, Values]:
    """Of each key that is not as it was: what it was, and what it is."""
    keys = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    return {key: before.get(key) for key in keys}, {key: after.get(key) for key in keys}


def refuse_drift(obj: Object, now: Values, expected: Values) -> None:
    """Raises Refused("Drifted") when a key is not as it is expected; names keys, never values."""
    other = sorted(key for key, value in expected.items() if now.get(key) != value)
    if other:
        meta = obj["metadata"]
        raise Refused(
            "Drifted",
            f"{obj['kind']} {meta['namespace']}/{meta['name']} is not as expected at {', '.join(other)}: "
            f"somebody changed it since; nothing was overwritten",
        )
