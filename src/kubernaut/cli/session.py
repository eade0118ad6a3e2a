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
from kubernaut.cli.lookup import OUR_KINDS, missing, missing_kind, missing_namespace
from kubernaut.cli.options import Where
from kubernaut.cli.terminal import Terminal
from kubernaut.cluster import (
    Cluster,
    Forbidden,
    Gone,
    Impersonation,
    Json,
    NotFound,
    ResourceKind,
    ServerError,
    Unreachable,
    crd_annotation,
)
from kubernaut.concurrency import Clock, SystemClock

T = TypeVar("T")

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
    named = Impersonation(where.as_user, where.as_groups) if where.as_user else None
    async with Cluster.connect(
        where.kubeconfig, where.context, environment=terminal.environment, user=user, impersonation=named
    ) as cluster:
        yield cluster


async def fetch(cluster: Cluster, kind: ResourceKind, name: str, namespace: str) -> Json:
    """One object. Raises CommandFailed where it, or its kind, is not there."""
    try:
        return await cluster.get(kind, name, namespace if kind.namespaced else None)
    except NotFound as error:
        raise await missing(cluster, kind, name, namespace) from error


async def create(
    cluster: Cluster, kind: ResourceKind, body: Json, namespace: str, *, dry_run: bool = False
) -> Json:
    """One object. Raises CommandFailed where its namespace is not there; AlreadyExists and the like."""
    try:
        return await cluster.create(kind, body, namespace, dry_run=dry_run)
    except NotFound as error:
        raise await missing_kind(cluster, kind) or await missing_namespace(cluster, namespace) or error from error


async def fetch_all(cluster: Cluster, kind: ResourceKind, namespace: str | None, selector: str = "") -> list[Json]:
    """All objects of a kind. Raises CommandFailed where the kind, or the namespace, is not there."""
    try:
        found = await cluster.list(kind, namespace if kind.namespaced else None, label_selector=selector)
    except NotFound as error:
        raise await missing_kind(cluster, kind) or error from error
    if not found.items and namespace and kind.namespaced:
        nowhere = await missing_namespace(cluster, namespace)
        if nowhere is not None:
            raise nowhere
    return found.items


async def require_installation(cluster: Cluster) -> None:
    """Raises CommandFailed when kubernaut's kinds are missing from the cluster or older than this program."""
    for kind in OUR_KINDS:
        try:
            found = await crd_annotation(cluster, kind, names.ANNOTATION_SCHEMA_VERSION)
        except Forbidden:  # most users may not read definitions; the server will judge the object itself
            return
        except NotFound as error:
            uninstalled = await missing_kind(cluster, kind)
            if uninstalled is not None:
                raise uninstalled from error
            return
        if found is None or not found.isdecimal() or int(found) < names.SCHEMA_VERSION:
            raise CommandFailed(
                f"the cluster's definition of {kind.kind} has schema {found or 'unknown'}, this program needs "
                f"{names.SCHEMA_VERSION}",
                mend="Bring it up to date with: kubernaut install --apply",
                code=Exit.UNREACHABLE,
            )


async def versions_of(
    cluster: Cluster,
    kind: ResourceKind,
    name: str,
    namespace: str,
    clock: Clock | None = None,
    *,
    was_there: bool = False,
) -> AsyncGenerator[Json | None, None]:
    """An object as it is, then each time it changes; None once it is gone, which is the end.

    Losing the server for up to a minute is bridged. Raises CommandFailed where it never was: not if `was_there`.
    """
    clock = clock or SystemClock()
    lost_since: float | None = None
    while True:
        try:
            try:
                found = await cluster.get(kind, name, namespace if kind.namespaced else None)
            except NotFound as error:
                if not was_there:
                    raise await missing(cluster, kind, name, namespace) from error
                yield None
                return
            lost_since, was_there = None, True
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


async def changes_of(
    cluster: Cluster, kind: ResourceKind, namespace: str | None, selector: str = "", clock: Clock | None = None
) -> AsyncGenerator[tuple[tuple[str, str], Json | None], None]:
    """Every object of a kind with its (namespace, name), then each that changes; None for one that is gone.

    Never ends by itself. Losing the server for up to a minute is bridged.
    """
    clock = clock or SystemClock()
    lost_since: float | None = None
    known: set[tuple[str, str]] = set()
    version = ""
    while True:
        try:
            if not version:
                listed = await cluster.list(kind, namespace, label_selector=selector)
                found = {_key(item): item for item in listed.items}
                for key in known - found.keys():
                    yield key, None
                for key, item in found.items():
                    yield key, item
                known, version = set(found), listed.resource_version
            lost_since = None
            watching = cluster.watch(kind, namespace, label_selector=selector, resource_version=version)
            async with aclosing(watching) as events:
                async for event in events:
                    version = str(event.object["metadata"]["resourceVersion"])
                    key = _key(event.object)
                    if event.type == "DELETED":
                        known.discard(key)
                        yield key, None
                    elif event.type != "BOOKMARK":
                        known.add(key)
                        yield key, event.object
        except Gone:
            version = ""
        except NotFound as error:
            raise await missing_kind(cluster, kind) or error from error
        except (Unreachable, ServerError):
            lost_since = lost_since if lost_since is not None else clock.monotonic()
            if clock.monotonic() - lost_since > _PATIENCE_SECONDS:
                raise
            await clock.sleep(1.0)


def _key(found: Json) -> tuple[str, str]:
    return str(found["metadata"].get("namespace", "")), str(found["metadata"].get("name", ""))
