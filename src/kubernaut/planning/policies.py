"""What policies together say: the verdict from what each rule said, and which set of policies is in force.

Rego is evaluated elsewhere (`safety.rego`); here a mistake would let something run, so it is pure. An action may
run only if some package allows it and nothing at all objects. Whatever could not be answered objects.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from kubernaut.api.policy import LEVELS, Level

ALLOW, DENY, WARN = "allow", "deny", "warn"
REQUIRE_APPROVAL, REQUIRE_DRY_RUN, MIN_AUTONOMY = "require_approval", "require_dry_run", "min_autonomy"
DECISIONS = (ALLOW, DENY, REQUIRE_APPROVAL, REQUIRE_DRY_RUN, MIN_AUTONOMY, WARN)
"""Names of rules that are asked in every package below `kubernaut`."""

_MOST_MESSAGE = 1024


@dataclass(frozen=True)
class RuleAnswer:
    """What the definitions of one rule at one place gave: its values, or why there are none."""

    package: str
    decision: str
    file: str = ""
    line: int = 0
    values: tuple[Any, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Finding:
    """One sentence of one rule."""

    decision: str
    message: str
    package: str = ""
    rule: str = ""
    """Its full name, `data.kubernaut.production.deny`."""
    file: str = ""
    line: int = 0
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What else stood in the object that the rule gave."""

    @property
    def where(self) -> str:
        """Rule and place in one piece, as far as they are known."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return " at ".join(part for part in (self.rule, place) if part)


@dataclass(frozen=True)
class PolicyVerdict:
    """What policies say about one action. `allowed` says that no policy is in its way, approvals apart."""

    allowed: bool
    allowed_by: tuple[str, ...] = ()
    """Packages whose `allow` is true: the rule sets that match."""
    denials: tuple[Finding, ...] = ()
    approvals: tuple[Finding, ...] = ()
    dry_runs: tuple[Finding, ...] = ()
    autonomy: tuple[Finding, ...] = ()
    min_autonomy: Level | None = None
    """The highest level that a rule demands; None where none does."""
    warnings: tuple[Finding, ...] = ()

    @property
    def requires_approval(self) -> bool:
        return bool(self.approvals)

    @property
    def requires_dry_run(self) -> bool:
        return bool(self.dry_runs)

    @property
    def reason(self) -> str:
        """One sentence: why not, or what is asked first."""
        if self.denials:
            return _told("denied", self.denials)
        if self.approvals:
            return _told("needs approval", self.approvals)
        return f"allowed by {', '.join(self.allowed_by)}"


def _told(word: str, findings: Sequence[Finding]) -> str:
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{word}: {findings[0].message}{more}"


def combine(answers: Iterable[RuleAnswer], failure: str = "") -> PolicyVerdict:
    """The verdict from every answer; their order does not matter. `failure` says why there are no answers."""
    listed = list(answers)
    findings = sorted({_key(one): one for answer in listed for one in _findings(answer)}.items())
    by_decision = {
        decision: tuple(one for _, one in findings if one.decision == decision) for decision in DECISIONS
    }
    allowed_by = tuple(sorted({one.package for one in listed if one.decision == ALLOW and _allows(one)}))
    denials = by_decision[DENY]
    if failure:
        denials = (Finding(DENY, failure), *denials)
    elif not allowed_by and not denials:
        denials = (Finding(DENY, "no rule set matches: no package below data.kubernaut allows this action"),)
    levels = [_level_of(one) for one in by_decision[MIN_AUTONOMY]]
    return PolicyVerdict(
        allowed=not denials,
        allowed_by=allowed_by,
        denials=denials,
        approvals=by_decision[REQUIRE_APPROVAL],
        dry_runs=by_decision[REQUIRE_DRY_RUN],
        autonomy=by_decision[MIN_AUTONOMY],
        min_autonomy=LEVELS[max(map(LEVELS.index, levels))] if levels else None,
        warnings=by_decision[WARN],
    )


def _allows(answer: RuleAnswer) -> bool:
    # `is`, for to Python 1 equals true.
    return not answer.error and len(answer.values) == 1 and answer.values[0] is True


def _findings(answer: RuleAnswer) -> Iterable[Finding]:
    if answer.decision not in DECISIONS:
        return [_finding(answer, DENY, f"{answer.decision} is no decision", {})]
    if answer.error:
        # Also for a warning: a rule that cannot be evaluated may be the one that was meant to object.
        return [_finding(answer, DENY, f"it could not be evaluated: {answer.error}", {})]
    if answer.decision == ALLOW:
        return []
    return [_read(answer, value) for value in answer.values]


def _read(answer: RuleAnswer, value: object) -> Finding:
    """A finding from text, or from an object with `msg`; whatever else a rule gives objects."""
    details: dict[str, Any] = {}
    message: object = value
    if isinstance(value, Mapping):
        given = cast("Mapping[str, Any]", value)
        details = {key: part for key, part in given.items() if key != "msg"}
        message = given.get("msg", "")
    if answer.decision == MIN_AUTONOMY:
        level = details.get("level", message)
        if level not in LEVELS:
            return _finding(answer, DENY, f"min_autonomy gives no level of {', '.join(LEVELS)}", details)
        text = message if isinstance(message, str) and message not in LEVELS else ""
        return _finding(answer, MIN_AUTONOMY, text or f"it needs autonomy {level}", {**details, "level": level})
    if not isinstance(message, str) or not message.strip():
        # The rule fired; that it does not say why takes nothing from it.
        message = f"{answer.decision} without a message"
    return _finding(answer, answer.decision, message, details)


def _finding(answer: RuleAnswer, decision: str, message: str, details: Mapping[str, Any]) -> Finding:
    rule = f"data.{answer.package}.{answer.decision}"
    return Finding(decision, message[:_MOST_MESSAGE], answer.package, rule, answer.file, answer.line, details)


def _level_of(finding: Finding) -> Level:
    level: Level = finding.details["level"]
    return level


def _key(finding: Finding) -> tuple[str, ...]:
    details = repr(sorted(finding.details.items(), key=lambda item: item[0]))
    return (finding.decision, finding.rule, finding.file, f"{finding.line:09}", finding.message, details)


@dataclass(frozen=True)
class Candidate:
    """A set of policies that was looked at: its digest, and why it cannot be used if it cannot."""

    digest: str
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class InForce:
    """Which set judges. Without one everything is denied."""

    digest: str = ""
    refused: str = ""
    """Digest of the newer set that was refused; empty when the newest is in force."""
    faults: tuple[str, ...] = ()


def next_in_force(current: InForce, candidate: Candidate) -> InForce:
    """The set in force after looking at another: a bad one never replaces a good one, and is told about."""
    if candidate.faults:
        return InForce(current.digest, candidate.digest, candidate.faults)
    return InForce(candidate.digest)
