"""A turn in sentences, so that two of them can be compared by people."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple, TypeAlias, cast

from kubernaut.planning.facts import ActionFacts, WorkflowFacts
from kubernaut.planning.recording import Facts, Wire, facts_to_wire

WORKFLOW = "the workflow"
_Records: TypeAlias = Mapping[str, Mapping[str, Any]]


class Sentence(NamedTuple):
    """What one turn does to one thing."""

    about: str
    """A step, or `WORKFLOW`."""
    says: str
    why: str = ""
    """What the planner itself gives as its reason."""


def sentences(facts: Facts, decided: Wire) -> list[Sentence]:
    """Everything that a turn, as a recording holds it, does."""
    found: list[Sentence] = []
    for change in decided.get("changes", []):
        if isinstance(facts, WorkflowFacts):
            found += _of_workflow(facts, change)
        else:
            found += _of_action(facts, change)
    subject = WORKFLOW if isinstance(facts, WorkflowFacts) else _step_of(facts)
    if waiting := decided.get("queued"):
        steps = "1 step waits" if waiting == 1 else f"{waiting} steps wait"
        found.append(Sentence(subject, f"{steps} for a place beside those that run"))
    if moment := decided.get("look_again_at"):
        found.append(Sentence(subject, f"is looked at again at {moment}"))
    return found


def _of_workflow(facts: WorkflowFacts, change: Wire) -> Iterator[Sentence]:
    steps = {execution.name: step for step, execution in facts.executions.items()}
    match change["change"]:
        case "AddFinalizer":
            yield Sentence(WORKFLOW, "is held until it has come to an end")
        case "RemoveFinalizer":
            yield Sentence(WORKFLOW, "is let go")
        case "CreateWorkspace":
            yield Sentence(WORKFLOW, "gets its workspace")
        case "DeleteWorkspace":
            yield Sentence(WORKFLOW, "loses its workspace")
        case "CreateExecution":
            yield Sentence(change["step"], "gets its ActionExecution")
        case "CreateFence":
            yield Sentence(steps.get(str(change["execution"]), str(change["execution"])), "gets its fence")
        case "StopExecution":
            stop = change["stop"]
            about = steps.get(str(change["execution"]), str(change["execution"]))
            yield Sentence(about, "is stopped", _joined(stop.get("reason", ""), stop.get("message", "")))
        case "CreateApproval":
            plan = str(change["spec"].get("planHash", ""))[:19]
            yield Sentence(
                WORKFLOW, f"asks people about its plan {plan}", "; ".join(change["spec"].get("why", ()))
            )
        case "WriteApprovalStatus":
            status = change["status"]
            phase = status.get("phase", "Pending")
            yield Sentence(WORKFLOW, f"has its request told as {phase}", str(status.get("message", "")))
        case "WriteWorkflowStatus":
            yield from _moves(facts, change["status"])
        case other:
            yield Sentence(WORKFLOW, f"undergoes {other}")


def _moves(facts: WorkflowFacts, status: Wire) -> Iterator[Sentence]:
    before: Wire = facts_to_wire(facts)["workflow"].get("status", {})
    phase, was = status.get("phase", "Pending"), before.get("phase", "Pending")
    why = _joined(status.get("reason", ""), status.get("message", ""))
    yield Sentence(WORKFLOW, f"becomes {phase}" if phase != was else f"stays {phase}", why)
    known = _by_name(before.get("steps", []))
    for name, record in _by_name(status.get("steps", [])).items():
        old = known.get(name, {})
        if record == old:
            continue
        phase, was = record.get("phase", "Pending"), old.get("phase", "Pending")
        says = f"becomes {phase}" if phase != was or name not in known else f"stays {phase}"
        yield Sentence(name, says, _joined(record.get("reason", ""), record.get("message", "")))


def _by_name(records: Sequence[Mapping[str, Any]]) -> _Records:
    return {record["name"]: record for record in records}


def _of_action(facts: ActionFacts, change: Wire) -> Iterator[Sentence]:
    about, attempt = _step_of(facts), change.get("attempt")
    says = {
        "CreateFence": "gets its fence",
        "ArmFence": f"gets its fence opened for attempt {attempt}",
        "VoidFence": "gets its fence closed for good",
        "StartJob": f"gets the Job of attempt {attempt}{' (held)' if change.get('suspended') else ''}",
        "ReleaseJob": f"lets the Job of attempt {attempt} begin",
        "DeleteJob": f"ends the Job of attempt {attempt}",
        "ExpireJob": f"lets the Job of attempt {attempt} go after {change.get('seconds')} s",
        "MakeSure": "is looked at a second time",
    }
    if change["change"] != "WriteActionStatus":
        yield Sentence(about, says.get(change["change"], f"undergoes {change['change']}"))
        return
    status: Wire = change["status"]
    was = str(facts.execution.status.phase)
    phase = status.get("phase", "Pending")
    said = f"its action becomes {phase}" if phase != was else f"its action stays {phase}"
    executed = status.get("executed")
    tail = f", executed: {executed}" if executed else ""
    if again := status.get("nextAttemptAt"):
        tail += f", another attempt at {again}"
    yield Sentence(about, said + tail, _joined(status.get("reason", ""), status.get("message", "")))


def _step_of(facts: ActionFacts) -> str:
    return facts.execution.spec.step or facts.execution.metadata.name


def _joined(reason: str, message: str) -> str:
    return ": ".join(filter(None, (reason, message)))


def differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Where two JSON values differ, each as `path: before -> after`."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        one, other = cast("Wire", before), cast("Wire", after)
        for key in sorted({*one, *other}):
            yield from differences(one.get(key), other.get(key), f"{path}.{key}" if path else key)
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple):
        left, right = cast("list[Any]", before), cast("list[Any]", after)
        for index, (then, today) in enumerate(zip_longest(left, right)):
            yield from differences(then, today, f"{path}[{index}]")
    elif before != after:
        yield f"{path}: {_short(before)} -> {_short(after)}"


def _short(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
