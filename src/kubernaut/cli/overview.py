"""All executions of a namespace at once, as they move."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from contextlib import aclosing, suppress
from datetime import datetime
from typing import NamedTuple

from kubernaut.cli.advice import phase_of
from kubernaut.cli.drawing import running_for
from kubernaut.cli.output import Json, colour_of, parts
from kubernaut.cli.screen import Cell, Line, drawn
from kubernaut.cli.session import changes_of
from kubernaut.cli.terminal import Terminal
from kubernaut.cluster import Cluster, kinds
from kubernaut.concurrency import SystemClock

Key = tuple[str, str]

_ORDER = (
    "Indeterminate",
    "WaitingApproval",
    "RollingBack",
    "Running",
    "Verifying",
    "Queued",
    "Validating",
    "Pending",
)
"""Those first that want a person; what has ended comes last."""
_MOST_STEPS = 3


class _Row(NamedTuple):
    """What is kept of an execution: whole ones of 500 steps would be large."""

    namespace: str
    name: str
    phase: str
    progress: str
    about: str
    created: str
    times: Json

    @property
    def order(self) -> int:
        return _ORDER.index(self.phase) if self.phase in _ORDER else len(_ORDER)


async def watch_all(
    terminal: Terminal, cluster: Cluster, namespace: str | None, selector: str, seconds: float | None
) -> None:
    """Shows them until the seconds are over: on a terminal as a table that is drawn anew, else a line a change."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await _watch_all(terminal, cluster, namespace, selector)


async def _watch_all(terminal: Terminal, cluster: Cluster, namespace: str | None, selector: str) -> None:
    rows: dict[Key, _Row] = {}
    watching = changes_of(cluster, kinds.WORKFLOW_EXECUTIONS, namespace, selector)
    if not terminal.is_live:
        async with aclosing(watching) as changes:
            async for key, found in changes:
                _tell(terminal, rows, key, found, several=namespace is None)
        return
    clock = SystemClock()
    place = f"namespace {namespace}" if namespace else "all namespaces"

    def picture(height: int) -> list[Line]:
        return _table(rows.values(), place, clock.now(), height, several=namespace is None)

    async with drawn(terminal, picture) as changed, aclosing(watching) as changes:
        async for key, found in changes:
            _keep(rows, key, found)
            changed.set()


def _keep(rows: dict[Key, _Row], key: Key, found: Json | None) -> None:
    if found is None:
        rows.pop(key, None)
    else:
        rows[key] = _row(found)


def _row(found: Json) -> _Row:
    metadata = found["metadata"]
    status: Json = found.get("status") or {}
    running = [str(step["name"]) for step in parts(status, "steps") if step.get("phase") == "Running"]
    more = f" and {len(running) - _MOST_STEPS} more" if len(running) > _MOST_STEPS else ""
    reason = str(status.get("reason") or "")
    phase = phase_of(found)
    said = "" if reason in ("Started", phase) else reason
    about = ", ".join(running[:_MOST_STEPS]) + more
    return _Row(
        str(metadata["namespace"]),
        str(metadata["name"]),
        phase,
        str(status.get("progress") or ""),
        "  ".join(word for word in (said, about) if word),
        str(metadata.get("creationTimestamp") or ""),
        {key: status.get(key) for key in ("startedAt", "completedAt")},
    )


def _tell(terminal: Terminal, rows: dict[Key, _Row], key: Key, found: Json | None, *, several: bool) -> None:
    before = rows.get(key)
    _keep(rows, key, found)
    row = rows.get(key)
    title = "/".join(key) if several else key[1]
    if row is None:
        if before is not None:
            terminal.say(f"{title}  deleted")
    elif before is None or row[2:5] != before[2:5]:
        phase = terminal.paint(row.phase.ljust(13), colour_of(row.phase))
        terminal.say(f"{title}  {phase} {row.progress:<7} {row.about}".rstrip())


def table(found: Iterable[Json], place: str, now: datetime, height: int) -> list[Line]:
    """The picture of these executions."""
    return _table(map(_row, found), place, now, height, several=False)


def _table(rows: Iterable[_Row], place: str, now: datetime, height: int, *, several: bool) -> list[Line]:
    ordered = sorted(rows, key=lambda row: row.created, reverse=True)
    ordered.sort(key=lambda row: row.order)
    counts = Counter(row.phase for row in ordered)
    told = ", ".join(f"{count} {phase}" for phase, count in counts.most_common()) or "no executions"
    lines: list[Line] = [[Cell(f"{place}: {told}")]]
    shown = ordered[: height - 2] if len(ordered) > height - 1 else ordered
    titles = [f"{row.namespace}/{row.name}" if several else row.name for row in shown]
    width = max(map(len, titles), default=0)
    for title, row in zip(titles, shown, strict=True):
        lines.append(
            [
                Cell(f"{title.ljust(width)}  "),
                Cell(row.phase.ljust(18), colour_of(row.phase)),
                Cell(f" {row.progress:<7} {running_for(row.times, now):>6}  {row.about}"),
            ]
        )
    if len(shown) < len(ordered):
        lines.append([Cell(f"and {len(ordered) - len(shown)} more")])
    return lines
