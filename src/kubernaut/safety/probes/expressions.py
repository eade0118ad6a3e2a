"""The names that expressions of probes may use, by the place where they stand."""

from collections.abc import Mapping
from typing import Any

from kubernaut.safety.cel import Answer, Kind, Vocabulary, answer, check_expression

_ASKED: tuple[tuple[str, Kind], ...] = (("inputs", "record"), ("outputs", "record"), ("now", "text"))
PLACES: Mapping[str, Vocabulary] = {
    "when": Vocabulary(_ASKED[:2]),
    "object": Vocabulary((("object", "any"), *_ASKED)),
    "objects": Vocabulary((("objects", "list"), *_ASKED)),
    "promql": Vocabulary((("result", "list"), *_ASKED)),
    "http": Vocabulary((("status", "number"), ("body", "text"), ("json", "any"), *_ASKED)),
    "output": Vocabulary((("outputs", "record"), ("inputs", "record"), ("now", "text"))),
}


def check_place(expression: str, place: str) -> str | None:
    """What is wrong with an expression of such a place, or None. Never raises."""
    return check_expression(expression, PLACES[place])


def ask(expression: str, place: str, variables: Mapping[str, Any]) -> Answer:
    """What it says. Never raises."""
    return answer(expression, PLACES[place], variables)
