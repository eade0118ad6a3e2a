"""Recordings: facts and the turns that were decided on them, as lines of JSON that can be read again later.

The first line says what it is, the last one that it is whole. Between them stand turns; specs, contracts and the
like, which many of them hold, stand once, as parts. The graphs of a workflow follow from its spec and are made
anew. Facts that an earlier version wrote are read as long as every field that they lack has a default; anything
else needs another `FORMAT`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, cast

import msgspec

from kubernaut.api.graph import graph_of, without
from kubernaut.planning.action import decide as decide_action
from kubernaut.planning.facts import ActionFacts, WorkflowFacts
from kubernaut.planning.turns import Turn
from kubernaut.planning.workflow import decide as decide_workflow

FORMAT = 1
KIND = "kubernaut.ai/turns"

Facts: TypeAlias = WorkflowFacts | ActionFacts
Witness: TypeAlias = Callable[[Facts, Turn[Any]], None]
"""Sees every decision of a controller, with the facts on which it was made, before anything is carried out."""
Wire: TypeAlias = dict[str, Any]

_NO_GRAPH: Wire = {"order": [], "waits_for": {}, "uses_outputs_of": {}, "topological": [], "steps": {}}
_PART = "$part"
_PARTED = frozenset({"contract", "spec", "status", "metadata", "limits", "actions"})
"""What stands under these keys repeats from turn to turn, and is written once."""


class RecordingInvalid(ValueError):
    """What was given is no recording that this program can replay. One line, for people."""


class About(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The first line."""

    recording: str = KIND
    format: int = FORMAT
    name: str = ""
    """Of the execution; empty where a controller with all its executions was recorded."""
    namespace: str = ""
    program: str = ""
    """Version of kubernaut whose planner decided."""
    source: Literal["controller", "cluster"] = "controller"
    """Who gathered the facts: the controller itself, or somebody who looked on."""
    notes: tuple[str, ...] = ()
    """What is missing, and why."""


class Recorded(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One turn."""

    turn: int
    """From 1."""
    of: Literal["WorkflowExecution", "ActionExecution"]
    name: str
    step: str = ""
    """Of an action within a workflow."""
    facts: Wire
    decided: Wire
    without_secrets: bool = False
    """What was taken out of the facts mattered: the controller, which had it, decided otherwise than this."""


class End(msgspec.Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """The last line."""

    turns: int
    end: Literal["ended", "gone", "interrupted", "time"]
    """How recording ended: with the execution, with its deletion, by its user."""


@dataclass(frozen=True)
class Recording:
    """A file that was read."""

    about: About
    turns: tuple[Recorded, ...]
    end: End


# -- one value -------------------------------------------------------------------------------------


def decide_on(facts: Facts) -> Turn[Any]:
    """Today's planner."""
    return decide_workflow(facts) if isinstance(facts, WorkflowFacts) else decide_action(facts)


def facts_to_wire(facts: Facts) -> Wire:
    """Plain JSON values, without what follows from the rest."""
    wire = _plain(facts)
    return {key: value for key, value in wire.items() if key not in ("graph", "finally_graph")}


def facts_from_wire(of: str, wire: Mapping[str, Any]) -> Facts:
    """Raises msgspec.ValidationError."""
    if of == "ActionExecution":
        return msgspec.convert(wire, ActionFacts, str_keys=True)
    facts = msgspec.convert({**wire, "graph": _NO_GRAPH, "finally_graph": _NO_GRAPH}, WorkflowFacts, str_keys=True)
    steps, last = facts.workflow.spec.steps, facts.workflow.spec.finally_
    main_names = [step.name for step in steps]
    return replace(facts, graph=graph_of(steps), finally_graph=without(graph_of(last), main_names))


def turn_to_wire(turn: Turn[Any]) -> Wire:
    """Each change by its name, with what it says."""
    changes = [{"change": type(one).__name__, **_plain(one)} for one in turn.changes]
    wire: Wire = {"changes": changes}
    if turn.look_again_at is not None:
        wire["look_again_at"] = msgspec.to_builtins(turn.look_again_at)
    return wire | ({"queued": turn.queued} if turn.queued else {})


def _plain(value: object) -> Wire:
    # Through text: what is compared is what a file can hold.
    return msgspec.json.decode(msgspec.json.encode(value), type=dict[str, Any])


# -- lines -----------------------------------------------------------------------------------------


@dataclass
class Lines:
    """Makes the lines of one recording."""

    turns: int = 0
    _parts: dict[bytes, int] = field(default_factory=dict[bytes, int])

    def first(self, about: About) -> str:
        return _line(about)

    def turn(self, recorded: Recorded) -> Iterator[str]:
        """The turn, and before it those of its parts that are new."""
        self.turns += 1
        new: list[str] = []
        facts = self._parted(recorded.facts, new)
        decided = self._parted(recorded.decided, new)
        yield from new
        yield _line(msgspec.structs.replace(recorded, turn=self.turns, facts=facts, decided=decided))

    def last(self, end: Literal["ended", "gone", "interrupted", "time"]) -> str:
        return _line(End(turns=self.turns, end=end))

    def _parted(self, value: Any, new: list[str]) -> Any:
        if isinstance(value, list | tuple):
            return [self._parted(one, new) for one in cast("list[Any]", value)]
        if not isinstance(value, dict):
            return value
        return {
            key: self._part(self._parted(inner, new), new) if key in _PARTED else self._parted(inner, new)
            for key, inner in cast("Wire", value).items()
        }

    def _part(self, value: Any, new: list[str]) -> Wire:
        encoded = msgspec.json.encode(value, order="sorted")
        number = self._parts.get(encoded)
        if number is None:
            number = self._parts[encoded] = len(self._parts) + 1
            new.append(_line({"part": number, "value": value}))
        return {_PART: number}


def _line(value: object) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


def read_recording(lines: Iterable[str]) -> Recording:
    """Raises RecordingInvalid."""
    given = enumerate((line for line in lines if line.strip()), 1)
    number, first = next(given, (1, ""))
    about = _about(first)
    parts: dict[int, Any] = {}
    turns: list[Recorded] = []
    for number, line in given:
        found = _object(line, number)
        try:
            found = {key: _whole(value, parts) for key, value in found.items()}
        except (KeyError, TypeError):
            raise RecordingInvalid(f"line {number}: a part is missing, of which it speaks") from None
        if "part" in found:
            parts[found["part"]] = found.get("value")
        elif "end" in found:
            end = _convert(found, End, number)
            if end.turns != len(turns):
                raise RecordingInvalid(f"turns are missing: {end.turns} were recorded, {len(turns)} are there")
            return Recording(about, tuple(turns), end)
        else:
            turns.append(_convert(found, Recorded, number))
    raise RecordingInvalid(f"it ends after {number} lines in the middle: its last line is missing")


def _about(line: str) -> About:
    found = _object(line, 1) if line else {}
    if found.get("recording") != KIND:
        raise RecordingInvalid("it is no recording of kubernaut: its first line does not say so")
    written = found.get("format")
    if written != FORMAT:
        by = f" by kubernaut {found['program']}" if isinstance(found.get("program"), str) else ""
        newer = isinstance(written, int) and written > FORMAT
        mend = "bring kubernaut up to date" if newer else "record the run again"
        raise RecordingInvalid(f"it was written in format {written}{by}, and this program reads {FORMAT}: {mend}")
    converted: About = _convert(found, About, 1)
    return converted


def _object(line: str, number: int) -> Wire:
    try:
        found: Any = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        said = "it is no recording of kubernaut" if number == 1 else "it was cut off, or changed"
        raise RecordingInvalid(f"line {number} is no JSON object: {said}")
    return cast("Wire", found)


def _convert(found: Wire, kind: type[Any], number: int) -> Any:
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        raise RecordingInvalid(f"line {number}: {error}") from None


def _whole(value: Any, parts: Mapping[int, Any]) -> Any:
    if isinstance(value, list | tuple):
        return [_whole(one, parts) for one in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    return {
        key: parts[inner[_PART]] if key in _PARTED else _whole(inner, parts)
        for key, inner in cast("Wire", value).items()
    }
