"""`kubernaut describe`."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubernaut.cli.advice import has_ended, next_commands, why
from kubernaut.cli.options import Where, cluster_options, execution_argument, namespace_option
from kubernaut.cli.output import Json, age, colour_of, format_table, part, parts, print_data, took, value_at
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    from kubernaut.cluster import Cluster


@click.command("describe")
@execution_argument("wfe", "ae", "ad", parameter="target")
@namespace_option
@cluster_options
def command(target: str, namespace: str | None, kubeconfig: Path | None, context: str | None) -> None:
    """Tell what an execution did, why it stands so, and what to type next.

    NAME is a WorkflowExecution's, ae/NAME, or ad/NAME of the catalogue.
    """
    from kubernaut.cli.session import speak

    speak(_describe(current_terminal(), Where(kubeconfig, context, namespace), target))


async def _describe(terminal: Terminal, where: Where, target: str) -> None:
    from kubernaut.cli.lookup import parse_target
    from kubernaut.cli.session import connected, fetch
    from kubernaut.cluster import kinds
    from kubernaut.concurrency import SystemClock

    kind, name = parse_target(target)
    async with connected(where, terminal) as cluster:
        found = await fetch(cluster, kind, name, where.namespace_or_default)
        if kind is kinds.ACTION_DEFINITIONS:
            print_data(terminal, {"metadata": {"name": name}, "spec": found["spec"]}, "yaml")
            return
        request = await _request(cluster, found)
        obstacles = await _obstacles(cluster, found)
        events = await cluster.list(
            kinds.EVENTS,
            where.namespace_or_default,
            field_selector=f"involvedObject.kind={kind.kind},involvedObject.name={name}",
        )
    now = SystemClock().now()
    is_request = kind is kinds.APPROVAL_REQUESTS
    for line in () if is_request else description(terminal, found, now, obstacles):
        terminal.say(line)
    if request is not None:
        from kubernaut.cli.deciding import description as asked

        for line in asked(terminal, request, now):
            terminal.say(line)
    # The server may select by fewer fields than asked for (an embedded cluster may not know these).
    ours = [
        event for event in events.items if part(event, "involvedObject").get("uid") == found["metadata"]["uid"]
    ]
    for line in _events(terminal, ours, now):
        terminal.say(line)
    for line in _next(found):
        terminal.say(line)


async def _request(cluster: "Cluster", found: Json) -> Json | None:
    """The ApprovalRequest that is meant, or that a workflow waits for."""
    from kubernaut.cluster import ClusterError, kinds

    if found["kind"] == kinds.APPROVAL_REQUESTS.kind:
        return found
    name = value_at(found, "status.approval.request.name")
    if not name or value_at(found, "status.phase") != "WaitingApproval":
        return None
    try:
        return await cluster.get(kinds.APPROVAL_REQUESTS, str(name), found["metadata"]["namespace"])
    except ClusterError:
        return None


async def _obstacles(cluster: "Cluster", found: Json) -> list[str]:
    """Why running steps do not get going: their ActionExecutions know."""
    from kubernaut.api import names
    from kubernaut.cluster import kinds

    if found["kind"] == kinds.ACTION_EXECUTIONS.kind:
        return await _missing(cluster, found)
    if not any(step.get("phase") == "Running" for step in parts(found, "status.steps")):
        return []
    metadata = found["metadata"]
    selector = f"{names.LABEL_WORKFLOW}={names.label_value(metadata['name'])}"
    listed = await cluster.list(kinds.ACTION_EXECUTIONS, metadata["namespace"], label_selector=selector)
    return [
        f"{part(execution, 'spec').get('step')}: {line}"
        for execution in listed.items
        if not has_ended(execution)
        for line in [*why(execution), *await _missing(cluster, execution)]
    ]


async def _missing(cluster: "Cluster", execution: Json) -> list[str]:
    """What it waits for and only a person can make, with the command that does."""
    import msgspec

    from kubernaut.api.contract import ContractSpec
    from kubernaut.cli.catalogue import made_by, missing_dependencies

    if has_ended(execution) or not part(execution, "status.waiting"):
        return []
    contract = msgspec.convert(execution["spec"].get("contract") or {}, ContractSpec)
    namespace = str(execution["metadata"]["namespace"])
    return [
        f"The {missing} is not in namespace {namespace}. Make it with: {made_by(missing, namespace)}"
        for missing in await missing_dependencies(cluster, contract, namespace)
    ]


def _next(found: Json) -> Iterator[str]:
    commands = next_commands(found)
    if commands:
        width = max(len(one.command) for one in commands)
        yield ""
        yield "Next:"
        yield from (f"  {one.command.ljust(width)}   {one.purpose}" for one in commands)


def description(terminal: Terminal, found: Json, now: datetime, obstacles: Sequence[str] = ()) -> Iterator[str]:
    """The lines about an execution itself."""
    spec, status, metadata = part(found, "spec"), part(found, "status"), part(found, "metadata")
    phase = str(status.get("phase") or "Pending")
    requester = part(spec, "requester").get("username")
    target = part(spec, "targetResource")
    yield f"{found['kind']} {metadata.get('namespace', '')}/{metadata['name']}"
    facts = {
        "Phase": terminal.paint(phase, colour_of(phase)),
        "Reason": status.get("reason") if status.get("reason") != phase else "",
        "Asked for": spec.get("reason"),
        "Asked by": requester,
        "Action": spec.get("actionType"),
        "Image": spec.get("image"),
        "Executed": status.get("executed"),
        "Target": "/".join(str(target[key]) for key in ("kind", "namespace", "name") if target.get(key)),
        "Engine": part(status, "engine").get("name"),
        "Created": f"{age(metadata.get('creationTimestamp'), now)} ago",
        "Took": took(status.get("startedAt"), status.get("completedAt")),
        "Workflow": part(spec, "workflowRef").get("name"),
    }
    for fact, value in facts.items():
        if value:
            yield f"  {fact + ':':<11} {value}"
    title = "Message:" if phase in ("Succeeded", "Completed") else "Why:"
    for number, line in enumerate([*why(found), *obstacles]):
        for inner, text in enumerate(line.splitlines()):
            yield f"  {'' if number or inner else title:<11} {text}"
    for request in parts(spec, "requests"):
        who = part(request, "requester").get("username") or "somebody"
        told = " ".join(str(request[key]) for key in ("type", "step", "outcome") if request.get(key))
        reason = f": {request['reason']}" if request.get("reason") else ""
        yield f"  {'Request:':<11} {told} by {who}{reason}"
    yield from _steps(terminal, status)
    yield from _attempts(terminal, status)
    yield from _values("Outputs", part(status, "outputs"))
    yield from _values("Rollback", part(status, "rollback"))
    if status.get("logTail"):
        yield "Log, the end of it:"
        yield from (f"  {line}" for line in str(status["logTail"]).splitlines())


def _steps(terminal: Terminal, status: Json) -> Iterator[str]:
    steps = parts(status, "steps")
    if not steps:
        return
    rows = [
        [
            str(step["name"]),
            str(step.get("phase") or "Pending"),
            str(step.get("attempts") or ""),
            took(step.get("startedAt"), step.get("completedAt")),
            str(part(step, "execution").get("name") or ""),
            " ".join(filter(None, (str(step.get("reason") or ""), str(step.get("message") or "")))),
        ]
        for step in steps
    ]
    yield ""
    yield format_table(terminal, ["Step", "Phase", "Attempts", "Took", "ActionExecution", "Why"], rows)


def _attempts(terminal: Terminal, status: Json) -> Iterator[str]:
    rows = [
        [
            str(attempt["number"]),
            str(attempt.get("job") or ""),
            str(attempt.get("executed") or ""),
            str("" if attempt.get("exitCode") is None else attempt["exitCode"]),
            took(attempt.get("startedAt"), attempt.get("completedAt")),
            " ".join(filter(None, (str(attempt.get("reason") or ""), str(attempt.get("message") or "")))),
        ]
        for attempt in parts(status, "attempts")
    ]
    if rows:
        yield ""
        yield format_table(terminal, ["Attempt", "Job", "Executed", "Exit", "Took", "Why"], rows)


def _values(title: str, values: Json) -> Iterator[str]:
    from kubernaut.cli.following import shown

    if values:
        yield f"{title}:"
        yield from (f"  {key}: {shown(value)}" for key, value in values.items())


def _events(terminal: Terminal, events: list[Json], now: datetime) -> Iterator[str]:
    events = sorted(events, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    rows = [
        [
            age(event.get("lastTimestamp") or event.get("eventTime"), now),
            str(event.get("type") or ""),
            str(event.get("reason") or ""),
            str(event.get("message") or ""),
        ]
        for event in events
    ]
    if rows:
        yield ""
        yield format_table(terminal, ["Age", "Event", "Reason", "Message"], rows)
