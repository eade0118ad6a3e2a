"""Laws of putting policies together: whatever is added, nothing that was denied becomes allowed."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kubernaut.api.policy import LEVELS
from kubernaut.planning.policies import (
    DECISIONS,
    Candidate,
    InForce,
    RuleAnswer,
    combine,
    next_in_force,
)

VALUES: st.SearchStrategy[Any] = st.one_of(
    st.text(max_size=5),
    st.sampled_from(LEVELS),
    st.fixed_dictionaries({"msg": st.text(max_size=3)}),
    st.fixed_dictionaries({"level": st.sampled_from(LEVELS)}),
    st.booleans(),
    st.none(),
    st.integers(),
    st.lists(st.integers(), max_size=2),
)
ANSWERS = st.builds(
    RuleAnswer,
    package=st.sampled_from(["kubernaut", "kubernaut.a", "kubernaut.b.c"]),
    decision=st.sampled_from([*DECISIONS, "allow", "deny"]),
    file=st.sampled_from(["a.rego", "b.rego"]),
    line=st.integers(1, 3),
    values=st.one_of(st.just((True,)), st.lists(VALUES, max_size=3).map(tuple)),
    error=st.sampled_from(["", "", "", "divide by zero"]),
)
MANY = st.lists(ANSWERS, max_size=6)


@given(MANY, ANSWERS)
def test_whatever_is_added_but_an_allow_never_allows(answers: list[RuleAnswer], more: RuleAnswer) -> None:
    before, after = combine(answers), combine([*answers, more])
    if more.decision != "allow":
        assert not (after.allowed and not before.allowed)
    assert {one.message for one in after.approvals} >= {one.message for one in before.approvals}
    assert {one.message for one in after.dry_runs} >= {one.message for one in before.dry_runs}
    assert _rank(after.min_autonomy) >= _rank(before.min_autonomy)


@given(MANY, st.text(min_size=1, max_size=3))
def test_one_deny_of_any_package_outweighs_every_allow(answers: list[RuleAnswer], why: str) -> None:
    verdict = combine([*answers, RuleAnswer("kubernaut.x.y.z", "deny", "z.rego", 7, (why,))])
    assert not verdict.allowed
    assert ("data.kubernaut.x.y.z.deny", "z.rego", 7) in {(f.rule, f.file, f.line) for f in verdict.denials}


@given(MANY, st.randoms(use_true_random=False))
def test_the_order_of_answers_and_hearing_one_twice_change_nothing(answers: list[RuleAnswer], random: Any) -> None:
    shuffled = [*answers, *answers[:2]]
    random.shuffle(shuffled)
    assert combine(shuffled) == combine(answers)


@given(MANY)
def test_an_answer_that_failed_denies(answers: list[RuleAnswer]) -> None:
    if any(answer.error for answer in answers):
        assert not combine(answers).allowed
    assert not combine(answers, "the worker died").allowed


@given(MANY)
def test_an_allowed_action_was_allowed_by_a_package_and_a_denied_one_says_why(answers: list[RuleAnswer]) -> None:
    verdict = combine(answers)
    if verdict.allowed:
        assert verdict.allowed_by
    else:
        assert all(finding.message.strip() for finding in verdict.denials)
        assert verdict.reason.startswith("denied: ")


def test_no_rule_set_that_matches_is_a_denial() -> None:
    for values in ((), (False,), ("true",), (1,)):
        verdict = combine([RuleAnswer("kubernaut.a", "allow", values=values), RuleAnswer("kubernaut.a", "deny")])
        assert not verdict.allowed
        assert "no rule set matches" in verdict.reason


def test_a_rule_that_fires_without_a_message_fires_all_the_same() -> None:
    for value in (True, None, 3, "", [], {"code": 4}):
        verdict = combine([RuleAnswer("kubernaut", "allow", values=(True,)), _deny(value)])
        assert [finding.message for finding in verdict.denials] == ["deny without a message"]


def test_an_object_gives_a_message_and_what_else_it_says() -> None:
    (finding,) = combine([_deny({"msg": "no", "mend": "wait", "severity": "high"})]).denials
    assert (finding.message, finding.details) == ("no", {"mend": "wait", "severity": "high"})
    assert finding.where == "data.kubernaut.p.deny at p.rego:3"


def test_the_highest_demand_for_autonomy_counts_and_an_unknown_level_denies() -> None:
    demands = [
        RuleAnswer("kubernaut", "min_autonomy", values=(level,)) for level in ("approve", "auto", "observe")
    ]
    allowing = RuleAnswer("kubernaut", "allow", values=(True,))
    assert combine([allowing, *demands]).min_autonomy == "auto"
    assert combine([allowing]).min_autonomy is None
    assert not combine([allowing, RuleAnswer("kubernaut", "min_autonomy", values=("alone",))]).allowed


GOOD, BAD = Candidate("sha256:1"), Candidate("sha256:2", ("a.rego:1:1: bad",))


def test_a_bad_set_never_replaces_a_good_one_and_is_told_about() -> None:
    first = next_in_force(InForce(), GOOD)
    assert first == InForce("sha256:1")
    assert next_in_force(first, BAD) == InForce("sha256:1", "sha256:2", BAD.faults)
    assert next_in_force(next_in_force(first, BAD), GOOD) == first
    # None that can be loaded at start: there is no digest, and whoever judges without one denies.
    assert next_in_force(InForce(), BAD).digest == ""


def _deny(value: Any) -> RuleAnswer:
    return RuleAnswer("kubernaut.p", "deny", "p.rego", 3, (value,))


def _rank(level: str | None) -> int:
    return -1 if level is None else LEVELS.index(level)  # type: ignore[arg-type]
