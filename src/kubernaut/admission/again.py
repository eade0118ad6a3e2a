"""`retryOf` and `rollbackOf`: what the earlier execution has to be."""

from collections.abc import Iterator

from kubernaut.admission.nearest import Nearest
from kubernaut.admission.survey import Survey
from kubernaut.api.faults import Fault
from kubernaut.api.workflow import RetryOf, StepPhase, WorkflowExecution, resolution_of


def again_faults(survey: Survey) -> Iterator[Fault]:
    """Why an earlier execution cannot be retried or rolled back by this one."""
    spec = survey.workflow.spec
    if spec.rollback_of is not None:
        yield Fault("spec.rollbackOf", "rolling an execution back is not available yet", "Leave it out.")
    again, earlier = spec.retry_of, survey.door.earlier
    if again is None:
        return
    if again.from_step and again.from_step not in {step.name for step in spec.steps}:
        mend = Nearest(step.name for step in spec.steps).mend(again.from_step)
        yield Fault("spec.retryOf.fromStep", f"there is no main step {again.from_step[:63]}", mend)
    if survey.door.is_offline:
        return
    if earlier is None or not _is_meant(again, earlier):
        message = f"there is no WorkflowExecution {again.name[:253]} in this namespace"
        if again.uid:
            message = f"{message} with this UID"
        yield Fault("spec.retryOf", message)
        return
    yield from _earlier_faults(survey, earlier)


def _is_meant(again: RetryOf, earlier: WorkflowExecution) -> bool:
    meta = earlier.metadata
    return meta.name == again.name and again.uid in ("", meta.uid)


def _earlier_faults(survey: Survey, earlier: WorkflowExecution) -> Iterator[Fault]:
    own, other = survey.workflow.metadata, earlier.metadata
    if own.name == other.name and own.uid in ("", other.uid):
        yield Fault("spec.retryOf", "an execution cannot retry itself", "Give this one another name.")
        return
    if earlier.status.completed_at is None:
        yield Fault("spec.retryOf", f"{other.name} has not ended yet", "Wait for its end, or cancel it.")
    unknown = [
        record.name
        for record in earlier.status.steps
        if record.phase == StepPhase.INDETERMINATE and resolution_of(earlier, record) is None
    ]
    if unknown:
        yield Fault(
            "spec.retryOf",
            f"nobody knows what became of {', '.join(unknown[:10])} of {other.name}",
            "Find out, then say so: kubernaut resolve.",
        )
    before = {step.name: step.action_type for step in (*earlier.spec.steps, *earlier.spec.finally_)}
    for placed in survey.placed:
        step = placed.step
        if before.get(step.name, step.action_type) != step.action_type:
            yield Fault(
                f"{placed.path}.actionType",
                f"{other.name} ran {before[step.name]} in the step of this name",
                "Keep the action type, or give the step a new name.",
            )
