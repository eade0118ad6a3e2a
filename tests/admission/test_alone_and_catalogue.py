"""Stand-alone actions, and entries of the catalogue."""

from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as changed

from kubernaut.admission import check_action, check_contract, check_definition
from kubernaut.api.action import ActionExecution, ActionSpec, SecretInput
from kubernaut.api.contract import ContractSpec, Parameter, Resources, SecurityContext
from kubernaut.api.meta import ObjectMeta, SecretKeyRef
from kubernaut.api.workflow import Backoff, Retry

from .makers import DOOR, NOTIFY, OTHER_IMAGE, SCALE, SECRET, definition, image_of

INPUTS = {"deployment": "payment", "namespace": "production", "replicas": 3}
TOKEN = SecretInput(input="token", secret_key_ref=SecretKeyRef(name="token", key="value"))


def refused(**spec: Any) -> list[str]:
    usual: dict[str, Any] = {
        "action_type": "kubernetes/scale_deployment",
        "image": image_of("scale_deployment"),
        "inputs": INPUTS,
        "service_account_name": "action-scale-deployment",
        "contract": SCALE,
    }
    execution = ActionExecution(metadata=ObjectMeta(name="alone"), spec=ActionSpec(**usual | spec))
    return [str(fault) for fault in check_action(execution, DOOR)]


def refused_notify(**spec: Any) -> list[str]:
    usual: dict[str, Any] = {
        "action_type": "chat/notify",
        "image": image_of("notify"),
        "inputs": {},
        "secret_inputs": (TOKEN,),
        "service_account_name": "action-notify",
        "contract": NOTIFY,
        "timeout": "30s",
    }
    return refused(**usual | spec)


def test_good_actions_pass() -> None:
    assert refused() == []
    assert refused(image=OTHER_IMAGE) == []
    assert refused_notify(service_account_name="somebody-else") == []


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (
            {"action_type": "kubernetes/scale"},
            "spec.actionType: the catalogue has no action kubernetes/scale. Did",
        ),
        ({"image": image_of("x")}, "spec.image: is not the catalogue's, and its contract is not known."),
        ({"contract": changed(SCALE, fenced=False)}, "spec.contract: is not the contract of this image."),
        (
            {"service_account_name": ""},
            "spec.serviceAccountName: kubernetes/scale_deployment runs as action-scale",
        ),
        ({"inputs": {**INPUTS, "replicas": "3"}}, "spec.inputs.replicas: must be of type integer, not string"),
        ({"inputs": {**INPUTS, "x": 1}}, "spec.inputs.x: kubernetes/scale_deployment has no such input."),
        ({"inputs": {**INPUTS, "deployment": "$(params.x)"}}, "spec.inputs.deployment: there is no workflow"),
        ({"inputs": {**INPUTS, "labels": SECRET}}, "spec.inputs.labels: secrets are not given in inputs."),
        (
            {"inputs": {"replicas": 1, "namespace": "n"}},
            "spec.inputs.deployment: the required input deployment is",
        ),
        ({"inputs": {**INPUTS, "labels": {"a": float("inf")}}}, "spec.inputs.labels.a: is not a finite number"),
        ({"timeout": "16m"}, "spec.timeout: is longer than the action's contract allows (15m)"),
        ({"timeout": "soon"}, "spec.timeout: is no duration."),
        (
            {"retry": Retry(backoff=Backoff(base="1h", cap="1m"))},
            "spec.retry.backoff.base: is above the cap of 1m",
        ),
        ({"cluster": "eu"}, "spec.cluster: is reserved"),
        ({"secret_inputs": (TOKEN,)}, "spec.secretInputs[0].input: the contract takes no secret of this name."),
    ],
)
def test_what_a_stand_alone_action_is_refused_for(spec: dict[str, Any], said: str) -> None:
    told = refused(**spec)
    assert len(told) == 1, told
    assert told[0].startswith(said)


def test_secrets_of_a_stand_alone_action() -> None:
    told = refused_notify(inputs={"token": "hunter2"})
    assert told[0].startswith("spec.inputs.token: secrets are not given in inputs. Write {input: ...")
    assert "hunter2" not in "".join(told)
    assert refused_notify(secret_inputs=()) == ["spec.secretInputs: the required input token is missing"]
    assert refused_notify(secret_inputs=(TOKEN, TOKEN)) == ["spec.secretInputs[1].input: is given twice"]
    nameless = changed(TOKEN, secret_key_ref=SecretKeyRef(name="", key="k"))
    assert "needs the name of a Secret" in refused_notify(secret_inputs=(nameless,))[0]


def test_a_good_entry_of_the_catalogue_passes() -> None:
    for entry in DOOR.catalogue.values():
        assert check_definition(entry) == ()


def test_an_entry_that_runs_as_nobody() -> None:
    entry = definition("a/b", SCALE)
    entry = changed(entry, spec=changed(entry.spec, service_account_name="No One"))
    assert [fault.path for fault in check_definition(entry)] == ["spec.serviceAccountName"]


@pytest.mark.parametrize(
    ("contract", "said"),
    [
        (ContractSpec(inputs=(Parameter(name="a"), Parameter(name="a"))), "c.inputs[1].name: the name is already"),
        (
            ContractSpec(inputs=(Parameter(name="a", pattern="("),)),
            "c.inputs[0].pattern: is no regular expression",
        ),
        (ContractSpec(outputs=(Parameter(name="a", type="object", pattern="x"),)), "c.outputs[0].pattern: has no"),
        (
            ContractSpec(inputs=(Parameter(name="a", minimum=1),)),
            "c.inputs[0]: minimum and maximum have no meaning",
        ),
        (
            ContractSpec(inputs=(Parameter(name="a", type="integer", minimum=2, maximum=1),)),
            "c.inputs[0].minimum: is above maximum",
        ),
        (ContractSpec(inputs=(Parameter(name="a", default=1),)), "c.inputs[0].default: must be of type string"),
        (
            ContractSpec(inputs=(Parameter(name="a", default="x", secret=True),)),
            "c.inputs[0].default: a secret cannot have a default",
        ),
        (
            ContractSpec(inputs=(Parameter(name="a", enum=("x", 1)),)),
            "c.inputs[0].enum[1]: must be of type string",
        ),
        (ContractSpec(timeout="20m"), "c.timeout: is above maxTimeout"),
        (
            ContractSpec(resources=Resources(requests={"memory": "64 MB"})),
            "c.resources.requests.memory: is no quantity. Write",
        ),
        (
            ContractSpec(resources=Resources(limits={"pods": "-1"})),
            "c.resources.limits.pods: must not be negative",
        ),
        (
            ContractSpec(resources=Resources(requests={"cpu": "1"}, limits={"cpu": "999m"})),
            "c.resources.requests.cpu: is above its limit",
        ),
        (ContractSpec(max_timeout="x"), "c.maxTimeout: must be a duration above 0 and of at most 24h"),
        (ContractSpec(max_timeout="25h"), "c.maxTimeout: must be a duration above 0 and of at most 24h"),
        (ContractSpec(security_context=SecurityContext(run_as_user=0)), "c.securityContext: actions never run as"),
        (
            ContractSpec(security_context=SecurityContext(allow_privilege_escalation=True)),
            "c.securityContext.allowPrivilegeEscalation: is not allowed",
        ),
    ],
)
def test_contracts_that_contradict_themselves(contract: ContractSpec, said: str) -> None:
    told = [str(fault) for fault in check_contract(contract, "c")]
    assert len(told) == 1, told
    assert told[0].startswith(said)


def test_a_door_without_a_catalogue_says_so() -> None:
    execution = ActionExecution(
        metadata=ObjectMeta(name="a"),
        spec=ActionSpec(action_type="a/b", image=image_of("b"), contract=SCALE),
    )
    (fault,) = check_action(execution, replace(DOOR, catalogue={}))
    assert str(fault) == "spec.actionType: the catalogue has no action a/b. There is none."
