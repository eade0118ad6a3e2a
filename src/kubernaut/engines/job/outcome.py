"""The result of an action: kubernaut's termination message, or what a container without our runner printed.

Format of the message: one JSON object with `v: 1`, at most 4096 bytes (the kubelet cuts there). Everything is
redacted here, before it can reach a status, an event or a log.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from kubernaut.api.action import Change
from kubernaut.api.meta import Frozen
from kubernaut.api.values import MOST_LEVELS, is_too_deep, without_depths
from kubernaut.planning.facts import Outcome
from kubernaut.telemetry import redact_json, redact_text

ROLLBACK_PREFIX = "ROLLBACK_INFO:"
_TAIL = 2048


class _Version(Frozen, frozen=True, kw_only=True):
    v: int


class _Message(Frozen, frozen=True, kw_only=True):
    v: Literal[1]
    executed: Literal["yes", "no", "unknown"] | None = None
    reason: str = ""
    message: str = ""
    outputs: dict[str, Any] = {}
    rollback: dict[str, Any] | None = None
    overflow: str = ""
    changes: tuple[Change, ...] = ()


def outcome_of(message: str, log: str, exit_code: int | None, finished_at: datetime | None) -> Outcome:
    """What a finished container said, by its termination message or else by its log."""
    tail = redact_text(log[-_TAIL:])
    said = _read(message)
    if said is None and (version := _newer(message)):
        # What it means by its fields is not known: neither outputs nor whether it did anything are taken from it.
        told = f"The action told its result in version {version}, and this controller knows only 1. Update it."
        return Outcome(
            exit_code=exit_code, reason="ResultTooNew", message=told, log_tail=tail, finished_at=finished_at
        )
    if said is None:
        return _from_log(message, log, exit_code, finished_at, tail)
    said, note = _within_depth(said)
    return Outcome(
        exit_code=exit_code,
        reason=said.reason[:253],
        message=redact_text(f"{note}{said.message}")[:1024],
        executed=said.executed,
        outputs=redact_json(said.outputs),
        rollback=None if said.rollback is None else redact_json(said.rollback),
        overflow=said.overflow,
        changes=tuple(_redacted(change) for change in said.changes[:32]),
        log_tail=tail,
        finished_at=finished_at,
    )


def _newer(message: str) -> int:
    """The version that a message says it is of, when that is above ours."""
    try:
        version = msgspec.json.decode(message, type=_Version).v if message else 1
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
        return 0
    return version if version > 1 else 0


def _read(message: str) -> _Message | None:
    try:
        return msgspec.json.decode(message, type=_Message) if message else None
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
    except RecursionError:
        # Whatever it holds: whether something was executed is said beside it, and counts.
        return _read(without_depths(message.encode()).decode())


def _within_depth(said: _Message) -> tuple[_Message, str]:
    """The message without values that nobody could pass on, and a word about them."""
    values = (said.outputs, said.rollback, *(part for c in said.changes for part in (c.before, c.after)))
    if not any(map(is_too_deep, values)):
        return said, ""
    note = f"What it gave is nested more than {MOST_LEVELS} levels deep, and was left out. "
    return replace(said, outputs={}, rollback=None, changes=()), note


def _from_log(message: str, log: str, exit_code: int | None, finished_at: datetime | None, tail: str) -> Outcome:
    """Outputs are the last line that is a JSON object; rollback information the last `ROLLBACK_INFO:` line."""
    lines = (message.splitlines() if _is_object(message.strip()) else []) + log.splitlines()
    outputs = next(_objects(reversed(lines)), dict[str, Any]())
    marked = (line[len(ROLLBACK_PREFIX) :] for line in reversed(lines) if line.startswith(ROLLBACK_PREFIX))
    rollback = next(_objects(marked), None)
    return Outcome(
        exit_code=exit_code,
        message=redact_text(message)[:1024],
        outputs=redact_json(outputs),
        rollback=None if rollback is None else redact_json(rollback),
        log_tail=tail,
        finished_at=finished_at,
    )


def _objects(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if _is_object(line.strip()):
            try:
                found = msgspec.json.decode(line.strip(), type=dict[str, Any])
            except (msgspec.DecodeError, RecursionError):
                continue
            if not is_too_deep(found):
                yield found


def _is_object(line: str) -> bool:
    return line.startswith("{") and line.endswith("}")


def _redacted(change: Change) -> Change:
    fields: Mapping[str, Any] = redact_json(msgspec.to_builtins(change))
    return msgspec.convert(fields, Change)
