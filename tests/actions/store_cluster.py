"""An API server without HTTP, for laws that take many runs: the store, behind the methods of a `Cluster`."""

import io
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from action_worlds import Ran
from kubernaut.cluster import Cluster, ClusterError, ResourceKind
from kubernaut.cluster.client import ObjectList
from kubernaut.cluster.errors import error_from_answer
from kubernaut.concurrency import SystemClock
from kubernaut.devcluster.errors import ApiError
from kubernaut.devcluster.kinds.catalogue import builtin_catalogue
from kubernaut.devcluster.objects import copied
from kubernaut.devcluster.store import Store, Write
from kubernaut.sdk.declare import AnyAction
from kubernaut.sdk.entrypoint import run_process

Object = dict[str, Any]


class StoreCluster:
    """Whatever rolls out is rolled out at once: `settles` writes that status."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def __aenter__(self) -> "StoreCluster":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def get(self, kind: ResourceKind, name: str, namespace: str | None = None) -> Object:
        try:
            return self.store.get(kind.resource, name, namespace)
        except ApiError as error:
            raise _error(error) from error

    async def list(
        self,
        kind: ResourceKind,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
    ) -> ObjectList:
        found = self.store.list(kind.resource, namespace, labels=label_selector, fields=field_selector)
        return ObjectList([copied(item) for item in found.items], found.resource_version)

    async def patch(
        self,
        kind: ResourceKind,
        name: str,
        namespace: str | None,
        body: Any,
        patch_type: Any = "merge",
        *,
        dry_run: bool = False,
        field_manager: str = "",
        force: bool = False,
    ) -> Object:
        write = Write(manager=field_manager, dry_run=dry_run)
        try:
            made = self.store.patch(
                kind.resource, name, namespace, copied(body), patch_type, force=force, write=write
            )
        except ApiError as error:
            raise _error(error) from error
        made = copied(made)
        if not dry_run:
            settle(self.store, kind.resource, name, namespace)
        return made


def settle(store: Store, resource: str, name: str, namespace: str | None) -> None:
    """As if its controller had done all at once."""
    if resource not in ("deployments.apps", "statefulsets.apps", "daemonsets.apps"):
        return

    def done(obj: Object) -> None:
        wanted = obj["spec"].get("replicas", 1)
        counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        obj["status"] |= {"observedGeneration": obj["metadata"]["generation"], **dict.fromkeys(counts, wanted)}

    store.edit_status(resource, name, namespace, done)


async def run(store: Store, action: AnyAction, inputs: Mapping[str, Any]) -> Ran:
    """Run the action to its end."""
    out, err = io.StringIO(), io.StringIO()
    environment = {"ACTION_INPUTS": msgspec.json.encode(inputs).decode(), "KUBERNAUT_DEADLINE_SECONDS": "3"}
    connect = lambda: cast(Cluster, StoreCluster(store))  # noqa: E731
    code = await run_process(action, environment, io.StringIO(), out, err, connect=connect)
    return Ran(code, out.getvalue(), err.getvalue())


def new_store() -> Store:
    return Store(builtin_catalogue(), SystemClock().now)


def _error(error: ApiError) -> ClusterError:
    return error_from_answer(error.code, msgspec.json.encode(error.to_status()), asked="asked")
