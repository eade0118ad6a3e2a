"""CEL that needs no library: comparisons, and, or, has, in, all, sizes, starts of texts.

The library takes 16 MB and a tenth of a second to load, and copies every object that it is asked about. A cluster
whose rules and policies hold only what is known here needs none of it. The library answers what is not known here,
and every evaluation that comes to anything but a plain value (an error, a comparison of unlike types): it decides
what such a thing is called. tests/devcluster/test_plain_cel.py holds both to the same answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from kubernaut.devcluster.objects import is_list, is_map
from kubernaut.devcluster.schema.cel_syntax import (
    Call,
    ListOf,
    Literal,
    Name,
    Node,
    NotRead,
    Operation,
    Select,
    parse,
)


class Unsure(Exception):
    """The library has to answer."""


Values: TypeAlias = Mapping[str, Any]
_Step: TypeAlias = Callable[[Values], Any]

_LARGEST = 2**63
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}
_TEXT_TESTS: dict[str, Callable[[str, str], bool]] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": str.__contains__,
}


@dataclass(frozen=True, slots=True)
class Plain:
    """An expression that can be answered here."""

    kind: str
    """What it is known to yield: BOOL, STRING, INT, NULL, LIST, MAP, or DYN for anything."""
    value: _Step
    """Raises Unsure."""
    items: str = "DYN"
    """The kind of a list's items."""


@dataclass(frozen=True, slots=True)
class Method:
    """A function of whoever speaks CEL here, called on a map with texts."""

    yields: str
    """MAP, BOOL or STRING."""
    arguments: int
    answer: Callable[..., Any]


@dataclass(frozen=True)
class Vocabulary:
    """What expressions may speak of, beyond CEL itself. Compared by identity: there are few."""

    variables: frozenset[str]
    methods: Mapping[str, Method]

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


@lru_cache(maxsize=64)
def _vocabulary(variables: tuple[str, ...]) -> Vocabulary:
    return Vocabulary(frozenset(variables), {})


def plain(text: str, words: tuple[str, ...] | Vocabulary) -> Plain | None:
    """How to answer an expression over these variables and methods; None where the library is needed."""
    return _plain(text, words if isinstance(words, Vocabulary) else _vocabulary(words))


@lru_cache(maxsize=512)
def _plain(text: str, words: Vocabulary) -> Plain | None:
    try:
        return _compiled(parse(text), words, frozenset())
    except (NotRead, Unsure):
        return None


def _compiled(node: Node, outer: Vocabulary, inner: frozenset[str]) -> Plain:
    """`inner` are the variables of macros. Raises Unsure."""
    if isinstance(node, Literal):
        return _literal(node.value)
    if isinstance(node, Name):
        if node.name not in outer.variables | inner:
            raise Unsure
        name = node.name
        return Plain("DYN", lambda values: values[name])
    if isinstance(node, Select) and not node.is_optional:
        return _selection(_compiled(node.operand, outer, inner), node.field)
    if isinstance(node, ListOf):
        return _list_of([_compiled(item, outer, inner) for item in node.items])
    if isinstance(node, Operation):
        return _operation(node.sign, [_compiled(operand, outer, inner) for operand in node.operands])
    if isinstance(node, Call):
        return _call(node, outer, inner)
    raise Unsure


def _literal(value: Any) -> Plain:
    kinds: dict[type, str] = {bool: "BOOL", int: "INT", str: "STRING", type(None): "NULL"}
    if type(value) not in kinds:
        raise Unsure
    return Plain(kinds[type(value)], lambda _values: value)


def _list_of(parts: list[Plain]) -> Plain:
    kinds = {part.kind for part in parts} or {"DYN"}
    if len(kinds) > 1 or not kinds.isdisjoint(("LIST", "MAP")):
        raise Unsure
    steps = [part.value for part in parts]
    return Plain("LIST", lambda values: [step(values) for step in steps], kinds.pop())


def _may_be(part: Plain, *kinds: str) -> _Step:
    """Its value, if the library would compile it in this place."""
    if part.kind != "DYN" and part.kind not in kinds:
        raise Unsure
    return part.value


def _selection(operand: Plain, field: str) -> Plain:
    source = _may_be(operand)

    def select(values: Values) -> Any:
        held = source(values)
        if not is_map(held) or field not in held:
            raise Unsure
        return held[field]

    return Plain("DYN", select)


# -- operators ---------------------------------------------------------------------------------------


def _operation(sign: str, parts: list[Plain]) -> Plain:
    if sign in ("&&", "||"):
        return _logic(_may_be(parts[0], "BOOL"), _may_be(parts[1], "BOOL"), decisive=sign == "||")
    if sign == "!":
        inside = _may_be(parts[0], "BOOL")
        return Plain("BOOL", lambda values: not _truth(inside(values)))
    if sign in ("==", "!="):
        return _equality(*parts, wanted=sign == "==")
    if sign in _COMPARISONS:
        return _comparison(sign, *parts)
    if sign == "in":
        one, many = parts[0].value, _may_be(parts[1], "LIST")
        if "DYN" not in (parts[0].kind, parts[1].items) and parts[0].kind != parts[1].items:
            raise Unsure
        return Plain("BOOL", lambda values: _is_in(one(values), many(values)))
    if sign == "?:":
        return _choice(*parts)
    if sign == "+":
        return _sum(*parts)
    if sign == "[]":
        source, index = _may_be(parts[0]), _may_be(parts[1], "STRING", "INT")
        return Plain("DYN", lambda values: _item(source(values), index(values)))
    raise Unsure


def _truth(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    raise Unsure


def _logic(first: _Step, second: _Step, *, decisive: bool) -> Plain:
    def decide(values: Values) -> bool:
        if _truth(first(values)) is decisive:
            return decisive
        return _truth(second(values))

    return Plain("BOOL", decide)


def _alike(first: Plain, second: Plain) -> None:
    """The library compiles no operator between known and different kinds."""
    if "DYN" not in (first.kind, second.kind) and (first.kind != second.kind or first.kind in ("LIST", "MAP")):
        raise Unsure


def _equality(first: Plain, second: Plain, *, wanted: bool) -> Plain:
    _alike(first, second)
    one, other = first.value, second.value
    return Plain("BOOL", lambda values: same(one(values), other(values)) is wanted)


def _comparison(sign: str, first: Plain, second: Plain) -> Plain:
    _alike(first, second)
    one, other = _may_be(first, "STRING", "INT"), _may_be(second, "STRING", "INT")
    compare = _COMPARISONS[sign]

    def decide(values: Values) -> bool:
        return compare(*_two(one(values), other(values)))

    return Plain("BOOL", decide)


def _two(one: Any, other: Any) -> tuple[Any, Any]:
    """Two texts or two whole numbers."""
    if type(one) is not type(other) or not isinstance(one, str | int) or isinstance(one, bool):
        raise Unsure
    return one, other


def _choice(condition: Plain, first: Plain, second: Plain) -> Plain:
    _alike(first, second)
    test, one, other = _may_be(condition, "BOOL"), first.value, second.value
    kind = first.kind if first.kind == second.kind else "DYN"
    return Plain(kind, lambda values: one(values) if _truth(test(values)) else other(values))


def _sum(first: Plain, second: Plain) -> Plain:
    _alike(first, second)
    one, other = _may_be(first, "STRING", "INT"), _may_be(second, "STRING", "INT")
    kinds = {first.kind, second.kind} - {"DYN"}

    def add(values: Values) -> Any:
        left, right = _two(one(values), other(values))
        total = left + right
        if isinstance(total, int) and not -_LARGEST <= total < _LARGEST:
            raise Unsure
        return total

    return Plain(kinds.pop() if kinds else "DYN", add)


def _item(source: Any, index: Any) -> Any:
    if is_map(source) and isinstance(index, str) and index in source:
        return source[index]
    if is_list(source) and type(index) is int and 0 <= index < len(source):
        return source[index]
    raise Unsure


def _is_in(one: Any, many: Any) -> bool:
    if is_list(many):
        return any(same(one, item) for item in many)
    if is_map(many) and isinstance(one, str):
        return one in many
    raise Unsure


def same(one: Any, other: Any) -> bool:
    """Equal as CEL sees it: numbers by value, but true is not 1."""
    if is_map(one) and is_map(other):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if is_list(one) and is_list(other):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


# -- functions and macros ----------------------------------------------------------------------------


def _call(node: Call, outer: Vocabulary, inner: frozenset[str]) -> Plain:
    given = node.arguments
    if node.target is None and node.function == "has" and len(given) == 1:
        return _presence(given[0], outer, inner)
    if node.function == "size" and len(given) + (node.target is not None) == 1:
        source = _may_be(_compiled(node.target or given[0], outer, inner), "STRING", "LIST")
        return Plain("INT", lambda values: _size(source(values)))
    if node.target is not None and node.function in _TEXT_TESTS and len(given) == 1:
        text = _may_be(_compiled(node.target, outer, inner), "STRING")
        part = _may_be(_compiled(given[0], outer, inner), "STRING")
        return _text_test(node.function, text, part)
    if node.target is not None and node.function in ("all", "exists") and len(given) == 2:
        return _quantifier(node, outer, inner)
    if node.target is not None and node.function in outer.methods:
        return _method(node, outer.methods[node.function], outer, inner)
    raise Unsure


def _method(node: Call, method: Method, outer: Vocabulary, inner: frozenset[str]) -> Plain:
    if node.target is None or len(node.arguments) != method.arguments:
        raise Unsure
    target = _may_be(_compiled(node.target, outer, inner), "MAP")
    texts = [_may_be(_compiled(part, outer, inner), "STRING") for part in node.arguments]

    def answer(values: Values) -> Any:
        held, given = target(values), [text(values) for text in texts]
        if not is_map(held) or not all(isinstance(text, str) for text in given):
            raise Unsure
        return method.answer(held, *given)

    return Plain(method.yields, answer)


def _presence(part: Node, outer: Vocabulary, inner: frozenset[str]) -> Plain:
    if not isinstance(part, Select) or part.is_optional:
        raise Unsure
    source, field = _may_be(_compiled(part.operand, outer, inner)), part.field

    def is_there(values: Values) -> bool:
        held = source(values)
        if not is_map(held):
            raise Unsure
        return field in held

    return Plain("BOOL", is_there)


def _size(value: Any) -> int:
    if isinstance(value, str | list | dict):
        return len(value)  # pyright: ignore[reportUnknownArgumentType]
    raise Unsure


def _text_test(function: str, text: _Step, part: _Step) -> Plain:
    test = _TEXT_TESTS[function]

    def decide(values: Values) -> bool:
        one, other = text(values), part(values)
        if not isinstance(one, str) or not isinstance(other, str):
            raise Unsure
        return test(one, other)

    return Plain("BOOL", decide)


def _quantifier(node: Call, outer: Vocabulary, inner: frozenset[str]) -> Plain:
    variable, body = node.arguments
    if node.target is None or not isinstance(variable, Name) or variable.name in outer.variables | inner:
        raise Unsure
    source = _may_be(_compiled(node.target, outer, inner))
    test = _may_be(_compiled(body, outer, inner | {variable.name}), "BOOL")
    name, decisive = variable.name, node.function == "exists"

    def decide(values: Values) -> bool:
        for item in _each(source(values)):
            if _truth(test({**values, name: item})) is decisive:
                return decisive
        return not decisive

    return Plain("BOOL", decide)


def _each(many: Any) -> Iterable[Any]:
    if is_list(many) or is_map(many):
        return many
    raise Unsure
