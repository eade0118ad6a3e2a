"""How much a CEL expression could cost at worst, estimated before it is evaluated.

The CEL library stops after 10,000 iterations, but one iteration may compare or join values of any size, and
nested macros can double a value at every level: 500 characters are enough to fill 2 GB. Kubernetes refuses such
expressions by an estimate from the schema; our values have no schema, so their real size is used.
"""

import re
from collections.abc import Mapping
from typing import Any

MAX_MACROS = 3
MAX_WORK = 20_000_000
"""Values looked at, each some 0.1 µs."""
MAX_BYTES = 64_000_000
"""Of everything that the expression could put together."""

_ITERATIONS = 10_000
_MACRO = re.compile(r"\b(?:all|exists|exists_one|existsOne|map|filter|optMap|optFlatMap)\b")
_LOOK = re.compile(r"==|!=|<|>|\bin\b|\+|\(")
_TEXT = re.compile(r"'[^'\\\n]*'|\"[^\"\\\n]*\"")
_TRICKY = re.compile(r"'''|\"\"\"|\\|//")


def refusal_of_shape(expression: str) -> str:
    """Why an expression is refused whatever its data are, or an empty text."""
    count = len(_MACRO.findall(_code(expression)))
    if count <= MAX_MACROS:
        return ""
    return f"{count} of all, exists, exists_one, map and filter are too many: at most {MAX_MACROS} are allowed"


def refusal_of(expression: str, variables: Mapping[str, Any]) -> str:
    """Why an expression is not evaluated on these data, or an empty text."""
    code = _code(expression)
    macros, growth = len(_MACRO.findall(code)), code.count(",") + code.count("+")
    if not macros and not growth:
        return ""
    values, size, longest = measure(variables)
    # Each macro, and the expression around them, may repeat its values as often as it has commas and plusses;
    # a product is largest when its factors are equal.
    repeated = (max(0, growth - macros) / (macros + 1) + 1) ** (macros + 1)
    rounds = min(_ITERATIONS, max(longest, code.count(",") + 1) ** macros)
    work = rounds * len(_LOOK.findall(code)) * (values + size / 32) * repeated
    if work <= MAX_WORK and (size + 64 * values) * repeated <= MAX_BYTES:
        return ""
    return "it could take too long on that much data: look at fewer values, or use fewer lists and macros"


def measure(value: object) -> tuple[int, int, int]:
    """Number of values, characters of text, and length of the longest list or map of a JSON value."""
    values, size, longest = 0, 0, 0
    left: list[object] = [value]
    while left:
        part = left.pop()
        values += 1
        if isinstance(part, str):
            size += len(part)
        elif isinstance(part, Mapping):
            longest = max(longest, len(part))  # pyright: ignore[reportUnknownArgumentType]
            left.extend(part.values())  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
            size += sum(len(str(key)) for key in part)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        elif isinstance(part, list | tuple):
            longest = max(longest, len(part))  # pyright: ignore[reportUnknownArgumentType]
            left.extend(part)  # pyright: ignore[reportUnknownArgumentType]
    return values, size, longest


def _code(expression: str) -> str:
    """The expression without its texts; with them where quotes could be read in two ways: rather too strict."""
    return expression if _TRICKY.search(expression) else _TEXT.sub("''", expression)
