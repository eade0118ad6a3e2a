"""Contracts of a format that this controller does not know are refused before anything is read into them."""

import msgspec
import pytest

from kubernaut.admission import Door, check, check_action, check_definition
from kubernaut.api.action import ActionExecution, ActionSpec
from kubernaut.api.contract import ContractSpec
from kubernaut.api.definition import ActionDefinition, DefinitionSpec
from kubernaut.api.meta import ObjectMeta
from kubernaut.api.names import ANNOTATION_CONTRACT_VERSION, CORE_API
from kubernaut.api.workflow import Step, WorkflowExecution, WorkflowSpec

IMAGE = "r.example/act@sha256:" + "a" * 64
NEWER = "the catalogue's entry repeats a contract of 'kubernaut.ai/v2'; known here is kubernaut.ai/v1alpha1"


def door(version: str | None) -> Door:
    annotations = {} if version is None else {ANNOTATION_CONTRACT_VERSION: version}
    spec = DefinitionSpec(
        action_type="team/act",
        image=IMAGE,
        version="1.0.0",
        service_account_name="act-sa",
        contract=ContractSpec(),
    )
    meta = ObjectMeta(name="team.act", annotations=annotations)
    return Door(catalogue={"team/act": ActionDefinition(metadata=meta, spec=spec)})


WORKFLOW = WorkflowExecution(
    metadata=ObjectMeta(name="w"), spec=WorkflowSpec(steps=(Step(name="act", action_type="team/act"),))
)
ALONE = ActionExecution(
    metadata=ObjectMeta(name="a"),
    spec=ActionSpec(action_type="team/act", image=IMAGE, service_account_name="act-sa", contract=ContractSpec()),
)


@pytest.mark.parametrize("version", [None, CORE_API])
def test_what_is_known_is_let_in(version: str | None) -> None:
    assert check(WORKFLOW, door(version)) == ()
    assert check_action(ALONE, door(version)) == ()


def test_what_is_newer_is_refused_by_every_door_with_the_way_out() -> None:
    newer = door("kubernaut.ai/v2")
    for path, faults in (
        ("spec.steps[0].actionType", check(WORKFLOW, newer)),
        ("spec.actionType", check_action(ALONE, newer)),
        (f"metadata.annotations['{ANNOTATION_CONTRACT_VERSION}']", check_definition(newer.catalogue["team/act"])),
    ):
        [fault] = faults
        assert (fault.path, fault.message) == (path, NEWER)
        assert "Bring kubernaut up to date" in fault.mend


def test_a_step_is_not_saved_by_an_image_of_its_own() -> None:
    step = msgspec.structs.replace(WORKFLOW.spec.steps[0], image="r.example/own@sha256:" + "b" * 64)
    own = msgspec.structs.replace(WORKFLOW, spec=WorkflowSpec(steps=(step,)))
    assert NEWER in [fault.message for fault in check(own, door("kubernaut.ai/v2"))]
