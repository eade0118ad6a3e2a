"""What a scenario expects of objects, and whether it is so. PURE.

    - {object: deployment/web, namespace: shop, is: {status.availableReplicas: 3}}
    - {pods: app=web, namespace: shop, some: {status.containerStatuses.0.lastState.terminated.reason: OOMKilled}}
    - {absent: pod/web-0, namespace: shop}

A step of a path is a key, a number of a list's entry, or `key=value` for the entry that has it. Keys with dots are
written in brackets: `metadata.annotations.[example.com/a]`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

import msgspec

Json: TypeAlias = dict[str, Any]
Fields: TypeAlias = dict[str, Any]
_STEP = re.compile(r"\[([^\]]+)\]|([^.]+)")


class Matcher(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Instead of a value: what a value must be like."""

    at_least: float | None = None
    at_most: float | None = None
    contains: str | None = None
    absent: bool | None = None
    """Not there, null, or zero."""

    def fits(self, value: Any) -> bool:
        if self.absent is not None and self.absent != (not value):
            return False
        if self.at_least is not None and not (isinstance(value, int | float) and value >= self.at_least):
            return False
        if self.at_most is not None and not (isinstance(value, int | float) and value <= self.at_most):
            return False
        return self.contains is None or self.contains in str(value)


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """One expectation. Exactly one of `object`, `pods`, `absent`."""

    object: str = ""
    """`deployment/web`."""
    pods: str = ""
    """Labels: `app=web`."""
    absent: str = ""
    namespace: str = "default"
    is_: Fields = msgspec.field(default_factory=dict[str, Any], name="is")
    some: Fields = {}
    """Of at least one of the pods."""
    all: Fields = {}
    """Of each of the pods, of which there is at least one."""

    def __post_init__(self) -> None:
        if sum(map(bool, (self.object, self.pods, self.absent))) != 1:
            raise ValueError("a check names one of object, pods, absent")
        if self.pods and not (self.some or self.all):
            raise ValueError("a check of pods says what `some` or `all` of them are")
        for value in (*self.is_.values(), *self.some.values(), *self.all.values()):
            if isinstance(value, dict):
                msgspec.convert(value, Matcher)

    def __str__(self) -> str:
        if self.absent:
            return f"{self.absent} in {self.namespace} is gone"
        wanted = ", ".join(
            f"{path} {_told(value)}" for path, value in {**self.is_, **self.some, **self.all}.items()
        )
        whom = self.object or f"{'some' if self.some else 'all'} of the pods {self.pods}"
        return f"{whom} in {self.namespace}: {wanted or 'is there'}"


Find: TypeAlias = Callable[[str, str, str], Json | None]
"""(kind, name, namespace) -> the object, or None."""
List: TypeAlias = Callable[[str], Sequence[Json]]
"""(namespace) -> the pods."""


def missing(check: Check, find: Find, pods: List) -> str:
    """What is instead of what the check wants, in words; empty when all is as it wants."""
    if check.pods:
        key, _, value = check.pods.partition("=")
        found = [pod for pod in pods(check.namespace) if value_at(pod, f"metadata.labels.[{key}]") == value]
        if not found:
            return "there are none"
        wants = check.some or check.all
        told = [_different(wants, pod) for pod in found]
        fine = [not text for text in told]
        return "" if (any(fine) if check.some else all(fine)) else next(filter(None, told))
    kind, _, name = (check.object or check.absent).partition("/")
    one = find(kind, name, check.namespace)
    if check.absent:
        return "" if one is None else "it is still there"
    if one is None:
        return "it is not there"
    return _different(check.is_, one)


def value_at(obj: Any, path: str) -> Any:
    """What stands at a path; None where anything on the way is not there."""
    here = obj
    for match in _STEP.finditer(path):
        step = match[1] or match[2]
        if isinstance(here, Mapping):
            here = cast("Mapping[str, Any]", here).get(step)
        elif isinstance(here, list):
            entries: list[Any] = here  # pyright: ignore[reportUnknownVariableType]
            if step.isdecimal():
                here = entries[int(step)] if int(step) < len(entries) else None
            else:
                key, _, value = step.partition("=")
                here = next((entry for entry in entries if str(entry.get(key)) == value), None)
        else:
            return None
    return here


def _different(wanted: Fields, obj: Json) -> str:
    for path, value in wanted.items():
        found = value_at(obj, path)
        fits = msgspec.convert(value, Matcher).fits(found) if isinstance(value, dict) else found == value
        if not fits:
            return f"{path} is {_shown(found)}"
    return ""


def _told(value: Any) -> str:
    if not isinstance(value, dict):
        return f"is {_shown(value)}"
    wanted = msgspec.convert(value, Matcher)
    bounds = {"at least": wanted.at_least, "at most": wanted.at_most, "with": wanted.contains}
    told = [f"{word} {_shown(bound)}" for word, bound in bounds.items() if bound is not None]
    if wanted.absent is not None:
        told.append("absent" if wanted.absent else "there")
    return f"is {' and '.join(told)}"


def _shown(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return "absent" if value is None else text if text.strip() == text != "" else repr(text)
