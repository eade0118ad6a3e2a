"""CEL (cel.dev, the Common Expression Language): `when` conditions, and the expressions of probes.

Users write these, so nothing here raises because of what they wrote, and nothing runs away: the language has no
endless loops, the library has a budget of iterations, and `safety.cost` refuses what could still be large.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal, cast

from kubernaut.api.graph import steps_in_cel
from kubernaut.api.quantity import from_quantity
from kubernaut.planning.facts import WhenVerdict
from kubernaut.safety import cost

MAX_LENGTH = 1024
"""Characters of one expression, as in the schema of WorkflowExecution."""

_ERROR = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
_STATUS = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$")
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")
_MISSING_KEY = re.compile(r'Key not found in map : "?([^"]*)"?')
_OVERLOAD = re.compile(r"matching overloads? (?:found : |for )(.*)")
_STEPS = re.compile(r"\bsteps\b")
_HYPHEN = re.compile(r"\bsteps\.([a-z0-9]+(?:-[a-z0-9]+)+)")
_SLIPS = {"input 'and'": "&&", "input 'or'": "||", "input 'not'": "!", "error at: '= '": "=="}
_MOST_PROBLEMS = 3
_MOST_TEXT = 300


Kind = Literal["any", "list", "record", "records", "text", "texts", "number"]


@dataclass(frozen=True)
class Vocabulary:
    """The names that an expression may use, each with the kind of its value."""

    names: tuple[tuple[str, Kind], ...]

    def __str__(self) -> str:
        *first, last = (name for name, _ in self.names)
        return f"{', '.join(first)} and {last}" if first else last


WHEN = Vocabulary((("params", "record"), ("steps", "records"), ("workflow", "texts")))


@dataclass(frozen=True)
class Answer:
    """What an expression says; `error` tells why it says nothing, and then it does not hold."""

    holds: bool
    error: str = ""


def check_expression(expression: str, vocabulary: Vocabulary) -> str | None:
    """As `check_cel`, over other names. Never raises."""
    return _compiled(expression, vocabulary).error or None


def answer(expression: str, vocabulary: Vocabulary, variables: Mapping[str, Any]) -> Answer:
    """What an expression says of these variables, plain JSON. Never raises."""
    holds, error = _answer(expression, vocabulary, variables)
    return Answer(holds and not error, error)


def check_cel(expression: str) -> str | None:
    """What is wrong with an expression ("line:column: message", three problems at most), or None.

    It must say true or false, or give something whose type shows only when it is evaluated. Never raises.
    """
    return check_expression(expression, WHEN)


def evaluate_when(expressions: tuple[str, ...], variables: Mapping[str, Any]) -> WhenVerdict:
    """Whether all expressions hold; else the first that does not, or that cannot be answered.

    `variables`: `params`, `steps` (name -> {phase, outputs}) and `workflow` as plain JSON. Never raises.
    """
    for expression in expressions:
        holds, error = _answer(expression, WHEN, _named_steps(expression, variables))
        if error or not holds:
            return WhenVerdict(holds=False, error=error, expression=expression)
    return WhenVerdict(holds=True)


@dataclass(frozen=True)
class _Compiled:
    """A program, or the reason why there is none."""

    program: Any = None
    error: str = ""


def _answer(expression: str, vocabulary: Vocabulary, variables: Mapping[str, Any]) -> tuple[bool, str]:
    compiled = _compiled(expression, vocabulary)
    if compiled.error:
        return False, compiled.error
    try:
        if refusal := cost.refusal_of(expression, variables):
            return False, refusal
        value = compiled.program.eval(data=dict(variables))
        kind = value.type().name()
        if kind == "BOOL":
            return bool(value.plain_value()), ""
        if kind == "ERROR":
            return False, _plain(str(value.plain_value()))
    except Exception as error:  # noqa: BLE001 - the library raises bare RuntimeErrors, also for unfit data
        return False, _plain(str(error))
    return False, f"it gives {kind.lower()}, not true or false"


def _named_steps(expression: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """The variables with only the steps that are named: all are handed over each time, and few are looked at."""
    steps, named = variables.get("steps", {}), steps_in_cel(expression)
    if len(_STEPS.findall(expression)) > len(named):
        return dict(variables)
    return {**variables, "steps": {name: steps[name] for name in named if name in steps}}


@lru_cache(maxsize=2048)
def _compiled(expression: str, vocabulary: Vocabulary) -> _Compiled:
    if refusal := _refusal(expression):
        return _Compiled(error=f"1:1: {refusal}")
    try:
        program = _environment(vocabulary).compile(expression)
        kind = program.return_type().name()
    except Exception as error:  # noqa: BLE001 - the library raises bare RuntimeErrors
        return _Compiled(error=_located(str(error), expression, vocabulary))
    if kind not in ("BOOL", "DYN"):
        return _Compiled(error=f"1:1: it gives {kind.lower()}, not true or false")
    return _Compiled(program)


def _refusal(expression: str) -> str:
    if not expression.strip():
        return "it is empty"
    if len(expression) > MAX_LENGTH:
        return f"it has {len(expression)} characters: at most {MAX_LENGTH} are allowed"
    try:
        expression.encode()
    except UnicodeEncodeError:
        return "it holds half a character (a lone surrogate)"
    return cost.refusal_of_shape(expression)


@cache
def _environment(vocabulary: Vocabulary) -> Any:
    """Made late: loading the library takes 40 ms, which `kubernaut --help` need not wait for."""
    from cel_expr_python import cel  # pyright: ignore[reportMissingTypeStubs]
    from cel_expr_python.ext import ext_optional  # pyright: ignore[reportMissingTypeStubs]

    kind = cel.Type
    record = kind.Map(kind.STRING, kind.DYN)
    kinds = {
        "any": kind.DYN,
        "list": kind.List(kind.DYN),
        "record": record,
        "records": kind.Map(kind.STRING, record),
        "text": kind.STRING,
        "texts": kind.Map(kind.STRING, kind.STRING),
        "number": kind.INT,
    }
    # The strings and bindings extensions stay out: replace, join and bind multiply a text again and again.
    functions = [
        cel.FunctionDecl(name, [cel.Overload(f"string_{name}", kind.STRING, [kind.STRING], True, made)])
        for name, made in (("lowerAscii", _lower_ascii), ("upperAscii", _upper_ascii), ("trim", str.strip))
    ]
    if vocabulary != WHEN:
        amount = [cel.Overload("string_quantity", kind.DOUBLE, [kind.STRING], False, _quantity)]
        functions.append(cel.FunctionDecl("quantity", amount))
        whole = kind.Map(kind.DYN, kind.DYN)
        covered = [cel.Overload("map_covers", kind.BOOL, [whole, whole], False, _covers)]
        functions.append(cel.FunctionDecl("covers", covered))
    return cel.NewEnv(
        variables={name: kinds[sort] for name, sort in vocabulary.names},
        extensions=[ext_optional.ExtOptional()],
        functions=functions,
    )


def _quantity(text: str) -> float:
    """Kubernetes' `128Mi` as a number."""
    try:
        return float(from_quantity(text))
    except ValueError:
        raise ValueError(f"{text[:40]!r} is no quantity") from None


def _covers(found: object, wanted: object) -> bool:
    """Whether everything that is wanted is there, whatever else is; lists are compared one by one."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        there, parts = cast("dict[str, object]", found), cast("dict[str, object]", wanted)
        return all(key in there and _covers(there[key], part) for key, part in parts.items())
    if isinstance(wanted, list) and isinstance(found, list):
        have, want = cast("list[object]", found), cast("list[object]", wanted)
        return len(have) == len(want) and all(map(_covers, have, want))
    return _is_same(found, wanted)  # pyright: ignore[reportUnknownArgumentType]


def _is_same(found: object, wanted: object) -> bool:
    is_number = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (found, wanted))
    return (is_number or type(found) is type(wanted)) and found == wanted


def _lower_ascii(text: str) -> str:
    return "".join(c.lower() if c.isascii() else c for c in text)


def _upper_ascii(text: str) -> str:
    return "".join(c.upper() if c.isascii() else c for c in text)


def _located(report: str, expression: str, vocabulary: Vocabulary) -> str:
    """The library's report of a failed compilation, shortened to places and reasons."""
    # What is said about types after a name was not understood only follows from that.
    found = [m for m in _ERROR.finditer(report) if "*error*" not in m[3]]
    problems = [_problem(expression, vocabulary, (int(m[1]), int(m[2])), m[3]) for m in found]
    unique = list(dict.fromkeys(problems))[:_MOST_PROBLEMS] or [f"1:1: {_plain(report)}"]
    if hyphen := _HYPHEN.search(expression):
        unique.append(f"write steps['{hyphen[1]}'] for a name with a hyphen")
    return "; ".join(unique)


def _problem(expression: str, vocabulary: Vocabulary, at: tuple[int, int], reason: str) -> str:
    line, column = at
    if undeclared := _UNDECLARED.search(reason):
        lines, name = expression.splitlines(), undeclared[1]
        text = lines[line - 1] if 0 < line <= len(lines) else ""
        # The library points behind the name, or at a dot inside it.
        start = text[: column - 1].rfind(name.partition(".")[0])
        is_function = text[column - 1 :].startswith("(")
        column = start + 1 if start >= 0 else column
        what = "is no function that there is" if is_function else f"is unknown: there are {vocabulary}"
        reason = f"{name} {what}"
    reason = reason.replace("Syntax error: ", "").partition(" expecting {")[0]
    reason = reason.replace("mismatched input '<EOF>'", "it ends too early").replace("'<EOF>'", "the end")
    hint = next((f" (write {right})" for wrong, right in _SLIPS.items() if wrong in reason), "")
    return f"{max(line, 1)}:{max(column, 1)}: {_plain(reason)}{hint}"


def _plain(report: str) -> str:
    """An error of the library in words of a workflow's author."""
    text = _STATUS.sub("", _STATUS.sub("", report)).partition("\n")[0]
    if missing := _MISSING_KEY.search(text):
        return f"there is no {missing[1]} here: ask has(...) first, or write .?{missing[1]}.orValue(...)"
    if overload := _OVERLOAD.search(text):
        return f"these types do not go together: {overload[1]}"
    if "Iteration budget" in text:
        text = "it takes too many rounds"
    if "out of range" in text:
        text = "a number in it or in its data is too large"
    if "recursion" in text:
        text = "it is nested too deeply: at most 32 levels"
    return text[:_MOST_TEXT]
