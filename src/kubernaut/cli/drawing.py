"""The picture of a workflow: its steps in their order, what waits for what, how far each is. PURE."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from kubernaut.api.graph import Graph, graph_of, without
from kubernaut.api.workflow import WorkflowExecution
from kubernaut.cli.output import Json, age, colour_of, parts, took, value_at
from kubernaut.cli.screen import Cell, Line

_MARKS = {
    "Succeeded": "✓",
    "Failed": "✗",
    "TimedOut": "✗",
    "Running": "●",
    "Indeterminate": "?",
    "Skipped": "-",
    "Cancelled": "-",
    "Blocked": "◌",
    "RolledBack": "↶",
}
_PENDING = "○"
_PLAIN = str.maketrans("✓✗●◌↶○├└│─", "+x*.<o|`|-")
_DEEPEST = 24
"""Columns of branches; deeper ones are drawn at the same place."""
# What a person wants to see first where not every step fits.
_DULL = ("Succeeded", "Skipped", "Pending", "Cancelled", "Blocked")


class Place(NamedTuple):
    """Where a step stands in the picture."""

    step: str
    branches: str
    also_after: tuple[str, ...]
    """What it waits for besides the step above it."""


def places_of(found: Json) -> list[Place]:
    """The layout, which never changes: each step under the last one that it waits for; `finally` at the end."""
    spec = msgspec.convert(found, WorkflowExecution).spec
    main = graph_of(spec.steps)
    last = without(graph_of(spec.finally_), main.order)
    return [*_branches(main), *_branches(last)]


def _branches(graph: Graph) -> list[Place]:
    position = {name: number for number, name in enumerate(graph.topological)}
    parent = {name: max(edges, key=position.__getitem__, default="") for name, edges in graph.waits_for.items()}
    children: dict[str, list[str]] = {name: [] for name in ("", *graph.order)}
    for name in graph.topological:
        children[parent[name]].append(name)
    places: list[Place] = []
    # Each with what stands before its name, and before the names of its children. A stack: chains may be long.
    stack = [(name, "", "") for name in reversed(children[""])]
    while stack:
        name, before, beneath = stack.pop()
        others = tuple(sorted(graph.waits_for[name] - {parent[name]}, key=position.__getitem__))
        places.append(Place(name, before[:_DEEPEST], others))
        below = children[name]
        if len(below) == 1:  # a chain goes straight down
            stack.append((below[0], beneath, beneath))
            continue
        for number, child in enumerate(reversed(below)):
            end = number == 0
            stack.append((child, beneath + ("└─ " if end else "├─ "), beneath + ("   " if end else "│  ")))
    return places


def workflow_picture(
    found: Json, places: Sequence[Place], now: datetime, height: int, *, plain: bool = False
) -> list[Line]:
    """A head line, and a line for each step; where the height does not do, the dullest are counted instead."""
    phase = str(value_at(found, "status.phase") or "Pending")
    records = {str(step["name"]): step for step in parts(found, "status.steps")}
    lines = [_head(found, phase, now)]
    shown = _fitting(places, records, height - 2)
    name_width = max((len(place.branches) + len(place.step) for place in shown), default=0)
    lines += [_step(place, records.get(place.step, {}), now, name_width, plain=plain) for place in shown]
    if len(shown) < len(places):
        kept = {place.step for place in shown}
        rest = Counter(_phase(records, place) for place in places if place.step not in kept)
        lines.append([Cell(f"  and {', '.join(f'{count} {what}' for what, count in rest.most_common())}")])
    return lines


def running_for(step: Json, now: datetime) -> str:
    """How long it took, or takes so far; empty before it starts."""
    return took(step.get("startedAt"), step.get("completedAt")) or age(step.get("startedAt"), now)


def _head(found: Json, phase: str, now: datetime) -> Line:
    status: Json = found.get("status") or {}
    told = [str(status.get("progress") or ""), running_for(status, now)]
    reason = str(status.get("reason") or "")
    if reason not in ("", "Started", phase):
        told.append(reason)
    rest = "  ".join(word for word in told if word)
    return [Cell(f"{found['metadata']['name']}  "), Cell(phase, colour_of(phase)), Cell(f"  {rest}")]


def _step(place: Place, step: Json, now: datetime, name_width: int, *, plain: bool) -> Line:
    phase = str(step.get("phase") or "Pending")
    mark, branches = _MARKS.get(phase, _PENDING), place.branches
    if plain:
        mark, branches = mark.translate(_PLAIN), branches.translate(_PLAIN)
    colour = colour_of(phase)
    padded = place.step.ljust(name_width - len(branches))
    return [
        Cell(f"  {branches}"),
        Cell(mark, colour),
        Cell(f" {padded}  "),
        Cell(phase.ljust(13), colour),
        Cell(f" {running_for(step, now):>6}  {_about(place, step, phase)}"),
    ]


def _about(place: Place, step: Json, phase: str) -> str:
    told: list[str] = []
    if phase in ("Pending", "Blocked") and place.also_after:
        told.append(f"also after {', '.join(place.also_after)}")
    if int(step.get("attempts") or 0) > 1:
        told.append(f"attempt {step['attempts']}")
    if step.get("keptFrom"):
        told.append(f"kept from {step['keptFrom']}")
    if phase != "Succeeded":
        told.append(": ".join(str(step[key]) for key in ("reason", "message") if step.get(key)))
    return "  ".join(word for word in told if word)


def _fitting(places: Sequence[Place], records: dict[str, Json], height: int) -> list[Place]:
    if len(places) <= height:
        return list(places)
    by_interest = sorted(range(len(places)), key=lambda number: (_phase(records, places[number]) in _DULL, number))
    return [places[number] for number in sorted(by_interest[: max(height - 1, 0)])]


def _phase(records: dict[str, Json], place: Place) -> str:
    return str(records.get(place.step, {}).get("phase") or "Pending")
