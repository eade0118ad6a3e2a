"""What a look has seen, small enough to keep, without secrets."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec

from kubernaut.telemetry.redaction import Redactor, redact_json

MOST_BYTES = 2048
_LONGEST_VALUE = 200
_MOST_MEMBERS = 12
_PATH = re.compile(r"\b(object|inputs|outputs|json|status)((?:\.\??[A-Za-z_][A-Za-z0-9_]*|\[\??'[^']*'\])+)(?!\w)")
_STEP = re.compile(r"\.\??([A-Za-z_][A-Za-z0-9_]*)|\[\??'([^']*)'\]")


def hash_of(value: object) -> str:
    """sha256 of a JSON value, its secrets left out: the hash of a short secret would tell it."""
    return hashlib.sha256(msgspec.json.encode(redact_json(value), order="deterministic")).hexdigest()


def without_noise(found: Mapping[str, Any]) -> dict[str, Any]:
    """An object without what only the API server's machinery reads, which can be half of it."""
    metadata = {key: value for key, value in found.get("metadata", {}).items() if key != "managedFields"}
    return {**found, "metadata": metadata}


def seen_in(expression: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """The values that an expression asks for by path: `object.status.availableReplicas` -> 2. None: not there."""
    safe = {name: redact_json(value) for name, value in variables.items()}
    found: dict[str, Any] = {}
    for path, steps in _paths_in(expression):
        root, *rest = steps
        if root in safe:
            found[path] = cut(_value_at(safe[root], rest))
    return found


def identity_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """Which object, and which state of it."""
    metadata: Mapping[str, Any] = found.get("metadata", {})
    kept = ("namespace", "name", "uid", "generation", "resourceVersion")
    named = {key: metadata[key] for key in kept if metadata.get(key)}
    return {"kind": found.get("kind", ""), **named}


def cut(value: Any) -> Any:
    """A value of which little is left if it is large."""
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_VALUE else value[: _LONGEST_VALUE - 1] + "…"
    if isinstance(value, list | tuple):
        members = cast("list[Any]", value)
        more = [f"… {len(members) - _MOST_MEMBERS} more"] if len(members) > _MOST_MEMBERS else []
        return [*(cut(one) for one in members[:_MOST_MEMBERS]), *more]
    if isinstance(value, Mapping):
        entries = list(cast("Mapping[str, Any]", value).items())
        kept = {str(key)[:_LONGEST_VALUE]: cut(one) for key, one in entries[:_MOST_MEMBERS]}
        return kept | ({"…": f"{len(entries) - _MOST_MEMBERS} more"} if len(entries) > _MOST_MEMBERS else {})
    return value


def bounded(evidence: Any, redactor: Redactor) -> Any:
    """Evidence as it may be kept and shown: at most `MOST_BYTES` of JSON."""
    if evidence is None:
        return None
    safe = redactor.json(evidence)
    text = msgspec.json.encode(safe)
    if len(text) <= MOST_BYTES:
        return safe
    shorter = cut(safe)
    text = msgspec.json.encode(shorter)
    if len(text) <= MOST_BYTES:
        return shorter
    return {"cut": text[: MOST_BYTES // 2].decode(errors="replace")}


def _paths_in(expression: str) -> Iterator[tuple[str, list[str]]]:
    for found in _PATH.finditer(expression):
        # What is called is a function, not a field.
        steps = _STEP.findall(found[2])
        if expression[found.end() :].startswith("(") and len(steps) >= 1:
            steps = steps[:-1]
        names = [found[1], *(plain or quoted for plain, quoted in steps)]
        if len(names) > 1:
            yield ".".join(names), names


def _value_at(value: Any, steps: list[str]) -> Any:
    for step in steps:
        if not isinstance(value, Mapping):
            return None
        value = cast("Mapping[str, Any]", value).get(step)
    return value
