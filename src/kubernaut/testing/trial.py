"""One action on trial: its own cluster, exactly the permissions of its contract, the real runner and its fence."""

import io
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from kubernaut.api import names
from kubernaut.api.contract import Permission
from kubernaut.api.meta import to_wire
from kubernaut.cluster import Cluster, Connection, FixedLogin, Json, Login, ResourceKind, apply_manifests, kinds
from kubernaut.devcluster import DevCluster
from kubernaut.devcluster.node.machinery import Machinery
from kubernaut.sdk.declare import AnyAction
from kubernaut.sdk.entrypoint import run_process

RUNS = "kubernaut-workflows"
"""The namespace of the executions, as everywhere."""
_RUNNER = (
    Permission(api_groups=("coordination.k8s.io",), resources=("leases",), verbs=("get", "update")),
    Permission(api_groups=("",), resources=("configmaps",), verbs=("create", "update")),
)


@dataclass(frozen=True)
class Report:
    """What a run came to."""

    exit_code: int
    """0 succeeded; 64 to 75 as docs/runner-contract.md lists them."""
    executed: Literal["yes", "no", "unknown"]
    """Whether anything was, or may have been, changed."""
    reason: str
    message: str
    outputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    rollback: Mapping[str, Any] | None = None
    changes: Sequence[Mapping[str, Any]] = ()
    """Each object that was changed: kind, namespace, name, action, before, after."""
    log: str = ""
    """What it told people (standard error)."""

    @property
    def succeeded(self) -> bool:
        """Whether it did what it was asked for."""
        return self.exit_code == 0


class Trial:
    """A cluster with one action on trial. Made by `trial_of` only."""

    def __init__(self, action: AnyAction, dev: DevCluster, cluster: Cluster, folder: Path) -> None:
        self.action = action
        self.cluster = cluster
        """As the cluster's administrator: to arrange, and to look at what became of it. Raises ClusterError."""
        self._dev = dev
        self._folder = folder
        self._runs = 0

    async def add(self, *manifests: Mapping[str, Any]) -> None:
        """Put objects into the cluster, and the namespaces that they name.

        Raises KeyError for a kind that is not Kubernetes' own, ClusterError for an object that is refused.
        """
        wanted = [dict(manifest) for manifest in manifests]
        spaces = {str(one["metadata"]["namespace"]): None for one in wanted if one["metadata"].get("namespace")}
        await apply_manifests(self.cluster, [*map(_namespace, spaces), *wanted], field_manager="trial")

    async def get(self, kind: ResourceKind, name: str, namespace: str = "") -> Json:
        """An object as it is now. Raises NotFound."""
        return await self.cluster.get(kind, name, namespace or None)

    async def run(self, inputs: Mapping[str, Any], *, secrets: Mapping[str, str] | None = None) -> Report:
        """Run the action to its end: inputs checked, dry run, fence, change, report. Its failure is a report, too.

        secrets: values of secret inputs, by name.

        Raises NotFound for a Secret or ConfigMap of its dependencies that is not in `kubernaut-workflows`.
        """
        self._runs += 1
        user = f"trial-{self._runs}"
        await self._allow(user)
        given = {} if secrets is None else {"KUBERNAUT_SECRETS_DIR": self._files(f"{user}-secrets", secrets)}
        dependencies = await self._dependencies(user)
        log = self._folder / f"{user}-termination-log"
        log.touch()
        lease = {"metadata": {"name": f"fence-{user}"}, "spec": {"leaseTransitions": 1}}
        await self.cluster.create(kinds.LEASES, lease, RUNS)
        environment = {
            "ACTION_INPUTS": msgspec.json.encode(inputs).decode(),
            "KUBERNAUT_TERMINATION_LOG": str(log),
            "KUBERNAUT_NAMESPACE": RUNS,
            "KUBERNAUT_EXECUTION": user,
            "KUBERNAUT_EXECUTION_UID": f"{user}-uid",
            "KUBERNAUT_POD_UID": f"{user}-pod",
            "KUBERNAUT_LEASE": f"fence-{user}",
            **given,
            **dependencies,
        }
        out, err = io.StringIO(), io.StringIO()
        code = await run_process(
            self.action, environment, io.StringIO(), out, err, connect=lambda: self._connect(user)
        )
        return _report(code, log.read_bytes(), err.getvalue())

    def unused_permissions(self) -> list[str]:
        """What the contract asks for and no run has used yet (`patch deployments.apps`).

        Too much, or untested. Raises nothing.
        """
        calls = self._dev.requests.calls
        used = {(call.verb, call.group, call.resource) for call in calls if call.user.startswith("trial-")}
        return [
            f"{verb} {resource}{f'.{group}' if group else ''}"
            for permission in self.action.contract.spec.rbac.permissions
            for group in permission.api_groups
            for resource in permission.resources
            for verb in permission.verbs
            if (verb, group, resource) not in used
        ]

    def _connect(self, user: str) -> Cluster:
        login = FixedLogin(Login(f"Bearer {self._dev.token_of(user)}"))
        authority = self._dev.certificate_authority
        connection = Connection(self._dev.url, certificate_authority=authority, credentials=login)
        return Cluster(connection, user=user)

    async def _allow(self, user: str) -> None:
        """What the installation binds: local permissions in each namespace, the others in the whole cluster."""
        asked = self.action.contract.spec.rbac.permissions
        spaces = [str(one["metadata"]["name"]) for one in (await self.cluster.list(kinds.NAMESPACES)).items]
        local = [permission for permission in asked if not permission.cluster]
        await self._bind(user, "local", local, spaces)
        await self._bind(user, "runner", _RUNNER, [RUNS])
        await self._bind(user, "wide", [permission for permission in asked if permission.cluster], [""])

    async def _bind(
        self, user: str, part: str, permissions: Sequence[Permission], namespaces: Sequence[str]
    ) -> None:
        if not permissions:
            return
        name, group = f"{user}-{part}", kinds.CLUSTER_ROLES.group
        await self.cluster.create(kinds.CLUSTER_ROLES, {"metadata": {"name": name}, "rules": _rules(permissions)})
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        }
        for namespace in namespaces:
            kind = kinds.ROLE_BINDINGS if namespace else kinds.CLUSTER_ROLE_BINDINGS
            await self.cluster.create(kind, binding, namespace or None)

    async def _dependencies(self, user: str) -> dict[str, str]:
        """Those that are there, mounted as they would be."""
        asked = self.action.contract.spec.dependencies
        found: dict[str, str] = {}
        for word, kind, wanted in (
            ("secret", kinds.SECRETS, asked.secrets),
            ("configmap", kinds.CONFIG_MAPS, asked.config_maps),
        ):
            for name in wanted:
                values = keys_of(await self.cluster.get(kind, name, RUNS))
                found[names.dependency_variable(word, name)] = self._files(f"{user}-{word}-{name}", values)
        return found

    def _files(self, name: str, contents: Mapping[str, str | bytes]) -> str:
        return str(write_files(self._folder / name, contents))


@asynccontextmanager
async def trial_of(action: AnyAction, *, workloads: bool = False) -> AsyncGenerator[Trial]:
    """A cluster of the action's own, gone afterwards.

    workloads: have Deployments, StatefulSets and Jobs run, with pods that only seem to; without it all objects
        stand as they were added.

    Raises OSError when no port of the loopback can be had.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trial-")))
        hooks = [Machinery(folder / "machinery")] if workloads else []
        dev = await stack.enter_async_context(DevCluster(hooks=hooks))
        login = FixedLogin(Login(f"Bearer {dev.admin_token}"))
        connection = Connection(dev.url, certificate_authority=dev.certificate_authority, credentials=login)
        cluster = await stack.enter_async_context(Cluster(connection, user="admin"))
        await cluster.create(kinds.NAMESPACES, _namespace(RUNS))
        yield Trial(action, dev, cluster, folder)


def keys_of(stored: Json) -> dict[str, bytes]:
    """The values of a Secret or ConfigMap by key."""
    import base64

    texts: Json = stored.get("data") or {}
    if stored.get("kind") == "Secret" or "type" in stored:
        return {key: base64.b64decode(value) for key, value in texts.items()}
    packed: Json = stored.get("binaryData") or {}
    plain = {key: str(value).encode() for key, value in texts.items()}
    return plain | {key: base64.b64decode(value) for key, value in packed.items()}


def write_files(folder: Path, contents: Mapping[str, str | bytes]) -> Path:
    """A folder that only its owner can look into, with a file for each key."""
    folder.mkdir(mode=0o700)
    for key, value in contents.items():
        (folder / key).write_bytes(value.encode() if isinstance(value, str) else value)
    return folder


def _namespace(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _rules(permissions: Sequence[Permission]) -> list[Json]:
    wanted = ("apiGroups", "resources", "resourceNames", "verbs")
    return [{key: value for key, value in to_wire(one).items() if key in wanted} for one in permissions]


class _Said(msgspec.Struct, frozen=True):
    executed: Literal["yes", "no", "unknown"] = "no"
    reason: str = ""
    message: str = ""
    outputs: dict[str, Any] = {}
    rollback: dict[str, Any] | None = None
    changes: tuple[dict[str, Any], ...] = ()


def _report(code: int, told: bytes, log: str) -> Report:
    """The termination message; a run that could not even begin has left none."""
    said = msgspec.json.decode(told, type=_Said) if told else _Said(message=log.strip())
    return Report(code, said.executed, said.reason, said.message, said.outputs, said.rollback, said.changes, log)
