"""What to say when an object is not there: a slip of the pen, another kind, another namespace, no kubernaut."""

from difflib import get_close_matches

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import in_namespace
from kubernaut.cluster import Cluster, ClusterError, Forbidden, Json, NotFound, ResourceKind, is_served, kinds

OUR_KINDS = (
    kinds.WORKFLOW_EXECUTIONS,
    kinds.ACTION_EXECUTIONS,
    kinds.ACTION_DEFINITIONS,
    kinds.APPROVAL_REQUESTS,
)
_SHORT_NAMES = {
    "wfe": kinds.WORKFLOW_EXECUTIONS,
    "workflow": kinds.WORKFLOW_EXECUTIONS,
    "ae": kinds.ACTION_EXECUTIONS,
    "action": kinds.ACTION_EXECUTIONS,
    "ad": kinds.ACTION_DEFINITIONS,
    "definition": kinds.ACTION_DEFINITIONS,
    "apr": kinds.APPROVAL_REQUESTS,
    "approval": kinds.APPROVAL_REQUESTS,
}
_MOST_NAMES = 500


def kind_named(word: str) -> ResourceKind | None:
    """`wfe`, `workflowexecutions`, `WorkflowExecution`, ... -> the kind."""
    word = word.lower()
    for kind in OUR_KINDS:
        if word in (kind.kind.lower(), kind.plural, kind.resource):
            return kind
    return _SHORT_NAMES.get(word.removesuffix("s")) or _SHORT_NAMES.get(word)


def nearest_kind(word: str) -> str:
    """What somebody may have meant who wrote a kind that there is not; empty if nothing is near."""
    words = [name for kind in OUR_KINDS for name in (kind.kind.lower(), kind.plural)] + list(_SHORT_NAMES)
    close = get_close_matches(word.lower(), words, n=1)
    return close[0] if close else ""


def short_name(kind: ResourceKind) -> str:
    """`wfe` for WorkflowExecution."""
    return next(short for short, other in _SHORT_NAMES.items() if other is kind)


def parse_target(text: str, default: ResourceKind = kinds.WORKFLOW_EXECUTIONS) -> tuple[ResourceKind, str]:
    """`ae/NAME` -> (ActionExecution, NAME); a bare name is a WorkflowExecution's."""
    word, slash, name = text.rpartition("/")
    kind = kind_named(word) if slash else default
    # What could be no part of a path is no name either.
    if kind is None or name in ("", ".", "..") or "%" in name:
        raise CommandFailed(
            f"{text!r} names no execution", mend="Write NAME, wfe/NAME or ae/NAME.", code=Exit.USAGE
        )
    return kind, name


def parse_workflow(text: str, verb: str) -> str:
    """The name of a WorkflowExecution. Raises CommandFailed for the name of anything else."""
    kind, name = parse_target(text)
    if kind is not kinds.WORKFLOW_EXECUTIONS:
        raise CommandFailed(
            f"only a WorkflowExecution can be {verb}; {text} is an {kind.kind}",
            mend=f"See what it belongs to: kubernaut describe {text}",
            code=Exit.USAGE,
        )
    return name


async def missing(cluster: Cluster, kind: ResourceKind, name: str, namespace: str) -> CommandFailed:
    """Why there is no such object, and what was probably meant. Asks the cluster; never raises ClusterError."""
    uninstalled = await missing_kind(cluster, kind)
    if uninstalled is not None:
        return uninstalled
    if not kind.namespaced:
        names = [item["metadata"]["name"] for item in await _listed(cluster, kind, None)]
        return CommandFailed(f"there is no {kind.kind} {name!r}", mend=_near(names, name, kind, ""))
    nowhere = await missing_namespace(cluster, namespace)
    if nowhere is not None:
        return nowhere
    message = f"there is no {kind.kind} {name!r} in namespace {namespace}"
    for other in OUR_KINDS[:2]:
        if other is not kind and await _is_there(cluster, other, name, namespace):
            mend = f"There is an {other.kind}" if other.kind[0] in "AEIOU" else f"There is a {other.kind}"
            return CommandFailed(message, mend=f"{mend} of that name: write {short_name(other)}/{name}")
    elsewhere = [
        str(item["metadata"]["namespace"])
        for item in await _listed(cluster, kind, None)
        if item["metadata"]["name"] == name
    ]
    if elsewhere:
        return CommandFailed(message, mend=f"There is one in another namespace: add -n {elsewhere[0]}")
    names = [item["metadata"]["name"] for item in await _listed(cluster, kind, namespace)]
    return CommandFailed(message, mend=_near(names, name, kind, namespace))


async def missing_kind(cluster: Cluster, kind: ResourceKind) -> CommandFailed | None:
    """What to say where kubernaut is not installed; None where it is."""
    try:
        served = await is_served(cluster, kind)
    except ClusterError:
        return None
    if served:
        return None
    return CommandFailed(
        f"this cluster knows no {kind.kind}: kubernaut is not installed in it",
        mend="Install it with: kubernaut install --apply",
        code=Exit.UNREACHABLE,
    )


async def missing_namespace(cluster: Cluster, namespace: str) -> CommandFailed | None:
    """What to say about a namespace that is not there; None where it is, or nobody may tell."""
    try:
        await cluster.get(kinds.NAMESPACES, namespace)
    except NotFound:
        names = [item["metadata"]["name"] for item in await _listed(cluster, kinds.NAMESPACES, None)]
        close = get_close_matches(namespace, names, n=1)
        hint = f"Did you mean {close[0]}? " if close else ""
        return CommandFailed(
            f"there is no namespace {namespace!r}",
            mend=f"{hint}Look in all of them with: kubernaut get --all-namespaces",
        )
    except ClusterError:
        return None
    return None


async def _is_there(cluster: Cluster, kind: ResourceKind, name: str, namespace: str) -> bool:
    try:
        await cluster.get(kind, name, namespace)
    except ClusterError:
        return False
    return True


async def _listed(cluster: Cluster, kind: ResourceKind, namespace: str | None) -> list[Json]:
    try:
        return (await cluster.list(kind, namespace, limit=_MOST_NAMES)).items
    except (Forbidden, ClusterError):
        return []


def _near(names: list[str], name: str, kind: ResourceKind, namespace: str) -> str:
    close = get_close_matches(name, names, n=1)
    hint = f"Did you mean {close[0]}? " if close else ""
    return f"{hint}List them with: kubernaut get {short_name(kind)}{in_namespace(namespace)}"
