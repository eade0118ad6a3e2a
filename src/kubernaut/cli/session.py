"""Speaking with a cluster for the length of one command.

Loaded by the commands that need a cluster, never by `app`.
"""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar

from kubernaut.api import names
from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import Where
from kubernaut.cli.terminal import Terminal
from kubernaut.cluster import (
    Cluster,
    ClusterError,
    Forbidden,
    Gone,
    Json,
    NotFound,
    ResourceKind,
    ServerError,
    Unreachable,
    crd_annotation,
    is_served,
    kinds,
)
from kubernaut.concurrency import Clock, SystemClock

T = TypeVar("T")

OUR_KINDS = (kinds.WORKFLOW_EXECUTIONS, kinds.ACTION_EXECUTIONS, kinds.ACTION_DEFINITIONS)
_SHORT_NAMES = {
    "wfe": kinds.WORKFLOW_EXECUTIONS,
    "workflow": kinds.WORKFLOW_EXECUTIONS,
    "ae": kinds.ACTION_EXECUTIONS,
    "action": kinds.ACTION_EXECUTIONS,
    "ad": kinds.ACTION_DEFINITIONS,
    "definition": kinds.ACTION_DEFINITIONS,
}
_PATIENCE_SECONDS = 60.0


def speak(work: Coroutine[Any, Any, T], *, for_long: bool = False) -> T:
    """Runs a command's asynchronous part to its end; uvloop pays only for those that live long."""
    if for_long:
        try:
            import uvloop
        except ImportError:  # not on this platform
            pass
        else:
            return uvloop.run(work)
    return asyncio.run(work)


@asynccontextmanager
async def connected(where: Where, terminal: Terminal, user: str = "kubernaut-cli") -> AsyncGenerator[Cluster]:
    """The cluster that the options and the environment name."""
    async with Cluster.connect(
        where.kubeconfig, where.context, environment=terminal.environment, user=user
    ) as cluster:
        yield cluster


def kind_named(word: str) -> ResourceKind | None:
    """`wfe`, `workflowexecutions`, `WorkflowExecution`, ... -> the kind."""
    word = word.lower()
    for kind in OUR_KINDS:
        if word in (kind.kind.lower(), kind.plural, kind.resource):
            return kind
    return _SHORT_NAMES.get(word.removesuffix("s")) or _SHORT_NAMES.get(word)


def short_name(kind: ResourceKind) -> str:
    """`wfe` for WorkflowExecution."""
    return next(short for short, other in _SHORT_NAMES.items() if other is kind)


def parse_target(text: str, default: ResourceKind = kinds.WORKFLOW_EXECUTIONS) -> tuple[ResourceKind, str]:
    """`ae/NAME` -> (ActionExecution, NAME); a bare name is a WorkflowExecution's."""
    word, slash, name = text.partition("/")
    if not slash:
        return default, text
    kind = kind_named(word)
    if kind is None or not name:
        raise CommandFailed(
            f"{text!r} names no execution", mend="Write NAME, wfe/NAME or ae/NAME.", code=Exit.USAGE
        )
    return kind, name


async def fetch(cluster: Cluster, kind: ResourceKind, name: str, namespace: str) -> Json:
    """One object. Raises CommandFailed where it, or its kind, is not there."""
    try:
        return await cluster.get(kind, name, namespace if kind.namespaced else None)
    except NotFound as error:
        await _explain_missing_kind(cluster, kind, error)
        place = f" in namespace {namespace}" if kind.namespaced else ""
        raise CommandFailed(
            f"there is no {kind.kind} {name!r}{place}",
            mend=f"List them with: kubernaut get {short_name(kind)} --all-namespaces"
            if kind.namespaced
            else f"List them with: kubernaut get {short_name(kind)}",
        ) from error


async def fetch_all(cluster: Cluster, kind: ResourceKind, namespace: str | None, selector: str = "") -> list[Json]:
    """All objects of a kind. Raises CommandFailed where the kind is not there."""
    try:
        found = await cluster.list(kind, namespace if kind.namespaced else None, label_selector=selector)
    except NotFound as error:
        await _explain_missing_kind(cluster, kind, error)
        raise
    return found.items


async def _explain_missing_kind(cluster: Cluster, kind: ResourceKind, error: ClusterError) -> None:
    if not await is_served(cluster, kind):
        raise CommandFailed(
            f"this cluster knows no {kind.kind}: kubernaut is not installed in it",
            mend="Install it with: kubernaut install --apply",
            code=Exit.UNREACHABLE,
        ) from error


async def require_installation(cluster: Cluster) -> None:
    """Raises CommandFailed when kubernaut's kinds are missing from the cluster or older than this program."""
    for kind in OUR_KINDS:
        try:
            found = await crd_annotation(cluster, kind, names.ANNOTATION_SCHEMA_VERSION)
        except Forbidden:  # most users may not read definitions; the server will judge the object itself
            return
        except NotFound as error:
            await _explain_missing_kind(cluster, kind, error)
            return
        if found is None or not found.isdecimal() or int(found) < names.SCHEMA_VERSION:
            raise CommandFailed(
                f"the cluster's definition of {kind.kind} has schema {found or 'unknown'}, this program needs "
                f"{names.SCHEMA_VERSION}",
                mend="Bring it up to date with: kubernaut install --apply",
                code=Exit.UNREACHABLE,
            )


async def versions_of(
    cluster: Cluster, kind: ResourceKind, name: str, namespace: str, clock: Clock | None = None
) -> AsyncGenerator[Json | None, None]:
    """An object as it is, then each time it changes; None once it is gone, which is the end.

    Losing the server for up to a minute is bridged.
    """
    clock = clock or SystemClock()
    lost_since: float | None = None
    while True:
        try:
            found = await fetch(cluster, kind, name, namespace)
            lost_since = None
            yield found
            watching = cluster.watch(
                kind,
                namespace if kind.namespaced else None,
                field_selector=f"metadata.name={name}",
                resource_version=found["metadata"]["resourceVersion"],
            )
            async with aclosing(watching) as events:
                async for event in events:
                    if event.type == "DELETED":
                        yield None
                        return
                    if event.type != "BOOKMARK":
                        yield event.object
        except Gone:
            continue
        except (Unreachable, ServerError):
            lost_since = lost_since if lost_since is not None else clock.monotonic()
            if clock.monotonic() - lost_since > _PATIENCE_SECONDS:
                raise
            await clock.sleep(1.0)
