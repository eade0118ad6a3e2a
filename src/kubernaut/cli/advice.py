"""Why an execution stands where it stands, and the commands that a person could type next. PURE."""

from collections.abc import Iterator
from typing import NamedTuple

from kubernaut.cli.options import in_namespace
from kubernaut.cli.output import Json, part, parts, value_at

_MOST_STEPS = 3
_BAD = ("Failed", "TimedOut", "Indeterminate")
_STOPPED = ("Failed", "TimedOut", "Cancelled", "Aborted", "PartiallyCompleted")


class Next(NamedTuple):
    """A command to type, and what it is good for."""

    command: str
    purpose: str


def has_ended(found: Json) -> bool:
    """Whether an execution will not move any more, whatever anybody says."""
    return value_at(found, "status.completedAt") is not None


def phase_of(found: Json) -> str:
    """Where an execution stands, also before anybody has looked at it."""
    return str(value_at(found, "status.phase") or "Pending")


def is_suspended(found: Json) -> bool:
    """Whether the last word about it was suspend (which the controller may not have read yet)."""
    asked = [request["type"] for request in parts(found, "spec.requests")]
    asked = [what for what in asked if what in ("suspend", "resume")]
    return bool(asked) and asked[-1] == "suspend"


def was_asked(found: Json, what: str) -> bool:
    """Whether somebody has asked for this already."""
    return any(request["type"] == what for request in parts(found, "spec.requests"))


def unknown_steps(found: Json) -> list[Json]:
    """The steps of which nobody knows what became of them, and of which nobody has spoken since."""
    return [
        step
        for step in parts(found, "status.steps")
        if step.get("phase") == "Indeterminate" and not _is_resolved(found, step)
    ]


def why(found: Json) -> list[str]:
    """Lines that explain it: the message, and what the first steps in trouble said."""
    status = part(found, "status")
    message = str(status.get("message") or "")
    told = [message] if message and message != status.get("reason") else []
    for step in [step for step in parts(found, "status.steps") if step.get("phase") in _BAD][:_MOST_STEPS]:
        line = ": ".join(str(step[key]) for key in ("name", "reason", "message") if step.get(key))
        if not any(line in other for other in told):
            told.append(line)
    waiting = part(status, "waiting")
    if waiting and not has_ended(found):
        told.append(": ".join(str(waiting[key]) for key in ("reason", "message") if waiting.get(key)))
    return told


def next_commands(found: Json) -> list[Next]:
    """What a person could do now, the likeliest first; empty where all is well and over."""
    name, place = str(found["metadata"]["name"]), in_namespace(str(found["metadata"].get("namespace", "")))
    if found["kind"] == "ApprovalRequest":
        return list(_of_request(found, f"apr/{name}", place))
    if found["kind"] == "ActionExecution":
        return list(_of_action(found, f"ae/{name}{place}", place))
    return list(_of_workflow(found, name, place))


def _of_workflow(found: Json, name: str, place: str) -> Iterator[Next]:
    phase, status = phase_of(found), part(found, "status")
    if unknown_steps(found):
        for step in unknown_steps(found)[:_MOST_STEPS]:
            yield Next(f"kubernaut resolve {name} --step {step['name']}{place}", "see what is known, and say it")
    if not has_ended(found):
        if phase == "WaitingApproval":
            digest = str(value_at(found, "status.approval.planHash") or "")
            plan = f" --plan {digest[:19]}" if digest else ""
            yield Next(f"kubernaut approve {name}{plan}{place}", "agree to it, as another person")
            yield Next(f"kubernaut reject {name}{plan}{place}", "refuse it, as another person")
            yield Next(f"kubernaut cancel {name}{place}", "withdraw it")
        elif is_suspended(found):
            yield Next(f"kubernaut resume {name}{place}", "let new steps start again")
        elif phase != "Indeterminate":
            yield Next(f"kubernaut watch {name}{place}", "follow it")
        if phase == "Pending":
            yield Next("kubernaut doctor", "if it stays so: is a controller at work?")
        elif phase == "Running":
            yield Next(f"kubernaut logs {name} --follow{place}", "read along")
        return
    if status.get("reason") == "Refused":
        yield Next("kubernaut lint FILE", "check the mended file")
        yield Next("kubernaut run -f FILE --again", "submit it under a new name")
    elif phase in _STOPPED:
        for step in [step for step in parts(found, "status.steps") if step.get("phase") in ("Failed", "TimedOut")][
            :1
        ]:
            yield Next(f"kubernaut logs {name} --step {step['name']}{place}", "what it wrote")
        if not unknown_steps(found):
            yield Next(f"kubernaut retry {name}{place}", "run again what did not succeed")


def _of_request(found: Json, name: str, place: str) -> Iterator[Next]:
    if phase_of(found) == "Pending":
        plan = f" --plan {str(value_at(found, 'spec.planHash'))[:19]}"
        yield Next(f"kubernaut approve {name}{plan}{place}", "agree to it")
        yield Next(f"kubernaut reject {name}{plan}{place}", "refuse it")
    workflow = value_at(found, "spec.workflowRef.name")
    if workflow:
        yield Next(f"kubernaut describe {workflow}{place}", "the workflow that it is about")


def _of_action(found: Json, name: str, place: str) -> Iterator[Next]:
    workflow = value_at(found, "spec.workflowRef.name")
    if not has_ended(found):
        yield Next(f"kubernaut watch {name}", "follow it")
    elif phase_of(found) in _BAD:
        yield Next(f"kubernaut logs {name}", "what it wrote")
    if workflow:
        yield Next(f"kubernaut describe {workflow}{place}", "the workflow that it belongs to")


def _is_resolved(found: Json, step: Json) -> bool:
    since = str(step.get("completedAt") or "")
    return any(
        request["type"] == "resolve"
        and request.get("step") == step["name"]
        and request.get("outcome")
        # Both are UTC; the comparison of texts holds to the second, and both may lack fractions.
        and str(request.get("at") or "")[:19] >= since[:19]
        for request in parts(found, "spec.requests")
    )
