"""CEL as a tree: the grammar of the language definition (google/cel-spec, langdef.md), without message literals.

Whoever reads a rule here must get along without an answer: what this parser does not know, the CEL library judges.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias


class NotRead(ValueError):
    """The text is no CEL, or CEL of a kind that is not read here."""


@dataclass(frozen=True, slots=True)
class Literal:
    value: bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Opaque:
    """A constant whose value nobody here asks for: bytes, unsigned numbers, texts with escapes."""

    text: str


@dataclass(frozen=True, slots=True)
class Name:
    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Select:
    """`operand.field`; `operand.?field` if optional."""

    operand: Node
    field: str
    at: int
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """`function(arguments)`, or of a member: `target.function(arguments)`."""

    target: Node | None
    function: str
    arguments: tuple[Node, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Operation:
    """`sign` is as written; `?:` for a choice, `[]` and `[?]` for an index, `-x` for a negation."""

    sign: str
    operands: tuple[Node, ...]
    at: int


@dataclass(frozen=True, slots=True)
class ListOf:
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MapOf:
    entries: tuple[tuple[Node, Node], ...]


Node: TypeAlias = Literal | Opaque | Name | Select | Call | Operation | ListOf | MapOf

_TOKEN = re.compile(
    r"""\s*(?://[^\n]*\n?\s*)*(?:
    (?P<opaque>(?:[bB][rR]?|[rR][bB])(?:'''[\s\S]*?'''|\"\"\"[\s\S]*?\"\"\"|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"))
    |(?P<text>[rR]?(?:'''[\s\S]*?'''|\"\"\"[\s\S]*?\"\"\"|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"))
    |(?P<double>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)
    |(?P<unsigned>(?:0x[0-9a-fA-F]+|\d+)[uU])
    |(?P<int>0x[0-9a-fA-F]+|\d+)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>\|\||&&|==|!=|<=|>=|\.\?|\[\?|[-+*/%<>!?:.,()\[\]{}])
    )""",
    re.VERBOSE,
)
_KEYWORDS = frozenset(("true", "false", "null", "in"))
_RESERVED = _KEYWORDS | {
    *("as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop"),
    *("package", "namespace", "return", "var", "void", "while"),
}
_LEVELS = (("||",), ("&&",), ("<", "<=", ">=", ">", "==", "!=", "in"), ("+", "-"), ("*", "/", "%"))
_DEEPEST = 200
_LARGEST = 2**63


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def parse(text: str) -> Node:
    """Raises NotRead."""
    parser = _Parser(tuple(_tokens(text)))
    found = parser.expression()
    parser.expect("")
    return found


def _tokens(text: str) -> Iterator[_Token]:
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise NotRead(f"cannot be read at {at}")
        yield _Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup))
        at = match.end()
    yield _Token("end", "", end)


class _Parser:
    def __init__(self, tokens: tuple[_Token, ...]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _takes(self, *signs: str) -> _Token | None:
        token = self._token
        if token.kind in ("sign", "name", "end") and token.text in signs:
            self._next += 1
            return token
        return None

    def expect(self, sign: str) -> _Token:
        token = self._token
        if token.text != sign or token.kind not in ("sign", "end"):
            raise NotRead(f"{token.text!r} instead of {sign!r}")
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def expression(self) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise NotRead("too deep")
        condition = self._level(0)
        if mark := self._takes("?"):
            first = self._level(0)
            self.expect(":")
            condition = Operation("?:", (condition, first, self.expression()), mark.at)
        self._depth -= 1
        return condition

    def _level(self, number: int) -> Node:
        if number == len(_LEVELS):
            return self._unary()
        found = self._level(number + 1)
        while sign := self._takes(*_LEVELS[number]):
            found = Operation(sign.text, (found, self._level(number + 1)), sign.at)
        return found

    def _unary(self) -> Node:
        sign = self._token.text if self._token.kind == "sign" else ""
        if sign not in ("!", "-"):
            return self._member()
        first, count = self._token.at, 0
        while self._takes(sign):
            count += 1
        found = self._member()
        for _ in range(count):
            found = Operation("!" if sign == "!" else "-x", (found,), first)
        return found

    def _member(self) -> Node:
        found = self._primary()
        while True:
            if dot := self._takes("."):
                field = self._field()
                if opening := self._takes("("):
                    found = Call(found, field, self._arguments(")"), opening.at)
                else:
                    found = Select(found, field, dot.at)
            elif dot := self._takes(".?"):
                found = Select(found, self._field(), dot.at, is_optional=True)
            elif bracket := self._takes("[", "[?"):
                index = self.expression()
                self.expect("]")
                found = Operation(bracket.text + "]", (found, index), bracket.at)
            else:
                return found

    def _field(self) -> str:
        token = self._token
        if token.kind != "name" or token.text in _KEYWORDS:
            raise NotRead(f"{token.text!r} is no field")
        self._next += 1
        return token.text

    def _arguments(self, closing: str) -> tuple[Node, ...]:
        found: list[Node] = []
        while not self._takes(closing):
            if found:
                self.expect(",")
            found.append(self.expression())
        return tuple(found)

    def _primary(self) -> Node:
        token = self._token
        self._next += 1
        if token.kind == "name":
            return self._named(token)
        if token.kind == "sign" and token.text == "(":
            found = self.expression()
            self.expect(")")
            return found
        if token.kind == "sign" and token.text == "[":
            return ListOf(self._arguments("]"))
        if token.kind == "sign" and token.text == "{":
            return MapOf(tuple(self._entries()))
        return _constant(token)

    def _named(self, token: _Token) -> Node:
        if token.text in _KEYWORDS - {"in"}:
            return Literal({"true": True, "false": False}.get(token.text))
        if token.text in _RESERVED:
            raise NotRead(f"{token.text!r} is reserved")
        if opening := self._takes("("):
            return Call(None, token.text, self._arguments(")"), opening.at)
        return Name(token.text, token.at)

    def _entries(self) -> Iterator[tuple[Node, Node]]:
        is_first = True
        while not self._takes("}"):
            if not is_first:
                self.expect(",")
            is_first = False
            key = self.expression()
            self.expect(":")
            yield key, self.expression()


def _constant(token: _Token) -> Node:
    if token.kind == "int":
        value = int(token.text, 0) if token.text[:2] == "0x" else int(token.text)
        if value >= _LARGEST:
            raise NotRead("too large a number")
        return Literal(value)
    if token.kind == "double":
        return Literal(float(token.text))
    if token.kind in ("opaque", "unsigned"):
        return Opaque(token.text)
    if token.kind != "text":
        raise NotRead(f"{token.text!r} is no beginning")
    is_raw = token.text[0] in "rR"
    body = token.text[1:] if is_raw else token.text
    marks = 3 if body[:3] in ("'''", '"""') else 1
    inside = body[marks:-marks]
    return Opaque(token.text) if "\\" in inside and not is_raw else Literal(inside)
