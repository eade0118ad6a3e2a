"""One look at one probe: the evaluator of its kind, bounded in time, and never an exception."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from kubernaut.api.placeholders import NotFillable
from kubernaut.api.probes import Outcome, Probe, kind_of_probe
from kubernaut.concurrency import Clock, within
from kubernaut.planning.probes import Observation
from kubernaut.safety.probes.evidence import bounded
from kubernaut.safety.probes.expressions import ask
from kubernaut.telemetry.redaction import Redactor

_LONGEST_TEXT = 500


@dataclass(frozen=True)
class Matter:
    """What is asked about: one action with what it was given and, once it has ended, what it gave."""

    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    outputs: Mapping[str, Any] | None = None
    namespace: str = ""
    """Of the executions: Secrets and ConfigMaps that probes name are there."""
    now: str = ""
    """RFC 3339; filled in for each look."""

    @property
    def values(self) -> dict[str, Mapping[str, Any] | None]:
        return {"inputs": self.inputs, "outputs": self.outputs}

    def variables(self, expression: str) -> dict[str, Any]:
        """What every expression may use. Raises NotFillable when it asks for outputs that are not there yet."""
        if self.outputs is None and "outputs" in expression:
            raise NotFillable(
                "outputs",
                "there are no outputs yet",
                "They are there once the action has run: name it with --execution, or give --result NAME=VALUE.",
            )
        return {"inputs": dict(self.inputs), "outputs": dict(self.outputs or {}), "now": self.now}


@dataclass(frozen=True)
class Finding:
    """What an evaluator found."""

    outcome: Outcome
    reason: str
    message: str = ""
    mend: str = ""
    evidence: Any = None
    input_hash: str = ""


class Evaluator(Protocol):
    """Asks probes of one kind. May raise whatever its means raise: the panel makes `inconclusive` of it."""

    async def look(self, probe: Probe, matter: Matter, redactor: Redactor) -> Finding:
        """`redactor` learns of every secret that was used."""
        ...


class CannotAsk(Exception):
    """A look that cannot be answered, for a reason that somebody can do something about."""

    def __init__(self, reason: str, message: str, mend: str = "", evidence: Any = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.mend = mend
        self.evidence = evidence


class Panel:
    """All evaluators there are, by kind of probe."""

    def __init__(self, evaluators: Mapping[str, Evaluator], clock: Clock, seconds: float = 10.0) -> None:
        self._evaluators = evaluators
        self._clock = clock
        self._seconds = seconds

    def is_asked(self, probe: Probe, matter: Matter) -> bool:
        """Whether its `when` lets it be asked; one that says nothing is asked, and then says why it cannot be."""
        if not probe.when:
            return True
        try:
            said = ask(probe.when, "when", _of_when(probe.when, matter))
        except NotFillable:
            return True
        return said.holds or bool(said.error)

    async def look(self, probe: Probe, matter: Matter) -> Observation:
        """What one look finds. Never raises, and takes no longer than the panel's seconds."""
        redactor = Redactor()
        finding = await self._finding(probe, matter, redactor)
        return Observation(
            self._clock.now(),
            finding.outcome,
            finding.reason,
            redactor.text(finding.message)[:_LONGEST_TEXT],
            redactor.text(finding.mend)[:_LONGEST_TEXT],
            bounded(finding.evidence, redactor),
            finding.input_hash,
        )

    async def _finding(self, probe: Probe, matter: Matter, redactor: Redactor) -> Finding:
        kind = kind_of_probe(probe)
        evaluator = self._evaluators.get(kind)
        if evaluator is None:
            return Finding("inconclusive", "NoEvaluator", f"nothing here can ask {kind or 'such'} probes")
        now = self._clock.now().isoformat(timespec="seconds").replace("+00:00", "Z")
        asked = Matter(matter.inputs, matter.outputs, matter.namespace, now)
        try:
            if probe.when and (error := ask(probe.when, "when", _of_when(probe.when, asked)).error):
                return Finding("inconclusive", "Unanswerable", f"`when` cannot be answered: {error}")
            return await within(self._clock, self._seconds, evaluator.look(probe, asked, redactor))
        except TimeoutError:
            return Finding("inconclusive", "TooSlow", f"no answer within {self._seconds:g} s")
        except NotFillable as error:
            return Finding("inconclusive", "Unknown", f"$({error.name}): {error}", error.mend)
        except CannotAsk as error:
            return Finding("inconclusive", error.reason, str(error), error.mend, error.evidence)
        except Exception as error:  # noqa: BLE001  a probe that cannot be asked is never passed, whatever the reason
            return Finding("inconclusive", "Error", f"{type(error).__name__}: {error}")


def _of_when(expression: str, matter: Matter) -> dict[str, Any]:
    variables = matter.variables(expression)
    return {"inputs": variables["inputs"], "outputs": variables["outputs"]}


def finding_of(holds: bool, error: str, message: str, evidence: Any, input_hash: str) -> Finding:
    """Of an expression that was asked."""
    if error:
        return Finding("inconclusive", "Unanswerable", error, "", evidence, input_hash)
    if holds:
        return Finding("passed", "Holds", "", "", evidence, input_hash)
    return Finding("failed", "DoesNotHold", message, "", evidence, input_hash)
