"""A small catalogue, and short ways to write workflows for the door."""

from typing import Any

from kubernaut.admission import Door, check
from kubernaut.api.contract import ActionContract, ContractMeta, ContractSpec, Parameter
from kubernaut.api.definition import ActionDefinition, DefinitionSpec
from kubernaut.api.faults import Fault
from kubernaut.api.meta import ObjectMeta
from kubernaut.api.workflow import Step, WorkflowExecution, WorkflowSpec
from kubernaut.safety import check_cel

OTHER_IMAGE = f"other.example/scale@sha256:{'b' * 64}"
SECRET = {"secretKeyRef": {"name": "token", "key": "value"}}


def image_of(name: str) -> str:
    return f"registry.example/{name}@sha256:{'a' * 64}"


def definition(action_type: str, contract: ContractSpec, **more: Any) -> ActionDefinition:
    name = action_type.rpartition("/")[2]
    return ActionDefinition(
        metadata=ObjectMeta(name=name.replace("_", "-")),
        spec=DefinitionSpec(
            action_type=action_type,
            image=image_of(name),
            version="1.0.0",
            service_account_name=f"action-{name.replace('_', '-')}",
            contract=contract,
            **more,
        ),
    )


SCALE = ContractSpec(
    description="Scales a Deployment.",
    inputs=(
        Parameter(name="deployment", required=True, max_length=63, description="Its name."),
        Parameter(name="namespace", required=True, pattern="^[a-z0-9-]+$"),
        Parameter(name="replicas", type="integer", required=True, minimum=0, maximum=1000),
        Parameter(name="mode", enum=("fast", "careful"), default="fast"),
        Parameter(name="grace", type="duration"),
        Parameter(name="labels", type="object"),
    ),
    outputs=(
        Parameter(name="replicas", type="integer", description="How many there are."),
        Parameter(name="deployment"),
        Parameter(name="took", type="duration"),
        Parameter(name="token", secret=True),
    ),
    fenced=True,
)
NOTIFY = ContractSpec(
    inputs=(
        Parameter(name="token", secret=True, required=True),
        Parameter(name="text"),
        Parameter(name="count", type="integer"),
        Parameter(name="ratio", type="number"),
        Parameter(name="ok", type="boolean"),
        Parameter(name="extra", type="object"),
    ),
    timeout="30s",
    max_timeout="1m",
    fenced=True,
)
NOTHING = ContractSpec(fenced=True)

DOOR = Door(
    catalogue={
        "kubernetes/scale_deployment": definition("kubernetes/scale_deployment", SCALE),
        "chat/notify": definition("chat/notify", NOTIFY, allow_other_service_accounts=True),
        "test/nothing": definition("test/nothing", NOTHING),
    },
    contracts={
        OTHER_IMAGE: ActionContract(
            metadata=ContractMeta(name="kubernetes/scale_deployment", version="2.0.0"), spec=SCALE
        )
    },
    cel_error=check_cel,
)


def scale(name: str = "scale", **more: Any) -> Step:
    inputs = {"deployment": "payment", "namespace": "production", "replicas": 3} | more.pop("inputs", {})
    return Step(name=name, action_type="kubernetes/scale_deployment", inputs=inputs, **more)


def notify(name: str = "notify", **more: Any) -> Step:
    inputs = {"token": SECRET} | more.pop("inputs", {})
    return Step(name=name, action_type="chat/notify", inputs=inputs, **more)


def nothing(name: str, *after: str, **more: Any) -> Step:
    return Step(name=name, action_type="test/nothing", run_after=after, **more)


def workflow(*steps: Step, finally_: tuple[Step, ...] = (), **spec: Any) -> WorkflowExecution:
    return WorkflowExecution(
        metadata=ObjectMeta(name="w", namespace="ns", uid="uid", generation=1),
        spec=WorkflowSpec(steps=steps, finally_=finally_, **spec),
    )


def refused(*steps: Step, door: Door = DOOR, finally_: tuple[Step, ...] = (), **spec: Any) -> list[str]:
    """All faults of such a workflow as texts."""
    return [str(fault) for fault in check(workflow(*steps, finally_=finally_, **spec), door)]


def only(faults: tuple[Fault, ...] | list[Fault]) -> Fault:
    assert len(faults) == 1, [str(fault) for fault in faults]
    return faults[0]
