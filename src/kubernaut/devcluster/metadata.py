"""ObjectMeta: what the server fills in, what nobody may change, and how names must look."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from .errors import Fault
from .objects import Object, is_deleting, to_json
from .resources import Resource

_SAFE_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""apimachinery's alphabet for generated names: no vowels, so no words."""

_MAX_GENERATED_PREFIX = 58

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")

_LABEL_WORDS = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_1035_WORDS = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
    "regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_QUALIFIED_WORDS = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_LABEL_VALUE_WORDS = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  "
    "or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_ANNOTATIONS_LIMIT = 256 * 1024

NameRule = Callable[[str], list[str]]
"""Complaints about a name; empty when it will do."""


def timestamp(moment: datetime) -> str:
    """meta/v1 Time: whole seconds, UTC."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def micro_timestamp(moment: datetime) -> str:
    """meta/v1 MicroTime, as Leases and events carry it."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def generated_name(prefix: str) -> str:
    letters = "".join(secrets.choice(_SAFE_LETTERS) for _ in range(5))
    return prefix[:_MAX_GENERATED_PREFIX] + letters


def new_uid() -> str:
    return str(uuid.uuid4())


def dns_label(name: str) -> list[str]:
    return _complaints(name, _LABEL, _LABEL_WORDS, 63)


def dns_1035_label(name: str) -> list[str]:
    return _complaints(name, _LABEL_1035, _LABEL_1035_WORDS, 63)


def dns_subdomain(name: str) -> list[str]:
    return _complaints(name, _SUBDOMAIN, _SUBDOMAIN_WORDS, 253)


def path_segment(name: str) -> list[str]:
    """The rule of RBAC names."""
    if name in (".", ".."):
        return [f"may not be '{name}'"]
    return [f"may not contain '{mark}'" for mark in "/%" if mark in name]


def _complaints(name: str, pattern: re.Pattern[str], words: str, limit: int) -> list[str]:
    found: list[str] = []
    if len(name) > limit:
        found.append(f"must be no more than {limit} bytes")
    if not pattern.fullmatch(name):
        found.append(words)
    return found


def qualified_name(key: str) -> list[str]:
    """Label and annotation keys: an optional DNS prefix, a slash, a name."""
    prefix, slash, name = key.rpartition("/")
    found: list[str] = []
    if slash:
        if not prefix:
            found.append("prefix part must be non-empty")
        else:
            found.extend(f"prefix part {words}" for words in dns_subdomain(prefix))
    if not name:
        found.append("name part must be non-empty")
    elif len(name) > 63:
        found.append("name part must be no more than 63 bytes")
    if not _QUALIFIED.fullmatch(name):
        found.append(_QUALIFIED_WORDS)
    return found


def label_faults(labels: Object, path: str) -> Iterator[Fault]:
    for key, value in labels.items():
        for words in qualified_name(key):
            yield invalid(path, key, words)
        if len(value) > 63:
            yield invalid(path, value, "must be no more than 63 bytes")
        if not _LABEL_VALUE.fullmatch(value):
            yield invalid(path, value, _LABEL_VALUE_WORDS)


def quoted(value: object) -> str:
    """As the API server prints the values that faults are about."""
    if value is None:
        return "null"
    if isinstance(value, str) and value.isprintable() and '"' not in value and "\\" not in value:
        return f'"{value}"'
    return to_json(value).decode()


def invalid(path: str, value: object, words: str) -> Fault:
    return Fault(path, "FieldValueInvalid", f"Invalid value: {quoted(value)}: {words}")


def required(path: str, words: str = "") -> Fault:
    return Fault(path, "FieldValueRequired", f"Required value: {words}" if words else "Required value")


def forbidden(path: str, words: str) -> Fault:
    return Fault(path, "FieldValueForbidden", f"Forbidden: {words}")


def unsupported(path: str, value: object, allowed: tuple[str, ...]) -> Fault:
    names = ", ".join(f'"{name}"' for name in allowed)
    return Fault(
        path,
        "FieldValueNotSupported",
        f"Unsupported value: {quoted(value)}: supported values: {names}",
    )


def duplicate(path: str, value: object) -> Fault:
    return Fault(path, "FieldValueDuplicate", f"Duplicate value: {quoted(value)}")


def not_found(path: str, value: object) -> Fault:
    return Fault(path, "FieldValueNotFound", f"Not found: {quoted(value)}")


def too_long(path: str, limit: int) -> Fault:
    """`limit` in bytes."""
    return Fault(path, "FieldValueTooLong", f"Too long: may not be more than {limit} bytes")


def immutable(path: str, value: object) -> Fault:
    return invalid(path, value, "field is immutable")


def validate_metadata(obj: Object, resource: Resource, rule: NameRule) -> Iterator[Fault]:
    """For creates and updates alike."""
    metadata = obj["metadata"]
    prefix = metadata.get("generateName")
    if prefix:
        # A trailing dash becomes valid once letters follow it.
        shown = prefix + "a" if prefix.endswith("-") else prefix
        for words in rule(shown):
            yield invalid("metadata.generateName", prefix, words)
    name = metadata.get("name")
    if not name:
        yield required("metadata.name", "name or generateName is required")
    else:
        for words in rule(name):
            yield invalid("metadata.name", name, words)
    namespace = metadata.get("namespace")
    if resource.namespaced:
        for words in dns_label(namespace or ""):
            yield invalid("metadata.namespace", namespace or "", words)
    elif namespace:
        yield forbidden("metadata.namespace", "not allowed on this type")
    yield from label_faults(metadata.get("labels") or {}, "metadata.labels")
    yield from _annotation_faults(metadata.get("annotations") or {})
    yield from _owner_faults(metadata.get("ownerReferences") or [])
    for index, finalizer in enumerate(metadata.get("finalizers") or ()):
        path = f"metadata.finalizers[{index}]"
        complaints = qualified_name(finalizer)
        for words in complaints:
            yield invalid(path, finalizer, words)
        is_short = "/" not in finalizer and finalizer not in STANDARD_FINALIZERS
        # The extension server, which keeps definitions and custom resources, is not strict here.
        is_core = not resource.is_custom and resource.group != "apiextensions.k8s.io"
        if not complaints and is_short and is_core:
            yield invalid(path, finalizer, "name is neither a standard finalizer name nor is it fully qualified")


STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")


def _annotation_faults(annotations: Object) -> Iterator[Fault]:
    size = 0
    for key, value in annotations.items():
        for words in qualified_name(key.lower()):
            yield invalid("metadata.annotations", key, words)
        size += len(key.encode()) + len(value.encode())
    if size > _ANNOTATIONS_LIMIT:
        yield too_long("metadata.annotations", _ANNOTATIONS_LIMIT)


def _owner_faults(owners: list[Object]) -> Iterator[Fault]:
    path = "metadata.ownerReferences"
    controllers: list[str] = []
    for owner in owners:
        if not owner.get("apiVersion"):
            yield invalid(f"{path}.apiVersion", "", "version must not be empty")
        for part in ("kind", "name", "uid"):
            if not owner.get(part):
                yield invalid(f"{path}.{part}", "", "must not be empty")
        if owner.get("controller"):
            controllers.append(f"{owner.get('kind')}/{owner.get('name')}")
    if len(controllers) > 1:
        yield invalid(
            "metadata.ownerReferences",
            controllers,
            "Only one reference can have Controller set to true. Found "
            f'"true" in references for {" and ".join(controllers[:2])}',
        )


def validate_metadata_update(new: Object, old: Object) -> Iterator[Fault]:
    """What an update may not touch; the caller has carried over what clients need not send."""
    was, now = old["metadata"], new["metadata"]
    if is_deleting(old):
        added = [
            finalizer
            for finalizer in now.get("finalizers") or ()
            if finalizer not in (was.get("finalizers") or ())
        ]
        if added:
            shown = ", ".join(f'"{finalizer}"' for finalizer in added)
            yield forbidden(
                "metadata.finalizers",
                "no new finalizers can be added if the object is being deleted, found new "
                f"finalizers []string{{{shown}}}",
            )
    for part in ("name", "namespace", "uid", "creationTimestamp"):
        if now.get(part) != was.get(part):
            yield immutable(f"metadata.{part}", now.get(part, ""))
