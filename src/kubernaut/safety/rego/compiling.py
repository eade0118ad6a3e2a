"""From files to something that answers: every check that a set must pass, in the order of their reasons.

Runs inside the worker process. Policies are hostile until proven otherwise: any of these steps may hang, eat
memory or kill the process, and the one who started it is prepared for that.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, cast

import regorus  # pyright: ignore[reportMissingTypeStubs]

from kubernaut.safety.rego.faults import Fault, fault_of, located
from kubernaut.safety.rego.functions import ALLOWED, BANNED, reason_against
from kubernaut.safety.rego.reading import (
    COMPLETE,
    DEFAULT,
    FUNCTION,
    SET,
    Module,
    Rule,
    read_modules,
)

ROOT = "kubernaut"
"""Decisions are collected from this package and all below it."""
SETTINGS = f"{ROOT}.settings"
"""Where parameters of policies stand; they are data, so no package may."""
ALLOW = "allow"
OBJECTIONS = ("deny", "require_approval", "require_dry_run", "min_autonomy", "warn")

_Engine: Any = cast("Any", regorus).Engine

_ASKED = "data.kubernaut__asked"

Source = tuple[str, str]
"""Path and text of a file."""


class Refused(Exception):
    """The set is refused as a whole."""

    def __init__(self, faults: Sequence[Fault], sources: Sequence[Source]) -> None:
        super().__init__(f"{len(faults)} faults")
        texts = dict(sources)
        self.faults = tuple(_with_tabs(fault, texts.get(fault.place.path, "")) for fault in faults)


class Compiled:
    """A set that passed. One engine per set: an engine belongs to the thread that made it."""

    def __init__(self, sources: Sequence[Source], data: Mapping[str, Any]) -> None:
        self._sources = sources
        self._data = json.dumps(data)
        self.modules = _checked(sources)
        self.engine = self._engine(sources)
        self.decisions = [rule for module in self.modules for rule in module.rules if _is_decision(rule)]
        self._first_evaluation()
        self._firsts = {rule.full_name: rule for rule in reversed(self.decisions)}
        self.engine.add_policy("asked", _asking(list(self._firsts)))
        self._traced, self._copies = self._tracer()

    def judge(self, document: Any) -> list[dict[str, Any]]:
        """What each decision of each package says of an input: its values, or why there are none."""
        text = json.dumps(document)
        self.engine.set_input_json(text)
        if self._traced is not None:
            self._traced.set_input_json(text)
        found: list[dict[str, Any]] = []
        for first, outcome in self._outcomes():
            answer: dict[str, Any] = {"package": first.package, "decision": first.name}
            answer |= {"file": first.place.path, "line": first.place.line}
            if isinstance(outcome, RuntimeError):
                place, message = located(str(outcome), first.place.path)
                found.append({**answer, "file": place.path, "line": place.line, "error": message})
            elif first.name == ALLOW:
                found.append({**answer, "values": [outcome == [True]]})
            else:
                found += self._attributed(answer, outcome[0] if outcome else None)
        return found

    def _outcomes(self) -> Iterator[tuple[Rule, Any]]:
        """Each decision with a list of its value, empty where it is undefined, or with its error."""
        firsts = list(self._firsts.values())
        try:
            # One rule over all is several times faster than one after the other, but fails as a whole.
            yield from zip(firsts, json.loads(self.engine.eval_rule_as_json(f"{_ASKED}.all")), strict=True)
        except RuntimeError:
            for number, first in enumerate(firsts):
                try:
                    yield first, json.loads(self.engine.eval_rule_as_json(f"{_ASKED}.one_{number}"))
                except RuntimeError as error:
                    yield first, error

    def _attributed(self, answer: dict[str, Any], values: object) -> Iterator[dict[str, Any]]:
        """One answer for each definition that gave something, so that a verdict names the line."""
        if not isinstance(values, list):
            yield {**answer, "error": f"it gives {values!r}, not a set"}
            return
        left = list(cast("list[object]", values))
        if not left:
            yield {**answer, "values": []}
            return
        for rule, copy in self._copies.get((answer["package"], answer["decision"]), ()):
            given = [value for value in self._values_of(copy) if value in left]
            left = [value for value in left if value not in given]
            if given:
                yield {**answer, "file": rule.place.path, "line": rule.place.line, "values": given}
        if left:
            yield {**answer, "values": left}

    def _values_of(self, path: str) -> list[object]:
        assert self._traced is not None
        try:
            values: object = json.loads(self._traced.eval_rule_as_json(path))
        except (RuntimeError, ValueError):
            return []
        return cast("list[object]", values) if isinstance(values, list) else []

    def query(self, query: str, document: Any) -> dict[str, Any]:
        """The values of a query's first expression, and the bindings of its variables. Raises RuntimeError."""
        self.engine.set_input_json(json.dumps(document))
        self.engine.set_gather_prints(True)
        answer = json.loads(self.engine.eval_query_as_json(query))
        rows = answer.get("result", [])
        return {
            "values": [row["expressions"][-1]["value"] for row in rows],
            "bindings": [row.get("bindings", {}) for row in rows],
            "prints": list(self.engine.take_prints()),
        }

    def test(self, name: str) -> dict[str, Any]:
        """Whether one test holds; else the last line that was reached, and the error if there was one."""
        self.engine.set_gather_prints(True)
        self.engine.set_enable_coverage(True)
        rules = [rule for module in self.modules for rule in module.rules if rule.full_name == name]
        answer: dict[str, Any] = {"passed": False}
        try:
            # Not eval_rule: that answers with the text "<undefined>".
            result = json.loads(self.engine.eval_query_as_json(name)).get("result", [])
            answer["passed"] = bool(result) and result[0]["expressions"][0]["value"] is True
        except RuntimeError as error:
            place, answer["error"] = located(str(error), rules[0].place.path)
            answer |= {"file": place.path, "line": place.line}
        answer["prints"] = list(self.engine.take_prints())
        if not answer["passed"] and "error" not in answer:
            answer["line"] = self._last_reached(name, rules)
        return answer

    def coverage(self) -> dict[str, Any]:
        """Lines that some test evaluated, and lines that none did, of each file."""
        return _covered(self.engine)

    def _last_reached(self, name: str, rules: Sequence[Rule]) -> int:
        again = self.engine.clone()
        again.clear_coverage_data()
        again.eval_query_as_json(name)
        covered: list[int] = _covered(again).get(rules[0].place.path, {}).get("covered", [])
        within = [line for rule in rules for line in covered if rule.place.line <= line <= rule.last_line]
        return max(within, default=rules[0].place.line)

    def _engine(self, sources: Sequence[Source]) -> Any:
        engine = _Engine()
        for path, text in sources:
            engine.add_policy(path, text)
        engine.add_data_json(self._data)
        return engine

    def _first_evaluation(self) -> None:
        """Evaluated once, on an empty input: some faults show only then."""
        self.engine.set_input_json("{}")
        faults: list[Fault] = []
        for rule in {rule.full_name: rule for rule in self.decisions}.values():
            try:
                self.engine.eval_rule_as_json(rule.full_name)
            except RuntimeError as error:
                faults.append(Fault(*located(str(error), rule.place.path)))
        if faults:
            raise Refused(list(dict.fromkeys(faults)), self._sources)

    def _tracer(self) -> tuple[Any, dict[tuple[str, str], list[tuple[Rule, str]]]]:
        """A second engine in which definitions that share a name have names of their own as well."""
        several: dict[tuple[str, str], list[Rule]] = {}
        for rule in self.decisions:
            if rule.kind == SET:
                several.setdefault((rule.package, rule.name), []).append(rule)
        several = {name: rules for name, rules in several.items() if len(rules) > 1}
        if not several:
            return None, {}
        texts = {path: text.encode() for path, text in self._sources}
        copies: dict[tuple[str, str], list[tuple[Rule, str]]] = {}
        for (package, name), rules in several.items():
            for number, rule in enumerate(rules):
                copy = f"{name}__{number}__"
                body = self._text_of(rule)[len(name.encode()) :]
                texts[rule.place.path] += b"\n" + copy.encode() + body + b"\n"
                copies.setdefault((package, name), []).append((rule, f"data.{package}.{copy}"))
        try:
            return self._engine([(path, text.decode()) for path, text in texts.items()]), copies
        except RuntimeError:
            return None, {}  # then a verdict names the first definition

    def _text_of(self, rule: Rule) -> bytes:
        (text,) = [text for path, text in self._sources if path == rule.place.path]
        whole = text.encode()
        # The engine's span of what ends in a text ends before its quotation mark.
        end = rule.end + (whole[rule.end : rule.end + 1] in (b'"', b"`"))
        return whole[rule.start : end]


def _asking(names: Sequence[str]) -> str:
    """A module that asks for all decisions; each in a list, which is empty where it is undefined."""
    each = [f"one_{number} := [value | value := {name}]" for number, name in enumerate(names)]
    ones = ", ".join(f"one_{number}" for number in range(len(names)))
    # Lines must stay short: the engine reads no more than 1024 columns.
    return "\n".join(
        [f"package {_ASKED.removeprefix('data.')}", *each, f"all := [{ones}]".replace(", ", ",\n"), ""]
    )


def _covered(engine: Any) -> dict[str, Any]:
    report = json.loads(engine.get_coverage_report_as_json())
    return {one["path"]: {"covered": one["covered"], "missed": one["not_covered"]} for one in report["files"]}


def _with_tabs(fault: Fault, text: str) -> Fault:
    """The fault at the column that editors show: the engine counts a tab as four."""
    lines, place = text.splitlines(), fault.place
    line = lines[place.line - 1] if 0 < place.line <= len(lines) else ""
    column, seen = 1, 1
    while seen < place.column and column <= len(line):
        seen += 4 if line[column - 1] == "\t" else 1
        column += 1
    return replace(fault, place=replace(place, column=column))


def _is_decision(rule: Rule) -> bool:
    return (
        is_ours(rule.package)
        and rule.kind in (SET, COMPLETE)
        and (rule.name == ALLOW or rule.name in OBJECTIONS)
        and not rule.place.path.endswith("_test.rego")
    )


def is_ours(package: str) -> bool:
    """Whether decisions are collected from a package."""
    return package == ROOT or package.startswith(f"{ROOT}.")


def _checked(sources: Sequence[Source]) -> list[Module]:
    """Raises Refused with the faults of the first check that finds any, in all files."""
    faults = [fault for source in sources if (fault := _fault_of_syntax(source)) is not None]
    if faults:
        raise Refused(faults, sources)
    engine = _Engine()
    for path, text in sources:
        engine.add_policy(path, text)
    modules = read_modules(json.loads(engine.get_ast_as_json()))
    faults = [*_misplaced(modules), *_misshapen(modules), *_unknown_calls(modules), *_circles(modules)]
    # Last, for a function that is not there is to the engine an unsafe variable, too.
    faults = faults or list(_unsafe(modules, sources))
    if faults:
        in_order = sorted(faults, key=lambda fault: (fault.place.path, fault.place.line, fault.place.column))
        raise Refused(in_order, sources)
    return modules


def _fault_of_syntax(source: Source) -> Fault | None:
    try:
        _Engine().add_policy(*source)
    except RuntimeError as error:
        return fault_of(str(error), *source)
    return None


def _unsafe(modules: Sequence[Module], sources: Sequence[Source]) -> Iterator[Fault]:
    """Variables that nothing gives a value, the first of each package: its files see one another's names."""
    texts = dict(sources)
    packages: dict[str, list[str]] = {}
    for module in modules:
        packages.setdefault(module.package, []).append(module.path)
    for paths in packages.values():
        engine = _Engine()
        for path in paths:
            engine.add_policy(path, texts[path])
        try:
            # Anything evaluated makes the engine look at all rules.
            engine.eval_query_as_json("true")
        except RuntimeError as error:
            yield Fault(*located(str(error), paths[0]))


def _misplaced(modules: Sequence[Module]) -> Iterator[Fault]:
    for module in modules:
        if module.package == SETTINGS or module.package.startswith(f"{SETTINGS}."):
            yield Fault(
                module.place, f"data.{SETTINGS} holds parameters, not rules", "Give the package another name."
            )
        if is_ours(module.package):
            continue
        for rule in module.rules:
            if rule.name in OBJECTIONS:
                yield Fault(
                    rule.place,
                    f"nobody would ask for {rule.full_name}: decisions are collected below data.{ROOT}",
                    f"Name the package {ROOT}.{module.package}.",
                )


def _misshapen(modules: Sequence[Module]) -> Iterator[Fault]:
    rules = [rule for module in modules if is_ours(module.package) for rule in module.rules]
    for rule in rules:
        if rule.name in OBJECTIONS and rule.kind != SET:
            yield Fault(
                rule.place,
                f"{rule.name} must be a set of messages",
                f'Write `{rule.name} contains "why" if {{ ... }}`.',
            )
        elif rule.name == ALLOW and rule.kind not in (COMPLETE, DEFAULT):
            yield Fault(rule.place, "allow must be true or false", "Write `allow if { ... }`.")


def _unknown_calls(modules: Sequence[Module]) -> Iterator[Fault]:
    functions = {rule.full_name for module in modules for rule in module.rules if rule.kind == FUNCTION}
    for mention in (mention for module in modules for mention in module.mentions):
        # `with upper as http.send` would be a call as well, though it looks like reading.
        if not mention.name or mention.name in functions or not (mention.is_call or mention.name in BANNED):
            continue
        if mention.name.startswith("data."):
            yield Fault(mention.place, f"there is no function {mention.name} in this set")
        elif reason := reason_against(mention.name):
            near = get_close_matches(mention.name, ALLOWED, n=1, cutoff=0.75)
            mend = f"Did you mean {near[0]}?" if near and mention.name not in BANNED else ""
            yield Fault(mention.place, f"{mention.name} cannot be called: {reason}", mend)


def _circles(modules: Sequence[Module]) -> Iterator[Fault]:
    """Functions that call themselves: the engine has no bound for that but its stack."""
    functions = {rule.full_name: rule for module in modules for rule in module.rules if rule.kind == FUNCTION}
    calls: dict[str, set[str]] = {}
    for mention in (mention for module in modules for mention in module.mentions):
        if mention.is_call and mention.within in functions and mention.name in functions:
            calls.setdefault(mention.within, set()).add(mention.name)
    for name, rule in functions.items():
        if name in _reached(calls, name):
            yield Fault(rule.place, f"the function {rule.name} calls itself", "Rego has no recursion.")


def _reached(calls: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    left = list(calls.get(start, ()))
    while left:
        name = left.pop()
        if name not in seen:
            seen.add(name)
            left.extend(calls.get(name, ()))
    return seen
