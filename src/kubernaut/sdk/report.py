"""What a run says of itself: the termination message, the last lines of its output, results too large for both.

Everything that leaves goes through the redactor here. A message is written before every change as well: a process
that is killed leaves behind what it was doing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TextIO

import msgspec

from kubernaut.api.names import EXECUTION_API
from kubernaut.cluster import AlreadyExists, Cluster, ClusterError, kinds
from kubernaut.sdk.environment import RunnerEnvironment
from kubernaut.telemetry.redaction import Redactor

MESSAGE_LIMIT = 4096
"""Bytes; the kubelet cuts there."""
OVERFLOW_LIMIT = 256 * 1024
"""Bytes of results that a ConfigMap may take; etcd takes a little over a megabyte."""
_TEXT_LIMIT = 800
_SHORT_TEXT_LIMIT = 300

Executed = Literal["yes", "no", "unknown"]


@dataclass(frozen=True)
class Ending:
    """How a run ended."""

    executed: Executed
    succeeded: bool
    reason: str
    message: str
    outputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    rollback: Mapping[str, Any] | None = None
    changes: tuple[Mapping[str, Any], ...] = ()


class Reporter:
    """Tells how a run goes and ends. `out` is for results only, `err` for people."""

    def __init__(self, environment: RunnerEnvironment, redactor: Redactor, out: TextIO, err: TextIO) -> None:
        self._environment = environment
        self._redactor = redactor
        self._out = out
        self._err = err
        self._told_rollback = ""

    def say(self, text: str) -> None:
        """One line for people."""
        print(self._redactor.text(text), file=self._err, flush=True)

    def announce(self, ending: Ending) -> None:
        """Leave behind what is about to be done."""
        self._tell_rollback(ending)
        self._write(_fitting(self._document(ending)))

    async def finish(self, ending: Ending, cluster: Cluster | None) -> Ending:
        """Say how it ended; the answer is the ending as told, which is a failure if results were lost."""
        document = self._document(ending)
        if len(_to_json(document)) > MESSAGE_LIMIT and len(_to_json({**document, "changes": []})) > MESSAGE_LIMIT:
            document, ending = await self._overflow(document, ending, cluster)
        self._tell_rollback(ending)
        self._write(_fitting(document))
        if ending.succeeded:
            print(_to_json(document_outputs(self._redactor, ending)).decode(), file=self._out, flush=True)
        else:
            self.say(f"{ending.reason}: {ending.message}")
        return ending

    def _document(self, ending: Ending) -> dict[str, Any]:
        rollback = self._redactor.json(ending.rollback)
        if ending.rollback is not None and rollback != msgspec.to_builtins(ending.rollback):
            # A secret would have to be restored and is not told: what is left would restore "[REDACTED]".
            rollback = {"available": False, "reason": "HoldsSecrets"}
        return {
            "v": 1,
            "executed": ending.executed,
            "outcome": "succeeded" if ending.succeeded else "failed",
            "reason": ending.reason[:200],
            "message": _shortened(self._redactor.text(ending.message), _TEXT_LIMIT),
            "outputs": document_outputs(self._redactor, ending),
            "rollback": rollback,
            "changes": self._redactor.json(list(ending.changes)),
        }

    async def _overflow(
        self, document: dict[str, Any], ending: Ending, cluster: Cluster | None
    ) -> tuple[dict[str, Any], Ending]:
        parts = {f"{name}.json": _to_json(document[name]).decode() for name in ("outputs", "rollback", "changes")}
        size = sum(len(part.encode()) for part in parts.values())
        if not self._environment.overflow or cluster is None:
            self.say("the results do not fit into a termination message; they stand in the output only")
            return document, ending
        if size > OVERFLOW_LIMIT:
            problem = f"the results have {size} bytes; at most {OVERFLOW_LIMIT} can be kept"
            return self._lost(document, ending, "ResultsTooLarge", problem)
        try:
            await _store(cluster, self._environment, parts)
        except ClusterError as error:
            return self._lost(document, ending, "ResultsNotStored", f"the results could not be stored: {error}")
        return {**document, "overflow": self._environment.overflow}, ending

    def _lost(
        self, document: dict[str, Any], ending: Ending, reason: str, problem: str
    ) -> tuple[dict[str, Any], Ending]:
        message = f"{problem}. Before that: {ending.reason}: {ending.message}"
        lost = Ending(ending.executed, False, reason, message, {}, ending.rollback, ending.changes)
        return self._document(lost), lost

    def _tell_rollback(self, ending: Ending) -> None:
        rollback = self._document(ending)["rollback"]
        text = _to_json(rollback).decode()
        if rollback is not None and text != self._told_rollback:
            print(f"ROLLBACK_INFO: {text}", file=self._out, flush=True)
            self._told_rollback = text

    def _write(self, content: bytes) -> None:
        path = self._environment.termination_log
        if path is None:
            return
        try:
            # In place: the kubelet has bound the file, so it cannot be replaced by another.
            path.write_bytes(content)
        except OSError as error:
            self.say(f"the termination message cannot be written to {path}: {error}")


def document_outputs(redactor: Redactor, ending: Ending) -> Any:
    """The outputs as they may be told."""
    return redactor.json(dict(ending.outputs))


def _fitting(document: dict[str, Any]) -> bytes:
    """The message within its limit; what matters least for going on is left out first."""
    stages: tuple[dict[str, Any], ...] = (
        {},
        {"changes": []},
        {"changes": [], "rollback": None},
        {"changes": [], "outputs": {}},
        {"changes": [], "outputs": {}, "rollback": None},
    )
    for left_out in stages:
        content = _to_json({key: value for key, value in {**document, **left_out}.items() if value != []})
        if len(content) <= MESSAGE_LIMIT:
            return content
    bare = {**document, **stages[-1], "message": _shortened(document["message"], _SHORT_TEXT_LIMIT)}
    return _to_json(bare)


async def _store(cluster: Cluster, environment: RunnerEnvironment, parts: Mapping[str, str]) -> None:
    owner = {
        "apiVersion": EXECUTION_API,
        "kind": "ActionExecution",
        "name": environment.execution,
        "uid": environment.execution_uid,
    }
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": environment.overflow,
            "namespace": environment.namespace,
            "ownerReferences": [owner],
        },
        "data": dict(parts),
    }
    try:
        await cluster.create(kinds.CONFIG_MAPS, body, environment.namespace)
    except AlreadyExists:
        # Of an earlier attempt of the same execution.
        await cluster.replace(kinds.CONFIG_MAPS, body)


def _to_json(value: object) -> bytes:
    return msgspec.json.encode(value)


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
