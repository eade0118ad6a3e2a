"""Takes down what is decided, without secrets, as lines that `planning.recording` reads again."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, cast

import msgspec

from kubernaut.planning.facts import ActionFacts, WorkflowFacts
from kubernaut.planning.recording import (
    About,
    Facts,
    Lines,
    Recorded,
    Wire,
    decide_on,
    facts_from_wire,
    facts_to_wire,
    turn_to_wire,
)
from kubernaut.planning.turns import Turn
from kubernaut.telemetry import get_log
from kubernaut.telemetry.redaction import REDACTED, Redactor

log = get_log(__name__)

# Here names are given by authors and users, and so may be names of secrets.
_FREE = frozenset({"inputs", "outputs", "parameters", "rollback", "before", "after", "annotations", "labels"})
_NOISE = frozenset({"kubectl.kubernetes.io/last-applied-configuration"})


class TurnRecording:
    """A witness of decisions. What repeats the last turn of the same object is left out."""

    def __init__(
        self, write: Callable[[str], None], about: About, wants: Callable[[Facts], bool] = lambda _: True
    ) -> None:
        """`write` is given each line without its end, the first one at once."""
        self._write = write
        self._wants = wants
        self._lines = Lines()
        self._last: dict[str, tuple[Wire, Wire]] = {}
        self._known: set[str] = set()
        self.shortened = 0
        """Turns in which secrets that were taken out would have mattered."""
        write(self._lines.first(about))

    @property
    def turns(self) -> int:
        """How many were taken down."""
        return self._lines.turns

    def __call__(self, facts: Facts, turn: Turn[Any]) -> None:
        if not self._wants(facts):
            return
        recorded = recorded_without_secrets(facts, turn, self._known)
        if recorded is None:
            log.warning("a turn cannot be recorded without its secrets", object=_name_of(facts))
            return
        still = {key: value for key, value in recorded.facts.items() if key != "now"}
        key = f"{recorded.of}/{recorded.name}"
        if self._last.get(key) == (still, recorded.decided):
            return
        self._last[key] = still, recorded.decided
        self.shortened += recorded.without_secrets
        for line in self._lines.turn(recorded):
            self._write(line)

    def keep_out(self, stored: Mapping[str, Any]) -> None:
        """What stands under the name of a secret in this object is secret wherever it stands."""
        self._known.update(_secrets_in(stored))

    def end(self, how: Literal["ended", "gone", "interrupted", "time"]) -> None:
        """Nothing comes after it."""
        self._write(self._lines.last(how))


def recorded_without_secrets(facts: Facts, turn: Turn[Any], known: set[str]) -> Recorded | None:
    """A turn as it is kept; None where facts without their secrets are no facts any more.

    `known` are secrets of this run, to which are added those that are found: an action has by another name, or by
    none, what its workflow calls a password.

    What is kept as decided was decided on the facts that are kept: replaying it can show no difference by itself.
    """
    of: Literal["WorkflowExecution", "ActionExecution"] = (
        "WorkflowExecution" if isinstance(facts, WorkflowFacts) else "ActionExecution"
    )
    wire = facts_to_wire(facts)
    known.update(_secrets_in(wire))
    for redactor in (Redactor(known), Redactor()):
        clean = _cleaned(wire, redactor)
        try:
            decided = turn_to_wire(decide_on(facts_from_wire(of, clean)))
        except (msgspec.ValidationError, KeyError):
            continue  # a secret is also a word that names something
        return Recorded(
            turn=0,
            of=of,
            name=_name_of(facts),
            step=facts.execution.spec.step if isinstance(facts, ActionFacts) else "",
            facts=clean,
            decided=decided,
            without_secrets=_cleaned(turn_to_wire(turn), redactor) != decided,
        )
    return None


def _name_of(facts: Facts) -> str:
    return (facts.workflow if isinstance(facts, WorkflowFacts) else facts.execution).metadata.name


def _cleaned(value: Any, redactor: Redactor, key: str = "") -> Any:
    """Free-form values by name and by shape, all other text by shape; texts that are bounded stay so."""
    if isinstance(value, str):
        clean = redactor.text(value)
        return clean if clean == value else clean[: max(len(value), len(REDACTED))]
    if isinstance(value, list | tuple):
        return [_cleaned(one, redactor) for one in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    if key in _FREE:
        kept = {name: one for name, one in cast("Wire", value).items() if name not in _NOISE}
        return redactor.json(kept)
    return {name: _cleaned(one, redactor, name) for name, one in cast("Wire", value).items()}


def _secrets_in(value: Any, key: str = "") -> Iterator[str]:
    """Values that stand under the name of a secret somewhere: they may stand elsewhere without it."""
    if isinstance(value, list | tuple):
        for one in cast("list[Any]", value):
            yield from _secrets_in(one)
    elif isinstance(value, dict):
        if key in _FREE:
            yield from _taken_out(value, Redactor().json(value))
        else:
            for name, one in cast("Wire", value).items():
                yield from _secrets_in(one, name)


def _taken_out(before: Any, after: Any) -> Iterator[str]:
    if isinstance(before, str):
        if after == REDACTED != before:
            yield before
    elif isinstance(before, Mapping) and isinstance(after, Mapping):
        for name, one in cast("Mapping[str, Any]", before).items():
            yield from _taken_out(one, cast("Mapping[str, Any]", after).get(name))
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple):
        for one, other in zip(cast("list[Any]", before), cast("list[Any]", after), strict=False):
            yield from _taken_out(one, other)
