"""How large objects may grow, what a run is bound to, and how long judging takes."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace as changed

from kubernaut.admission import Door, check, pinned_actions, read_document, spec_hash
from kubernaut.admission.size import MOST_BYTES, worst_status_bytes
from kubernaut.api.contract import ContractSpec, Parameter
from kubernaut.api.meta import LocalReference, to_object
from kubernaut.api.text import cut
from kubernaut.api.workflow import (
    MAX_STEPS,
    ApprovalRecord,
    Request,
    Step,
    StepPhase,
    StepStatus,
    WorkflowExecution,
    WorkflowStatus,
    pin_key,
    record_bytes,
)

from .makers import DOOR, OTHER_IMAGE, SCALE, definition, image_of, nothing, notify, refused, scale, workflow

MOMENT = datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)


def pins_of(work: WorkflowExecution) -> list[Any]:
    return list(pinned_actions(work, DOOR).values())


def worst_run(work: WorkflowExecution, message: str) -> WorkflowStatus:
    """What planning writes when every step ends in the wordiest way."""
    steps = len(work.spec.steps) + len(work.spec.finally_)
    records = tuple(
        StepStatus(
            name=step.name,
            phase=StepPhase.INDETERMINATE,
            reason="FailedToRetrieveImagePullSecret",
            message=message,
            started_at=MOMENT,
            completed_at=MOMENT,
            attempts=11,
            executed="unknown",
            execution=LocalReference(name="x" * 63, uid="f" * 36),
            fence="f" * 36,
            outputs={"o": "x" * (record_bytes(steps) - 9)},
            rollback_available=True,
        )
        for step in (*work.spec.steps, *work.spec.finally_)
    )
    pins = tuple(pinned_actions(work, DOOR).values())
    approval = ApprovalRecord(
        request=LocalReference(name="r" * 63, uid="u" * 36),
        plan_hash="sha256:" + "f" * 64,
        decided_by=("n" * 253,) * 16,
    )
    return WorkflowStatus(message="m" * 4000, spec_hash="f" * 64, steps=records, actions=pins, approval=approval)


@pytest.mark.parametrize("steps", [1, 100, 300, 1000])
def test_the_bound_of_the_status_is_above_the_wordiest_run(steps: int) -> None:
    work = workflow(*(scale(f"step-{n}") for n in range(steps)), notify())
    for message in ("m", '"', "漢", "\x1b", "\n"):
        written = len(msgspec.json.encode(worst_run(work, cut(message * 512, record_bytes(steps + 1)))))
        assert written <= worst_status_bytes(work.spec, pins_of(work)) <= 1.2 * written + 5_000


def test_a_thousand_plain_steps_fit_whatever_becomes_of_them() -> None:
    chain = [nothing("step-0000"), *(nothing(f"step-{n:04}", f"step-{n - 1:04}") for n in range(1, MAX_STEPS))]
    begun = time.process_time()
    assert refused(*chain) == []
    assert refused(*(scale(f"scale-{n:04}") for n in range(MAX_STEPS))) == []
    assert time.process_time() - begun < 2


def test_up_to_187_steps_have_the_whole_room_for_what_is_said_of_them() -> None:
    assert [record_bytes(steps) for steps in (1, 187, 188, MAX_STEPS + 50)] == [512, 512, 510, 91]


def test_the_status_of_a_hundred_steps_stays_under_200_kb() -> None:
    work = workflow(*(scale(f"step-with-a-name-{n:03}") for n in range(99)), notify())
    assert worst_status_bytes(work.spec, pins_of(work)) < 200_000


def test_an_object_that_could_exceed_a_megabyte_is_refused_with_the_number() -> None:
    patch = {"text": "x" * 300}
    told = refused(*(scale(f"s{n}", inputs={"labels": patch}) for n in range(800)))
    assert len(told) == 1
    assert told[0].startswith("spec: the object could grow to 1")
    assert "at most 1000 kB are allowed (what is asked " in told[0]
    assert refused(*(scale(f"s{n}", inputs={"labels": patch}) for n in range(200))) == []


def test_parameters_that_would_blow_up_a_steps_inputs_are_counted_not_built() -> None:
    many = {str(n): "$(params.p)" for n in range(100)}
    told = refused(scale(inputs={"labels": many}), parameters={"p": "x" * 100_000})
    assert told[0].startswith("spec.steps[0].inputs: would take 100")
    assert "at most 800 kB fit" in told[0]


def test_too_many_different_actions_are_refused() -> None:
    catalogue = {f"test/a{n}": definition(f"test/a{n}", ContractSpec(fenced=True)) for n in range(257)}
    steps = [Step(name=f"s{n}", action_type=f"test/a{n}") for n in range(257)]
    told = refused(*steps, door=Door(catalogue=catalogue))
    assert "uses 257 different actions and images: at most 256 are allowed" in told[0]


def test_pins_hold_what_runs_without_the_texts_for_people() -> None:
    work = workflow(scale("a"), scale("b"), scale("c", image=OTHER_IMAGE), finally_=(nothing("d"),))
    pins = pinned_actions(work, DOOR)
    assert list(pins) == [
        "kubernetes/scale_deployment",
        f"kubernetes/scale_deployment@{OTHER_IMAGE}",
        "test/nothing",
    ]
    assert {pin_key(step) for step in (*work.spec.steps, *work.spec.finally_)} == set(pins)
    pin = pins["kubernetes/scale_deployment"]
    assert (pin.image, pin.service_account_name) == (image_of("scale_deployment"), "action-scale-deployment")
    assert pin.contract.description == ""
    assert not any(p.description for p in (*pin.contract.inputs, *pin.contract.outputs))
    assert [p.name for p in pin.contract.inputs] == [p.name for p in SCALE.inputs]
    assert pins[f"kubernetes/scale_deployment@{OTHER_IMAGE}"].image == OTHER_IMAGE


def test_the_hash_covers_what_was_asked_and_not_what_operators_request() -> None:
    work = workflow(scale(), parameters={"b": 1, "a": {"y": 1, "x": 2}})
    asked = changed(work, spec=changed(work.spec, requests=(Request(type="cancel"),)))
    assert spec_hash(work) == spec_hash(asked)
    other = changed(work, spec=changed(work.spec, parameters={"a": {"x": 2, "y": 1}, "b": 1}))
    assert spec_hash(work) == spec_hash(other)
    for more in ({"reason": "x"}, {"parameters": {"b": 2}}, {"steps": (scale("other"),)}, {"engine": "job"}):
        assert spec_hash(changed(work, spec=changed(work.spec, **more))) != spec_hash(work)


def test_the_hash_does_not_depend_on_what_the_api_server_fills_in() -> None:
    work = workflow(scale(), parameters={"a": 1})
    raw = msgspec.json.decode(msgspec.json.encode(to_object(work)))
    raw["spec"] |= {"engine": "auto", "timeout": "1h", "rollbackStrategy": "manual", "priority": 0}
    raw["spec"]["steps"][0] |= {"critical": True, "usesWorkspace": False}
    stored, _ = read_document(raw)
    assert isinstance(stored, WorkflowExecution)
    assert spec_hash(stored) == spec_hash(work)
    # Known by value, so that a change of the code cannot silently change what running workflows were admitted by.
    assert spec_hash(workflow(nothing("a"))) == "166ea93266712b4cdb87ecd15d625d07de58a5a672b4f97307d6a04dc19c2b1e"


def large(steps: int) -> WorkflowExecution:
    made: list[Step] = [scale("s0")]
    for n in range(1, steps):
        inputs = {
            "text": f"$(steps.s{n - 1}.outputs.deployment) of $(params.name)",
            "count": "$(params.count)",
            "extra": {"a": [1, 2, {"b": "$(workflow.name)"}], "c": "text"},
        }
        if n % 2:
            made.append(
                notify(f"s{n}", inputs=inputs, when=(f"params.count > {n} || steps.s{n - 1}.phase == 'Failed'",))
            )
        else:
            made.append(
                scale(f"s{n}", run_after=(f"s{n - 1}", f"s{n // 2}"), inputs={"replicas": "$(params.count)"})
            )
    return workflow(*made, parameters={"name": "x", "count": 5})


def test_a_thousand_steps_are_judged_well_under_a_second() -> None:
    work = large(1000)
    begun = time.process_time()
    faults = check(work, DOOR)
    pinned_actions(work, DOOR)
    spec_hash(work)
    lasted = time.process_time() - begun
    assert [fault.path for fault in faults] == ["spec"]  # only too large: nothing else is wrong
    assert lasted < 1.0


def test_a_thousand_steps_all_of_them_wrong_are_judged_under_a_second() -> None:
    steps = [
        nothing(f"step-{n}", f"stepp-{n}", f"x{n}", inputs={f"in-{n}": "$(params.nope)"}) for n in range(1000)
    ]
    begun = time.process_time()
    faults = check(workflow(*steps), replace(DOOR))
    lasted = time.process_time() - begun
    assert len(faults) == 1000
    assert lasted < 1.0


def test_a_knot_of_a_hundred_steps_is_told_briefly() -> None:
    names = [f"s{n}" for n in range(100)]
    told = refused(*(nothing(name, *(other for other in names if other != name)) for name in names))
    assert 1 <= len(told) <= 100
    assert all(len(line) < 300 for line in told)


@pytest.mark.parametrize("parameter", [Parameter(name="n", type="number", maximum=1)])
def test_numbers_that_no_float_holds_are_refused_not_crashed_on(parameter: Parameter) -> None:
    door = Door(catalogue={"t/n": definition("t/n", ContractSpec(inputs=(parameter,)))})
    told = refused(Step(name="a", action_type="t/n", inputs={"n": 10**400}), door=door)
    assert told == ["spec.steps[0].inputs.n: is a number beyond 64 bits"]


def test_the_limit_is_a_megabyte() -> None:
    assert MOST_BYTES == 1_000_000
