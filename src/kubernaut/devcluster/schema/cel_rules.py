"""x-kubernetes-validations: CEL rules of a structural schema, compiled once, with oldSelf.

Fields that the schema does not have are refused when a rule is compiled. Types are not looked at: a rule that
compares a number with a text fails here when it is evaluated, where the real API server refuses the definition.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

from kubernaut.devcluster.errors import Fault, FaultReason
from kubernaut.devcluster.metadata import invalid, quoted
from kubernaut.devcluster.objects import is_list, is_map, list_at, map_at, to_json
from kubernaut.devcluster.schema.cel_library import environment, load
from kubernaut.devcluster.schema.cel_names import unknown_field
from kubernaut.devcluster.schema.cel_plain import Unsure, plain

_ESCAPES = {"__underscores__": "__", "__dot__": ".", "__dash__": "-", "__slash__": "/"}
_RESERVED = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
]
_ESCAPED = re.compile(r"__(?:underscores|dot|dash|slash)__|__(?:" + "|".join(_RESERVED) + r")__")
_HAS = re.compile(r"has\(([\w.]+)\.(\w+)\)")
_SELECT = re.compile(r"\.(\w+)\b(?!\()")
_OLD_SELF = re.compile(r"\boldSelf\b")
_REASONS: dict[str, FaultReason] = {
    "FieldValueInvalid": "FieldValueInvalid",
    "FieldValueForbidden": "FieldValueForbidden",
    "FieldValueRequired": "FieldValueRequired",
    "FieldValueDuplicate": "FieldValueDuplicate",
}


class RuleError(ValueError):
    """A rule does not compile."""


_Answer: TypeAlias = Callable[[dict[str, Any]], Any]
"""What a rule says of self, oldSelf and hasOldSelf. May raise anything."""


@dataclass(slots=True)
class _Rule:
    text: str
    answer: _Answer
    message: str
    message_program: Any
    reason: FaultReason
    field_path: str
    needs_old: bool
    has_optional_old: bool


@dataclass(slots=True)
class RuleTree:
    """The rules of a schema, where they stand in it."""

    rules: list[_Rule] = field(default_factory=list[_Rule])
    fields: dict[str, RuleTree] = field(default_factory=dict[str, "RuleTree"])
    items: RuleTree | None = None
    values: RuleTree | None = None
    list_keys: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.rules or self.fields or self.items or self.values)


def rule_tree(schema: dict[str, Any], path: str = "openAPIV3Schema", *, is_root: bool = True) -> RuleTree | None:
    """Compile; None when there are no rules at or below. Raises RuleError naming the place."""
    tree = RuleTree(list_keys=tuple(list_at(schema, "x-kubernetes-list-map-keys")))
    for index, spec in enumerate(list_at(schema, "x-kubernetes-validations")):
        at = f"{path}.x-kubernetes-validations[{index}].rule"
        optional = bool(spec.get("optionalOldSelf"))
        if words := unknown_field(str(spec["rule"]), schema, is_root=is_root, has_optional_old=optional):
            raise RuleError(f"{at}: compilation failed: {words}")
        try:
            tree.rules.append(_compiled(spec))
        except Exception as error:  # noqa: BLE001 - the CEL library raises bare Exceptions
            raise RuleError(f"{at}: compilation failed: {error}") from None
    for name, below in map_at(schema, "properties").items():
        found = rule_tree(below, f"{path}.properties[{name}]", is_root=False)
        if found is not None:
            tree.fields[name] = found
    if is_map(schema.get("items")):
        tree.items = rule_tree(schema["items"], f"{path}.items", is_root=False)
    if is_map(schema.get("additionalProperties")):
        tree.values = rule_tree(schema["additionalProperties"], f"{path}.additionalProperties", is_root=False)
    return None if tree.is_empty else tree


def _compiled(spec: dict[str, Any]) -> _Rule:
    text = str(spec["rule"]).strip()
    optional = bool(spec.get("optionalOldSelf"))
    message = spec.get("messageExpression")
    return _Rule(
        text=text,
        answer=_answer(text, optional=optional),
        message=str(spec.get("message") or f"failed rule: {text}"),
        message_program=_environment().compile(_unescaped(message)) if message else None,
        reason=_REASONS.get(str(spec.get("reason")), "FieldValueInvalid"),
        field_path=str(spec.get("fieldPath") or ""),
        needs_old=bool(_OLD_SELF.search(text)) and not optional,
        has_optional_old=optional,
    )


def _answer(text: str, *, optional: bool) -> _Answer:
    source = _unescaped(text)
    if optional:
        source = _OLD_SELF.sub("(hasOldSelf ? optional.of(oldSelf) : optional.none())", source)
    quick = None if optional or source != text else plain(text, ("self", "oldSelf"))
    if quick is None or quick.kind not in ("BOOL", "DYN"):
        program = _environment().compile(source)
        return lambda data: program.eval(data=data).plain_value()

    def answer(data: dict[str, Any]) -> Any:
        try:
            return quick.value(data)
        except Unsure:
            return _program(source).eval(data=data).plain_value()

    return answer


@cache
def _program(source: str) -> Any:
    return _environment().compile(source)


def _unescaped(source: str) -> str:
    """Turn Kubernetes' escaped property names into index expressions."""
    if not _ESCAPED.search(source):
        return source

    def plain(name: str) -> str:
        for escape, mark in _ESCAPES.items():
            name = name.replace(escape, mark)
        match = re.fullmatch(r"__(\w+)__", name)
        return match[1] if match and match[1] in _RESERVED else name

    def has(match: re.Match[str]) -> str:
        if not _ESCAPED.search(match[2]):
            return match[0]
        return f'("{plain(match[2])}" in {match[1]})'

    def select(match: re.Match[str]) -> str:
        return f'["{plain(match[1])}"]' if _ESCAPED.search(match[1]) else match[0]

    return _SELECT.sub(select, _HAS.sub(has, source))


def rule_faults(tree: RuleTree, value: Any, old: Any, has_old: bool) -> list[Fault]:
    """Evaluate all rules on a valid object. `has_old` is False on creation."""
    return list(_faults(tree, value, old, has_old, ""))


def _faults(tree: RuleTree, value: Any, old: Any, has_old: bool, path: str) -> Iterator[Fault]:
    for rule in tree.rules:
        if has_old or not rule.needs_old:
            yield from _rule_fault(rule, value, old, has_old, path)
    if is_map(value):
        was = old if is_map(old) else {}
        for name, item in value.items():
            below = tree.fields.get(name) or tree.values
            if below is not None and item is not None:
                here = f"{path}.{name}" if path else name
                yield from _faults(below, item, was.get(name), has_old and name in was, here)
    elif is_list(value) and tree.items is not None:
        known = _by_key(old, tree.list_keys)
        for index, item in enumerate(value):
            mark = _key_of(item, tree.list_keys)
            correlates = has_old and mark is not None and mark in known
            before = known[mark] if correlates and mark is not None else None
            yield from _faults(tree.items, item, before, correlates, f"{path}[{index}]")


def _key_of(item: Any, keys: tuple[str, ...]) -> bytes | None:
    if not keys or not is_map(item):
        return None
    return to_json([item.get(key) for key in keys])


def _by_key(old: Any, keys: tuple[str, ...]) -> dict[bytes, Any]:
    found: dict[bytes, Any] = {}
    for item in old if is_list(old) else ():
        mark = _key_of(item, keys)
        if mark is not None:
            found[mark] = item
    return found


def _rule_fault(rule: _Rule, value: Any, old: Any, has_old: bool, path: str) -> Iterator[Fault]:
    data = {"self": value, "oldSelf": old if has_old else None, "hasOldSelf": has_old}
    shown = value
    try:
        outcome = rule.answer(data)
    except Exception as error:  # noqa: BLE001 - the CEL library raises bare Exceptions
        words = f"rule evaluation error: {error}: evaluating rule: {rule.text}"
        yield invalid(path, shown, words)
        return
    if outcome is True:
        return
    message = rule.message
    if not isinstance(outcome, bool):
        message = f"rule evaluation error: {outcome}: evaluating rule: {rule.text}"
    elif rule.message_program is not None:
        message = str(rule.message_program.eval(data=data).plain_value())
    at = path + rule.field_path if path else rule.field_path.removeprefix(".")
    if rule.reason == "FieldValueInvalid" and isinstance(value, dict | list):
        yield Fault(at, rule.reason, f"Invalid value: {message}")
    elif rule.reason == "FieldValueInvalid":
        yield invalid(at, shown, message)
    elif rule.reason == "FieldValueForbidden":
        yield Fault(at, rule.reason, f"Forbidden: {message}")
    elif rule.reason == "FieldValueRequired":
        yield Fault(at, rule.reason, f"Required value: {message}")
    else:
        yield Fault(at, rule.reason, f"Duplicate value: {quoted(shown)}")


@cache
def _environment() -> Any:
    cel = load()
    dyn = cel.Type.DYN
    return environment({"self": dyn, "oldSelf": dyn, "hasOldSelf": cel.Type.BOOL})
