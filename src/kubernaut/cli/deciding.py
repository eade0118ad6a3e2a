"""approve and reject: find the request, show what it is about, append one's word to it."""

from collections.abc import Iterator
from contextlib import aclosing
from datetime import datetime
from typing import cast

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.following import follow
from kubernaut.cli.lookup import parse_target
from kubernaut.cli.options import Where, in_namespace
from kubernaut.cli.output import Json, colour_of, moment, part, parts, span, value_at
from kubernaut.cli.requests import own_identity, timestamp
from kubernaut.cli.session import connected, fetch, versions_of
from kubernaut.cli.terminal import Terminal
from kubernaut.cluster import Cluster, Conflict, kinds
from kubernaut.concurrency import SystemClock

_TRIES = 5
_SHORT_HASH = 19
"""`sha256:` and 12 digits: enough for people."""


async def decide(
    terminal: Terminal,
    where: Where,
    target: str,
    word: str,
    reason: str,
    plan: str,
    *,
    wait: bool,
    seconds: float | None,
) -> int:
    """Says `approve` or `reject`. Raises CommandFailed, ClusterError."""
    namespace = where.namespace_or_default
    async with connected(where, terminal) as cluster:
        found = await request_of(cluster, target, namespace)
        digest = str(value_at(found, "spec.planHash"))
        if plan and not _is_meant(plan, digest):
            raise CommandFailed(
                f"the plan is {short_hash(digest)} now, not {plan}",
                mend=f"Look at it again: kubernaut describe {target}{in_namespace(namespace)}",
                code=Exit.REFUSED,
            )
        who = await own_identity(cluster)
        _check(found, who, word, target, namespace)
        await _append(cluster, found, who, word, reason)
        workflow = str(value_at(found, "spec.workflowRef.name"))
        for line in summary(found):
            terminal.say(line)
        said = "approved" if word == "approve" else "rejected"
        terminal.say(f"{said} the plan {short_hash(digest)} of {workflow} as {who.get('username') or 'nobody'}")
        if not wait:
            return Exit.SUCCEEDED
        if not await _is_decided(terminal, cluster, found):
            return Exit.WAITING
        code = await follow(terminal, cluster, kinds.WORKFLOW_EXECUTIONS, workflow, namespace, seconds)
    return Exit.SUCCEEDED if word == "reject" and code is Exit.FAILED else code


async def _is_decided(terminal: Terminal, cluster: Cluster, found: Json) -> bool:
    """Waits until the controller has heard the word, and acted on it; false where more people have to agree."""
    metadata = found["metadata"]
    said = 1 + len(parts(found, "spec.decisions"))
    requests = versions_of(cluster, kinds.APPROVAL_REQUESTS, metadata["name"], metadata["namespace"])
    async with aclosing(requests) as versions:
        async for one in versions:
            if one is None or (value_at(one, "status.phase") or "Pending") != "Pending":
                break
            heard = len(parts(one, "spec.decisions")) >= said and value_at(one, "status.approvals")
            if heard and str(heard) != value_at(found, "status.approvals"):
                terminal.say(f"{heard} have approved: it waits for more")
                return False
    workflow = str(value_at(found, "spec.workflowRef.name"))
    runs = versions_of(cluster, kinds.WORKFLOW_EXECUTIONS, workflow, metadata["namespace"])
    async with aclosing(runs) as versions:
        async for one in versions:
            if one is None or value_at(one, "status.phase") != "WaitingApproval":
                break
    return True


async def request_of(cluster: Cluster, target: str, namespace: str) -> Json:
    """The request that is named, or the open one of the workflow that is. Raises CommandFailed."""
    kind, name = parse_target(target)
    if kind is kinds.APPROVAL_REQUESTS:
        return await fetch(cluster, kind, name, namespace)
    if kind is not kinds.WORKFLOW_EXECUTIONS:
        raise CommandFailed(
            f"{target} is an {kind.kind}: only workflows are approved",
            mend="Write the name of a WorkflowExecution, or apr/NAME of a request.",
            code=Exit.USAGE,
        )
    workflow = await fetch(cluster, kind, name, namespace)
    named = value_at(workflow, "status.approval.request.name")
    phase = value_at(workflow, "status.phase") or "Pending"
    if named and phase == "WaitingApproval":
        return await fetch(cluster, kinds.APPROVAL_REQUESTS, str(named), namespace)
    raise CommandFailed(
        f"{name} does not wait for an approval: it is {phase}",
        mend=f"See what does: kubernaut get apr{in_namespace(namespace)}",
    )


def description(terminal: Terminal, found: Json, now: datetime) -> Iterator[str]:
    """A request for people who are to decide."""
    spec, status = part(found, "spec"), part(found, "status")
    phase, expires = str(status.get("phase") or "Pending"), moment(spec.get("expiresAt"))
    approvers = part(spec, "approvers")
    yield ""
    yield f"ApprovalRequest {found['metadata']['namespace']}/{found['metadata']['name']}"
    facts = {
        "Phase": terminal.paint(phase, colour_of(phase)),
        "Plan": short_hash(str(spec["planHash"])),
        "Asked by": part(spec, "requestedBy").get("username"),
        "Asked for": spec.get("reason"),
        "Approvals": status.get("approvals") or f"0/{spec.get('quorum', 1)}",
        "Approvers": ", ".join([*(approvers.get("users") or []), *(approvers.get("groups") or [])]) or "nobody",
        "Expires": f"in {span((expires - now).total_seconds())}" if expires and phase == "Pending" else "",
        "Message": status.get("message"),
    }
    for fact, value in facts.items():
        if value:
            yield f"  {fact + ':':<11} {value}"
    for number, text in enumerate(spec.get("why") or []):
        yield f"  {'' if number else 'Because:':<11} {text}"
    for said in parts(spec, "decisions"):
        message = f": {said['message']}" if said.get("message") else ""
        yield f"  {'Decision:':<11} {said['decision']} by {part(said, 'by').get('username')}{message}"
    yield "  What would be done:"
    yield from (f"  {line}" for line in summary(found))


def summary(found: Json) -> Iterator[str]:
    """What would be done, a line a step."""
    spec = part(found, "spec")
    for step in parts(spec, "steps"):
        last = " (at the end)" if step.get("finally") else ""
        inputs = f" {step['inputs']}" if step.get("inputs") else ""
        yield f"  {step['name']}: {step['actionType']}{inputs} as {step['serviceAccountName']}{last}"
    if spec.get("moreSteps"):
        yield f"  ... and {spec['moreSteps']} more steps"


def short_hash(digest: str) -> str:
    """As people are shown it; `--plan` takes it."""
    return digest[:_SHORT_HASH]


def _is_meant(plan: str, digest: str) -> bool:
    wanted = plan.lower() if plan.lower().startswith("sha256:") else f"sha256:{plan.lower()}"
    return len(wanted) >= _SHORT_HASH and digest.startswith(wanted)


def _check(found: Json, who: Json, word: str, target: str, namespace: str) -> None:
    """What admission would refuse, in words that tell what to do. Raises CommandFailed."""
    spec, name = part(found, "spec"), str(found["metadata"]["name"])
    phase = str(value_at(found, "status.phase") or "Pending")
    if phase != "Pending" and not (phase == "Approved" and word == "reject"):
        told = value_at(found, "status.message") or ""
        raise CommandFailed(
            f"{name} is {phase}{f': {told}' if told else ''}",
            mend=f"See the workflow: kubernaut describe {value_at(found, 'spec.workflowRef.name')}"
            f"{in_namespace(namespace)}",
        )
    username = who.get("username")
    if username and username == value_at(spec, "requestedBy.username"):
        raise CommandFailed(
            f"{username} asked for it, and cannot {word} it",
            mend=f"Somebody else must: kubernaut {word} {target}{in_namespace(namespace)}"
            + (f"; take it back with: kubernaut cancel {spec['workflowRef']['name']}" if word == "reject" else ""),
            code=Exit.REFUSED,
        )


async def _append(cluster: Cluster, found: Json, who: Json, word: str, reason: str) -> None:
    asked = part(found, "spec.approvers")
    own, wanted = cast("list[str]", who.get("groups") or []), cast("list[str]", asked.get("groups") or [])
    groups = [group for group in own if group in wanted]
    said: Json = {
        "decision": word,
        "planHash": value_at(found, "spec.planHash"),
        "by": {"username": who.get("username") or "", **({"groups": groups} if groups else {})},
        "at": timestamp(SystemClock().now()),
        **({"message": reason} if reason else {}),
    }
    metadata = found["metadata"]
    for tries_left in reversed(range(_TRIES)):
        change = {
            "metadata": {"resourceVersion": found["metadata"]["resourceVersion"]},
            "spec": {"decisions": [*parts(found, "spec.decisions"), said]},
        }
        try:
            await cluster.patch(kinds.APPROVAL_REQUESTS, metadata["name"], metadata["namespace"], change)
        except Conflict:
            if not tries_left:
                raise
            found = await fetch(cluster, kinds.APPROVAL_REQUESTS, metadata["name"], metadata["namespace"])
        else:
            return
