"""Installing manifests by server-side apply. Not for children of executions: those are created."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from kubernaut.cluster.client import Cluster
from kubernaut.cluster.discovery import is_served
from kubernaut.cluster.errors import ClusterError, NotFound
from kubernaut.cluster.kinds import (
    CUSTOM_RESOURCE_DEFINITIONS,
    NAMESPACES,
    ResourceKind,
    kind_of,
)
from kubernaut.cluster.requests import Json
from kubernaut.concurrency import Clock, SystemClock

_SERVED_SECONDS = 30.0
_LOOK_AGAIN_SECONDS = 0.1


class Applied(NamedTuple):
    """What became of one manifest."""

    kind: ResourceKind
    namespace: str
    name: str
    change: Literal["created", "configured", "unchanged"]


async def apply_manifests(
    cluster: Cluster,
    manifests: Iterable[Json],
    *,
    field_manager: str = "kubernaut-install",
    force: bool = True,
    dry_run: bool = False,
    clock: Clock | None = None,
) -> list[Applied]:
    """Apply namespaces, then definitions (waiting until they are served), then all the rest.

    Raises KeyError for a kind not in `kinds`, ClusterError for the first manifest refused. On a dry
    run, objects whose namespace or definition does not exist yet cannot be judged by the server:
    they count as created.
    """
    known = [(kind_of(manifest), manifest) for manifest in manifests]
    known.sort(key=lambda pair: _rank(pair[0]))
    done: list[Applied] = []
    definitions: list[Json] = []
    waited = False
    for kind, manifest in known:
        if _rank(kind) == 2 and not waited and not dry_run:
            await _wait_served(cluster, definitions, clock or SystemClock())
            waited = True
        if kind is CUSTOM_RESOURCE_DEFINITIONS:
            definitions.append(manifest)
        done.append(await _apply(cluster, kind, manifest, field_manager, force, dry_run))
    if not waited and not dry_run:
        await _wait_served(cluster, definitions, clock or SystemClock())
    return done


def _rank(kind: ResourceKind) -> int:
    order = {NAMESPACES: 0, CUSTOM_RESOURCE_DEFINITIONS: 1}
    return order.get(kind, 2)


async def _apply(
    cluster: Cluster,
    kind: ResourceKind,
    manifest: Json,
    field_manager: str,
    force: bool,
    dry_run: bool,
) -> Applied:
    name = str(manifest["metadata"]["name"])
    namespace = str(manifest["metadata"].get("namespace") or "") if kind.namespaced else ""
    try:
        before = await cluster.get(kind, name, namespace)
    except NotFound:
        before = None
    try:
        after = await cluster.patch(
            kind,
            name,
            namespace,
            manifest,
            "apply",
            field_manager=field_manager,
            force=force,
            dry_run=dry_run,
        )
    except NotFound:
        if dry_run:
            return Applied(kind, namespace, name, "created")
        raise
    if before is None:
        return Applied(kind, namespace, name, "created")
    return Applied(kind, namespace, name, "unchanged" if _alike(before, after) else "configured")


def _alike(before: Json, after: Json) -> bool:
    def essence(found: Json) -> Json:
        volatile = {"resourceVersion", "managedFields", "generation"}
        meta = {key: value for key, value in found["metadata"].items() if key not in volatile}
        return {**found, "metadata": meta, "status": None}

    return essence(before) == essence(after)


async def _wait_served(cluster: Cluster, definitions: list[Json], clock: Clock) -> None:
    deadline = clock.monotonic() + _SERVED_SECONDS
    for definition in definitions:
        spec = definition["spec"]
        for version in spec["versions"]:
            kind = ResourceKind(spec["group"], version["name"], spec["names"]["kind"], spec["names"]["plural"])
            while version.get("served") and not await is_served(cluster, kind):
                if clock.monotonic() > deadline:
                    raise ClusterError(f"{kind.resource} was installed, but is still not served")
                await clock.sleep(_LOOK_AGAIN_SECONDS)
