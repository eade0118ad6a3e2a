"""What a policy file says, read from the tree that the engine's parser gives; nothing is evaluated here.

Runs inside the worker process, so it imports the standard library only. The shape of the tree is that of
regorus' `get_ast_as_json` (crate regorus, `src/ast.rs`): each node is `{"Kind": {"span": ..., ...}}`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

Node = Mapping[str, Any]

SET, COMPLETE, FUNCTION, DEFAULT, OBJECT = "set", "complete", "function", "default", "object"


@dataclass(frozen=True)
class Place:
    """A place in a file; line and column are counted from 1."""

    path: str
    line: int
    column: int


@dataclass(frozen=True)
class Rule:
    """One definition; several may share a name, in one file or in many."""

    package: str
    name: str
    kind: str
    place: Place
    start: int
    """Where its text begins and ends, in bytes."""
    end: int
    last_line: int
    gives: str = ""
    """What a member of a set is, as far as that can be seen: text, object, bare (an object without msg), other."""

    @property
    def full_name(self) -> str:
        return f"data.{self.package}.{self.name}"


@dataclass(frozen=True)
class Mention:
    """A name that a rule calls, or reads: full (`data.lib.f`) where it is a rule's, else as it is written."""

    name: str
    place: Place
    within: str
    """The full name of the rule around it."""
    is_call: bool


@dataclass
class Module:
    """One file."""

    path: str
    package: str
    place: Place
    rules: list[Rule] = field(default_factory=list[Rule])
    mentions: list[Mention] = field(default_factory=list[Mention])
    imports: list[Mention] = field(default_factory=list[Mention])
    negated: list[Mention] = field(default_factory=list[Mention])
    """What is read inside a call that `not` stands before."""


def read_modules(trees: Iterable[Node]) -> list[Module]:
    """The files of a set, each name resolved against the rules of all of them."""
    listed = list(trees)
    modules = [_outline(tree) for tree in listed]
    rules = {rule.full_name for module in modules for rule in module.rules}
    for module, tree in zip(modules, listed, strict=True):
        reader = _Reader(module, tree, rules)
        module.mentions = list(reader.mentions())
        module.negated = reader.negated
    return modules


def _outline(tree: Node) -> Module:
    path, ast = str(tree["source"]["file"]), tree["ast"]
    text = str(tree["source"]["contents"]).encode()
    span = ast["package"]["span"]
    module = Module(path, ".".join(chain(ast["package"]["refr"])[0]), Place(path, span["line"], span["col"]))
    for each in ast["rules"]:
        if (rule := _rule(module, each, text)) is not None:
            module.rules.append(rule)
    for each in ast["imports"]:
        names, _ = chain(each["refr"])
        module.imports.append(Mention(".".join(names), _place(path, each["span"]), "", is_call=False))
    return module


def _rule(module: Module, tree: Node, text: bytes) -> Rule | None:
    (shape, body) = next(iter(tree.items()))
    span = body["span"]
    if shape == "Default":
        kind, head = (FUNCTION if body["args"] else DEFAULT), body["refr"]
    else:
        (form, inner) = next(iter(body["head"].items()))
        head = inner["refr"]
        kind = {"Set": SET, "Func": FUNCTION}.get(form, COMPLETE)
        if kind == COMPLETE and next(iter(head)) == "RefBrack":
            kind = OBJECT
    names, _ = chain(head)
    if not names:
        return None
    last_line = span["line"] + text[span["start"] : span["end"]].rstrip().count(b"\n")
    place = _place(module.path, span)
    gives = _given(body["head"]["Set"]["key"]) if kind == SET else ""
    return Rule(module.package, ".".join(names), kind, place, span["start"], span["end"], last_line, gives)


def _given(key: Node) -> str:
    kind, part = next(iter(key.items()))
    if kind == "Object":
        names = {text["String"]["value"] for _, text, _ in part["fields"] if "String" in text}
        return "object" if "msg" in names or "level" in names else "bare"
    if kind in ("String", "RawString"):
        return "text" if str(part["value"]).strip() else "other"
    return "other" if kind in ("Bool", "Number", "Null", "Array", "Set") else ""


class _Reader:
    """Walks the bodies of one file."""

    def __init__(self, module: Module, tree: Node, rules: set[str]) -> None:
        self._module = module
        self._ast = tree["ast"]
        self._text = str(tree["source"]["contents"]).encode()
        self._rules = rules
        self._aliases: dict[str, list[str]] = {}
        self.negated: list[Mention] = []
        for each in self._ast["imports"]:
            names, _ = chain(each["refr"])
            if names and names[0] in ("data", "input"):
                self._aliases[self._written(each["as"]) if each.get("as") else names[-1]] = names

    def mentions(self) -> Iterator[Mention]:
        known = {(rule.start, rule.end): rule for rule in self._module.rules}
        for tree in self._ast["rules"]:
            body = next(iter(tree.values()))
            rule = known.get((body["span"]["start"], body["span"]["end"]))
            if rule is not None:
                yield from self._within(body, rule.full_name, set(self._declared(body)))

    def _within(self, node: object, rule: str, declared: set[str]) -> Iterator[Mention]:
        for kind, part in _parts(node):
            if kind == "Call":
                yield self._mention(part["fcn"], rule, declared, is_call=True)
                yield from self._within(part["params"], rule, declared)
            elif kind in ("RefDot", "RefBrack", "Var"):
                yield self._mention({kind: part}, rule, declared, is_call=False)
                for index in chain({kind: part})[1]:
                    yield from self._within(index, rule, declared)
            elif kind == "NotExpr" and not {"Call", "Membership"}.isdisjoint(part["expr"]):
                inside = list(self._within(part["expr"], rule, declared))
                self.negated += [
                    one for one in inside if not one.is_call and one.name.startswith(("input.", "data."))
                ]
                yield from inside
            elif kind == "with_mods":
                for each in part:
                    yield from self._within(each["as"], rule, declared)
            elif kind not in ("span", "refr", "field"):
                yield from self._within(part, rule, declared)

    def _mention(self, tree: Node, rule: str, declared: set[str], *, is_call: bool) -> Mention:
        names, _ = chain(tree)
        place = _place(self._module.path, _first_span(tree))
        return Mention(self._resolved(names, declared), place, rule, is_call)

    def _resolved(self, names: list[str], declared: set[str]) -> str:
        if not names or names[0] in declared:
            return ""
        if names[0] in self._aliases:
            return ".".join([*self._aliases[names[0]], *names[1:]])
        own = f"data.{self._module.package}.{names[0]}"
        if own in self._rules or any(known.startswith(f"{own}.") for known in self._rules):
            return ".".join(["data", self._module.package, *names])
        return ".".join(names)

    def _declared(self, node: object) -> Iterator[str]:
        """Names that a rule gives to values of its own: arguments, `some`, `every`, `:=`."""
        for kind, part in _parts(node):
            if kind == "AssignExpr" and part["op"] == "ColEq":
                yield from _variables(part["lhs"])
            elif kind == "SomeIn":
                yield from _variables([part["key"], part["value"]])
            elif kind == "SomeVars":
                yield from map(self._written, part["vars"])
            elif kind == "Every":
                yield from (self._written(span) for span in (part["key"], part["value"]) if span)
            elif kind == "Func":
                yield from _variables(part["args"])
            yield from self._declared(part)

    def _written(self, span: Node) -> str:
        return self._text[span["start"] : span["end"]].decode(errors="replace")


def chain(tree: Node) -> tuple[list[str], list[Any]]:
    """The constant beginning of a reference (`data.a["b"].c` is data, a, b, c), and its other indices."""
    names: list[str] = []
    indices: list[Any] = []
    is_constant = True
    for kind, part in _links(tree):
        if kind == "Var":
            names.append(str(part["value"]))
        elif kind == "RefDot":
            if is_constant:
                names.append(str(part["field"][-1]))
        elif is_constant and "String" in part["index"]:
            names.append(str(part["index"]["String"]["value"]))
        else:
            is_constant = False
            indices.append(part["index"])
    return names, indices


def _links(tree: Node) -> list[tuple[str, Any]]:
    links: list[tuple[str, Any]] = []
    while True:
        kind, part = next(iter(tree.items()))
        if kind not in ("Var", "RefDot", "RefBrack"):
            # A call or a literal that is looked into: `f(x).y`.
            return [("RefBrack", {"index": tree}), *reversed(links)]
        links.append((kind, part))
        if kind == "Var":
            return list(reversed(links))
        tree = part["refr"]


def _parts(node: object) -> Iterable[tuple[str, Any]]:
    """What a node consists of, by kind; that of a list has none."""
    if isinstance(node, list):
        return [("", part) for part in cast("list[object]", node)]
    return cast("dict[str, Any]", node).items() if isinstance(node, dict) else ()


def _variables(node: object) -> Iterator[str]:
    for kind, part in _parts(node):
        if kind == "Var":
            yield str(part["value"])
        elif kind not in ("Call", "RefDot", "RefBrack"):
            yield from _variables(part)


def _first_span(tree: Node) -> Node:
    """Where a reference begins: the engine's own span of one is at its last dot."""
    _, part = _links(tree)[0]
    found: Node = part if "span" in part else next(iter(part["index"].values()))
    span: Node = found.get("span", {"line": 1, "col": 1})
    return span


def _place(path: str, span: Node) -> Place:
    return Place(path, int(span["line"]), int(span["col"]))
