"""Label and field selectors, as text and as the structured LabelSelector."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .errors import BadRequest
from .objects import Object, is_map, labels_of, list_at, map_at

Predicate = Callable[[Object], bool]

_SETS = re.compile(r"^\s*(?P<key>[^\s!=,()]+)\s+(?P<op>in|notin)\s*\((?P<values>[^)]*)\)\s*$")
_COMPARES = re.compile(r"^\s*(?P<key>[^\s!=,()<>]+)\s*(?P<op>==|!=|=|<|>)\s*(?P<value>[^\s!=,()<>]*)\s*$")
_EXISTS = re.compile(r"^\s*(?P<not>!?)\s*(?P<key>[^\s!=,()<>]+)\s*$")
_COMMA_OUTSIDE_BRACKETS = re.compile(r",(?![^(]*\))")


def label_predicate(text: str) -> Predicate | None:
    """Parse a label selector; None selects everything. Raises BadRequest."""
    if not text.strip():
        return None
    tests = [_label_test(part) for part in _COMMA_OUTSIDE_BRACKETS.split(text)]
    return lambda obj: _all(tests, labels_of(obj))


def selects(selector: Object | None, labels: dict[str, str]) -> bool:
    """Whether a LabelSelector (matchLabels, matchExpressions) selects; None selects nothing."""
    if selector is None:
        return False
    for key, value in map_at(selector, "matchLabels").items():
        if labels.get(key) != value:
            return False
    return all(_meets(labels, need) for need in list_at(selector, "matchExpressions"))


def selector_text(selector: Object | None) -> str:
    """As kubectl prints a LabelSelector; `<none>` when it is empty."""
    if not selector:
        return "<none>"
    parts = [f"{key}={value}" for key, value in sorted(map_at(selector, "matchLabels").items())]
    for need in list_at(selector, "matchExpressions"):
        key, operator = need["key"], need["operator"]
        values = ",".join(sorted(need.get("values") or ()))
        if operator == "Exists":
            parts.append(key)
        elif operator == "DoesNotExist":
            parts.append(f"!{key}")
        else:
            parts.append(f"{key} {operator.lower()} ({values})")
    return ",".join(parts) or "<none>"


def field_predicate(text: str, allowed: tuple[str, ...], *, is_custom: bool = False) -> Predicate | None:
    """Parse a field selector; None selects everything. Raises BadRequest.

    `allowed` names the fields beyond metadata.name and metadata.namespace.
    """
    if not text.strip():
        return None
    tests: list[tuple[str, bool, str]] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([^\s!=]+)\s*(==|!=|=)\s*(.*?)\s*", part)
        if match is None:
            raise BadRequest(f"invalid selector: '{text}'; can't understand '{part}'")
        path, operator, value = match.groups()
        if path not in ("metadata.name", "metadata.namespace", *allowed):
            raise BadRequest(
                f"field label not supported: {path}"
                if allowed or is_custom
                else f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"'
            )
        tests.append((_ALIASES.get(path, path), operator == "!=", value))
    return lambda obj: all((_at(obj, path) == value) != negated for path, negated, value in tests)


_ALIASES = {"source": "source.component"}
"""Of Events: the one label that is no path."""


def _at(obj: Object, path: str) -> str:
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if is_map(value) else None
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _all(tests: list[Callable[[dict[str, str]], bool]], labels: dict[str, str]) -> bool:
    return all(test(labels) for test in tests)


def _label_test(part: str) -> Callable[[dict[str, str]], bool]:
    if match := _SETS.match(part):
        key = match["key"]
        values = frozenset(value.strip() for value in match["values"].split(","))
        if match["op"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if match := _COMPARES.match(part):
        return _comparison(match["key"], match["op"], match["value"])
    if match := _EXISTS.match(part):
        key, wanted = match["key"], not match["not"]
        return lambda labels: (key in labels) is wanted
    found = re.sub(r"^[^!=<>()]*(==|!=|=|<|>)?", "", part.strip())[:1] or part.strip()
    raise BadRequest(f"unable to parse requirement: found '{found}', expected: identifier")


def _comparison(key: str, operator: str, value: str) -> Callable[[dict[str, str]], bool]:
    if operator in ("=", "=="):
        return lambda labels: labels.get(key) == value
    if operator == "!=":
        return lambda labels: labels.get(key) != value
    if not re.fullmatch(r"-?\d+", value):
        raise BadRequest(
            f"values[0][{key}]: Invalid value: \"{value}\": for 'Gt', 'Lt' operators, the value must be an integer"
        )
    bound = int(value)

    def compares(labels: dict[str, str]) -> bool:
        found = labels.get(key, "")
        if not re.fullmatch(r"-?\d+", found):
            return False
        return int(found) > bound if operator == ">" else int(found) < bound

    return compares


def _meets(labels: dict[str, str], need: Object) -> bool:
    key, operator = need["key"], need["operator"]
    values = need.get("values") or ()
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    return (key in labels) is (operator == "Exists")
