"""Images of a step's own: whose contract is read, what is said where it cannot be, and as whom they run."""

from dataclasses import replace

import pytest

from kubernaut.admission import images_to_read, pinned_actions
from kubernaut.api.contract import ActionContract, ContractMeta, ContractSpec, Parameter
from kubernaut.api.faults import Fault
from kubernaut.api.workflow import Step

from .makers import DOOR, NOTHING, OTHER_IMAGE, SCALE, image_of, nothing, refused, scale, workflow

OWN = f"registry.example/own@sha256:{'c' * 64}"
NEW_TYPE = "team/restart_queue"


def contract(name: str, spec: ContractSpec = NOTHING) -> ActionContract:
    return ActionContract(metadata=ContractMeta(name=name, version="1.0.0"), spec=spec)


def own(**more: object) -> Step:
    return Step(name="own", action_type=NEW_TYPE, image=OWN, **more)  # type: ignore[arg-type]


READ = replace(DOOR, contracts={OWN: contract(NEW_TYPE)})


def test_contracts_are_read_of_images_that_the_catalogue_does_not_name_and_of_no_others() -> None:
    work = workflow(
        scale("a"),
        scale("b", image=image_of("scale_deployment")),
        scale("c", image=OTHER_IMAGE),
        scale("d", image=OTHER_IMAGE),
        scale("e", image="registry.example/own:latest"),
        finally_=(own(),),
    )
    assert images_to_read(work, DOOR.catalogue) == (OTHER_IMAGE, OWN)


@pytest.mark.parametrize("step", [own(), scale(image=OWN)], ids=["unknown type", "known type"])
def test_why_a_contract_cannot_be_had_is_told_at_the_image(step: Step) -> None:
    door = replace(DOOR, unreadable={OWN: Fault("", "is not in its registry", "Push it.")})
    assert refused(step, door=door) == ["spec.steps[0].image: is not in its registry. Push it."]


@pytest.mark.parametrize("step", [own(), scale(image=OWN)], ids=["unknown type", "known type"])
def test_of_an_image_that_is_being_read_nothing_is_said_and_of_the_rest_everything(step: Step) -> None:
    door = replace(DOOR, awaited=frozenset({OWN}))
    assert refused(step, door=door) == []
    told = refused(step, nothing("other", "nobody"), door=door)
    assert [line.partition(":")[0] for line in told] == ["spec.steps[1].runAfter[0]"]


def test_an_action_that_the_catalogue_does_not_have_runs_by_its_images_contract() -> None:
    assert refused(own(), door=READ) == []
    [pin] = pinned_actions(workflow(own()), READ).values()
    assert (pin.image, pin.service_account_name) == (OWN, "default")


def test_its_inputs_are_judged_by_that_contract() -> None:
    wants = ContractSpec(inputs=(Parameter(name="queue", required=True),), fenced=True)
    door = replace(DOOR, contracts={OWN: contract(NEW_TYPE, wants)})
    told = refused(own(inputs={"queu": "a"}), door=door)
    assert told[0].startswith("spec.steps[0].inputs.queu: ")
    assert "spec.steps[0].inputs.queue: a required input is missing" in told[1]


def test_the_contract_of_another_action_is_refused() -> None:
    assert refused(Step(name="own", action_type="team/other", image=OWN), door=READ) == [
        "spec.steps[0].image: the image's contract is that of team/restart_queue, not of team/other"
    ]
    short = replace(DOOR, contracts={OWN: contract("restart_queue")})
    assert refused(own(), door=short) == []


def test_a_contract_that_contradicts_itself_is_the_images_fault() -> None:
    broken = ContractSpec(timeout="1h", max_timeout="1m", fenced=True)
    told = refused(own(), door=replace(DOOR, contracts={OWN: contract(NEW_TYPE, broken)}))
    assert told == [
        "spec.steps[0].image: the image's contract is broken: contract.timeout is above maxTimeout. "
        "Whoever makes the image has to mend it."
    ]


def test_it_cannot_borrow_the_account_of_a_catalogued_action() -> None:
    assert refused(own(service_account_name="action-scale-deployment"), door=READ) == [
        "spec.steps[0].serviceAccountName: action-scale-deployment is the account of kubernetes/scale_deployment. "
        "Make an account for this action."
    ]
    assert refused(own(service_account_name="team-queues"), door=READ) == []
    assert refused(own(service_account_name="No Name"), door=READ) != []


def test_without_a_cluster_nothing_is_said_about_images() -> None:
    offline = replace(DOOR, is_offline=True)
    assert refused(own(), scale(image=OWN), door=offline) == []
    assert refused(replace_image(own()), door=offline) != []


def test_without_a_cluster_a_contract_that_is_at_hand_counts() -> None:
    door = replace(DOOR, is_offline=True, contracts={OWN: contract("aws/stop", SCALE)})
    assert "is that of aws/stop" in refused(scale(image=OWN), door=door)[0]


def replace_image(step: Step) -> Step:
    return Step(name=step.name, action_type=step.action_type)
