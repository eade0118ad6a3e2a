"""Reads Kubernetes' protobuf bodies, which kubectl sends for kinds that it has compiled in.

Only reading: every client that sends protobuf also accepts JSON. The envelope is "k8s\\0" and a
runtime.Unknown; the messages are those of k8s.io/api `generated.proto`, whose numbers stand in
`builtin/*.types`. Fields without a number there are skipped.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from .builtin import builtin_types
from .nodes import Node

MAGIC = b"k8s\x00"
CONTENT_TYPE = "application/vnd.kubernetes.protobuf"

Raw: TypeAlias = int | bytes

# Go writes zero values of plain fields, which JSON leaves out. These are pointers in Go: a zero in
# them was meant.
_POINTERS = frozenset(
    [
        "replicas",
        "revisionHistoryLimit",
        "progressDeadlineSeconds",
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "terminationGracePeriodSeconds",
        "runAsUser",
        "runAsGroup",
        "fsGroup",
        "mode",
        "defaultMode",
        "deletionGracePeriodSeconds",
        "expirationSeconds",
        "gracePeriodSeconds",
        "leaseTransitions",
        "minReplicas",
        "successfulJobsHistoryLimit",
        "partition",
        "priority",
        "failedJobsHistoryLimit",
        "startingDeadlineSeconds",
        "tolerationSeconds",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
        "automountServiceAccountToken",
        "optional",
        "controller",
        "blockOwnerDeletion",
        "suspend",
        "runAsNonRoot",
        "privileged",
        "readOnlyRootFilesystem",
        "allowPrivilegeEscalation",
        "enableServiceLinks",
        "shareProcessNamespace",
        "immutable",
        "orphanDependents",
        "value",
    ]
)


class ProtobufError(ValueError):
    """The body is not what it says it is."""


def decode_body(body: bytes) -> dict[str, Any]:
    """The object in an envelope, as JSON would have it. Raises ProtobufError."""
    if not body.startswith(MAGIC):
        raise ProtobufError("provided data does not appear to be a protobuf message")
    try:
        envelope = dict(_fields(body[len(MAGIC) :]))
        about = dict(_fields(_bytes(envelope.get(1, b""))))
        api_version, kind = (_bytes(about.get(n, b"")).decode() for n in (1, 2))
        node = builtin_types().get(kind)
        if node is None:
            raise ProtobufError(f"no protobuf schema for kind {kind}: send JSON")
        found = _message(_bytes(envelope.get(2, b"")), node)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise ProtobufError(f"malformed protobuf message: {error}") from None
    return {"apiVersion": api_version, "kind": kind, **found}


def _bytes(raw: Raw) -> bytes:
    if isinstance(raw, int):
        raise ProtobufError("a message is needed where a number stands")
    return raw


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _fields(data: bytes) -> Iterator[tuple[int, Raw]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
        elif wire == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise IndexError("a field is longer than its message")
            yield number, data[at : at + size]
            at += size
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            yield number, data[at : at + size]
            at += size
        else:
            raise ProtobufError(f"unknown wire type {wire}")


def _message(data: bytes, node: Node) -> dict[str, Any]:
    by_path = {number: name for name, number in node.numbers.items()}
    found: dict[str, Any] = {}
    _read(data, (), by_path, node, found)
    return found


def _read(
    data: bytes,
    path: tuple[int, ...],
    by_path: dict[tuple[int, ...], str],
    node: Node,
    found: dict[str, Any],
) -> None:
    for number, raw in _fields(data):
        here = (*path, number)
        name = by_path.get(here)
        if name is not None:
            _set(found, name, raw, node.fields[name])
        elif isinstance(raw, bytes) and any(known[: len(here)] == here for known in by_path):
            _read(raw, here, by_path, node, found)


def _set(found: dict[str, Any], name: str, raw: Raw, node: Node) -> None:
    if node.type == "list" and node.items is not None:
        value = _value(raw, node.items)
        if value is not None:
            found.setdefault(name, []).append(value)
    elif node.type == "map" and node.values is not None:
        entry = dict(_fields(_bytes(raw)))
        key = _bytes(entry.get(1, b"")).decode()
        found.setdefault(name, {})[key] = _value(entry.get(2, b""), node.values)
    else:
        value = _value(raw, node)
        is_zero = value in ("", 0, None) or value is False
        if not is_zero or (name in _POINTERS and value is not None and value != ""):
            found[name] = value


def _value(raw: Raw, node: Node) -> Any:
    kind = node.type
    if kind == "object":
        return _message(_bytes(raw), node)
    if kind == "string":
        return _text(_bytes(raw), node.format)
    if kind == "integer":
        number = raw if isinstance(raw, int) else 0
        return number - 2**64 if number >= 2**63 else number
    if kind == "boolean":
        return bool(raw)
    if kind == "quantity":
        return _bytes(dict(_fields(_bytes(raw))).get(1, b"0")).decode() or "0"
    if kind == "intstr":
        parts = dict(_fields(_bytes(raw)))
        return _bytes(parts.get(3, b"")).decode() if parts.get(1) else int(_number(parts.get(2, 0)))
    if kind == "number":
        return struct.unpack("<d", _bytes(raw))[0]
    return None


def _number(raw: Raw) -> int:
    if isinstance(raw, bytes):
        raise ProtobufError("a number is needed")
    return raw - 2**64 if raw >= 2**63 else raw


def _text(raw: bytes, layout: str) -> str | None:
    if layout == "byte":
        return base64.b64encode(raw).decode()
    if layout not in ("date-time", "micro-time"):
        return raw.decode()
    if not raw:
        return None
    parts = dict(_fields(raw))
    moment = datetime.fromtimestamp(0, UTC) + timedelta(
        seconds=_number(parts.get(1, 0)), microseconds=_number(parts.get(2, 0)) // 1000
    )
    if layout == "date-time":
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
