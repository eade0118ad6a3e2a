"""Durations as Kubernetes users write them; names that fit, and never meet."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubernaut.api.duration import from_duration, to_duration
from kubernaut.api.names import (
    derived_name,
    execution_name,
    fence_name,
    job_name,
    label_value,
    overflow_name,
    short_type,
    workspace_name,
)

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5m", 300), ("1h30m", 5400), ("1.5h", 5400), ("250ms", 0.25), ("0s", 0), ("1m1m", 120)],
)
def test_durations_are_read_as_go_writes_them(text: str, seconds: float) -> None:
    assert from_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "m", "5 m", " 5m", "5m ", "-5m", "5d", "1h5", "5m\n", "\u0665m", "1..5s"]
)
def test_anything_else_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f'"{text}" is not a duration')):
        from_duration(text)


def test_durations_are_written_in_their_largest_units() -> None:
    assert [to_duration(seconds) for seconds in (0, 90, 5400, 7200, 86400, 0.25)] == [
        "0s",
        "1m30s",
        "1h30m",
        "2h",
        "24h",
        "250ms",
    ]


@given(st.integers(0, 10**8))
def test_whole_seconds_survive_a_round_trip(seconds: int) -> None:
    assert from_duration(to_duration(seconds)) == seconds


@given(st.integers(0, 10**8))
def test_milliseconds_survive_a_round_trip(milliseconds: int) -> None:
    assert from_duration(to_duration(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)


workflow_names = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,250}[a-z0-9])?", fullmatch=True)
step_names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
uids = st.uuids().map(str)


@given(workflow_names, uids, step_names, st.integers(1, 11))
def test_every_derived_name_is_a_dns_label(workflow: str, uid: str, step: str, attempt: int) -> None:
    execution = execution_name(workflow, uid, step)
    for name in (execution, job_name(execution, uid, attempt), fence_name(uid), overflow_name(uid)):
        assert DNS_LABEL.fullmatch(name), name
    if "." not in workflow:
        assert DNS_LABEL.fullmatch(workspace_name(workflow, uid))


@given(st.text(), st.text())
def test_whatever_the_readable_part_is_the_name_fits(readable: str, unique: str) -> None:
    assert DNS_LABEL.fullmatch(derived_name(readable, unique))


@given(st.text())
def test_any_text_becomes_a_label_value(text: str) -> None:
    assert LABEL_VALUE.fullmatch(label_value(text))


@given(st.from_regex(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", fullmatch=True))
def test_what_is_a_label_value_already_stays_so(text: str) -> None:
    assert label_value(text) == text


identities = st.lists(st.tuples(uids, step_names), min_size=2, max_size=30, unique=True)


@given(workflow_names, identities)
def test_steps_of_different_identity_never_share_a_name(workflow: str, steps: list[tuple[str, str]]) -> None:
    made = {execution_name(workflow, uid, step) for uid, step in steps}
    assert len(made) == len(steps)


@given(workflow_names, uids)
def test_attempts_never_share_a_name(execution: str, uid: str) -> None:
    assert len({job_name(execution, uid, attempt) for attempt in range(1, 12)}) == 11


def test_joining_parts_differently_makes_different_names() -> None:
    # Without a separator between the parts ("ab", "c") and ("a", "bc") would meet.
    assert derived_name("x", "ab", "c") != derived_name("x", "a", "bc")
    assert derived_name("x", "a", "") != derived_name("x", "a")


def test_names_stay_the_same_for_ever() -> None:
    # Objects of running executions are found by these names: a new version must find the old one's.
    assert execution_name("scale", "0a1b", "up") == "scale-up-" + derived_name("", "0a1b", "up")[1:]
    assert short_type("kubernetes/scale_deployment") == "scale-deployment"
    assert workspace_name("scale", "0a1b") == "scale-workspace"
