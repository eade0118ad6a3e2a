"""Starting steps: the ActionExecution that a step becomes, and the record that makes its start count."""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import convert
from msgspec.structs import replace

from kubernaut.api.action import MOST_INPUT_BYTES, ActionSpec, SecretInput
from kubernaut.api.contract import input_faults, with_defaults
from kubernaut.api.meta import JSON, LocalReference, SecretKeyRef
from kubernaut.api.names import execution_name, workspace_name
from kubernaut.api.references import OutputReference, ParamReference, Reference, WorkflowReference, resolve
from kubernaut.api.text import cut
from kubernaut.api.values import stored_bytes
from kubernaut.api.workflow import PinnedAction, Step, StepPhase, StepStatus, pin_key
from kubernaut.planning.facts import ExecutionFacts, WorkflowFacts
from kubernaut.planning.records import outputs_of, told
from kubernaut.planning.turns import CreateExecution, CreateFence, CreateWorkspace, WorkflowChange


@dataclass(frozen=True)
class Started:
    """What starting one step takes next: changes first; once there are none left, the record."""

    record: StepStatus
    changes: tuple[WorkflowChange, ...] = ()


def start(facts: WorkflowFacts, step: Step, records: Mapping[str, StepStatus]) -> Started:
    """The next move towards the start of a ready step. Faults of its inputs end it: nothing was executed."""
    record = records[step.name]
    spec = execution_spec(facts, step, records)
    if isinstance(spec, str):
        return Started(_failed(facts, record, "InvalidInputs", spec))
    if too_large := _too_large(spec):
        return Started(_failed(facts, record, "InputsTooLarge", too_large))
    meta = facts.workflow.metadata
    execution = facts.executions.get(step.name)
    if execution is None:
        name = execution_name(meta.name, meta.uid, step.name)
        return Started(record, (*_workspace(facts, step), CreateExecution(step.name, name, spec)))
    if execution.owner_uid != meta.uid or execution.spec != replace(spec, stop=execution.spec.stop):
        return Started(_failed(facts, record, "NameTaken", f"{execution.name} exists and is not this step's."))
    if spec.contract.fenced and execution.fence_uid is None:
        return Started(record, (CreateFence(execution.name, execution.uid),))
    return Started(_running(facts, record, execution))


def execution_spec(facts: WorkflowFacts, step: Step, records: Mapping[str, StepStatus]) -> ActionSpec | str:
    """The resolved, pinned spec of a step's ActionExecution, or what is wrong with its inputs."""
    pinned = pinned_action(facts, step)
    inputs = _resolved_inputs(facts, step, records, pinned)
    if isinstance(inputs, str):
        return inputs
    meta = facts.workflow.metadata
    # By the contract, not by its form: an output may look like a reference to a Secret, and must not mount one.
    secrets = {parameter.name for parameter in pinned.contract.inputs if parameter.secret} & inputs.keys()
    return ActionSpec(
        action_type=step.action_type,
        image=pinned.image,
        inputs={name: value for name, value in inputs.items() if name not in secrets},
        secret_inputs=tuple(
            SecretInput(input=name, secret_key_ref=convert(inputs[name]["secretKeyRef"], SecretKeyRef))
            for name in sorted(secrets)
        ),
        service_account_name=step.service_account_name or pinned.service_account_name,
        timeout=step.timeout or pinned.contract.timeout,
        retry=step.retry,
        contract=pinned.contract,
        workflow_ref=LocalReference(name=meta.name, uid=meta.uid),
        step=step.name,
        workspace_claim=workspace_name(meta.name, meta.uid) if step.uses_workspace else "",
        target_resource=facts.workflow.spec.target_resource,
        correlation_id=meta.uid,
        cluster=step.cluster,
    )


def _too_large(spec: ActionSpec) -> str:
    """Why the inputs do not fit into one object; empty when they do. The API server would refuse it for ever."""
    size = stored_bytes(spec.inputs)
    if size <= MOST_INPUT_BYTES:
        return ""
    name, largest = max(((n, stored_bytes(v)) for n, v in spec.inputs.items()), key=lambda found: found[1])
    return (
        f"with outputs and parameters filled in, the inputs take {size / 1000:.0f} kB: at most "
        f"{MOST_INPUT_BYTES // 1000} kB fit; the largest is {name} with {largest / 1000:.0f} kB"
    )


def pinned_action(facts: WorkflowFacts, step: Step) -> PinnedAction:
    """The catalogue entry that was in force when the run was admitted."""
    key = pin_key(step)
    return next(action for action in facts.workflow.status.actions if action.key == key)


def _resolved_inputs(
    facts: WorkflowFacts, step: Step, records: Mapping[str, StepStatus], pinned: PinnedAction
) -> dict[str, JSON] | str:
    def look_up(reference: Reference) -> JSON:
        match reference:
            case ParamReference(name):
                return facts.workflow.spec.parameters[name]
            case OutputReference(source, key):
                return outputs_of(facts, records[source])[key]
            case WorkflowReference(field):
                return getattr(facts.workflow.metadata, field)
            case _:
                raise KeyError(reference.text)

    try:
        resolved = {name: resolve(value, look_up) for name, value in step.inputs.items()}
    except KeyError as error:
        return f"$(...) has no value: {error.args[0]} was not given by the step that should have"
    inputs = with_defaults(pinned.contract, resolved)
    faults = input_faults(pinned.contract, inputs, "inputs")
    return cut("; ".join(map(str, faults)), 512) if faults else inputs


def _workspace(facts: WorkflowFacts, step: Step) -> tuple[WorkflowChange, ...]:
    if not step.uses_workspace or facts.workspace != "absent":
        return ()
    meta = facts.workflow.metadata
    return (CreateWorkspace(workspace_name(meta.name, meta.uid)),)


def _running(facts: WorkflowFacts, record: StepStatus, execution: ExecutionFacts) -> StepStatus:
    return replace(
        record,
        phase=StepPhase.RUNNING,
        reason="",
        message="",
        started_at=facts.now,
        execution=LocalReference(name=execution.name, uid=execution.uid),
        fence=execution.fence_uid or "",
    )


def _failed(facts: WorkflowFacts, record: StepStatus, reason: str, message: str) -> StepStatus:
    return replace(
        record,
        phase=StepPhase.FAILED,
        reason=reason,
        message=told(facts, message),
        completed_at=facts.now,
        executed="no",
    )
