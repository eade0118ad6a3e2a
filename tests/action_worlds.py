"""An embedded cluster with a namespace to act on, and a way to run actions as a pod would."""

import io
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from kubernaut.api.action import ActionExecution, ActionSpec
from kubernaut.api.contract import ContractSpec, Permission
from kubernaut.api.crd import custom_resource_definitions
from kubernaut.api.meta import ObjectMeta, to_object
from kubernaut.cluster import Cluster, Connection, FixedLogin, Login, NotFound, kinds
from kubernaut.concurrency import Supervisor, SystemClock
from kubernaut.devcluster.cluster import DevCluster
from kubernaut.devcluster.node import Account, Node, NodeSettings
from kubernaut.devcluster.workloads import start_workloads
from kubernaut.sdk.declare import AnyAction
from kubernaut.sdk.entrypoint import run_process

Object = dict[str, Any]
TARGETS = "shop"
RUNS = "runs"
EXECUTION_UID = "5f0c1a52-6f0b-4f3e-9d2b-8d1f5f2f0001"
LEASE = f"fence-{EXECUTION_UID}"
OVERFLOW = f"results-{EXECUTION_UID}"

_RUNNER = [
    Permission(api_groups=("coordination.k8s.io",), resources=("leases",), verbs=("get", "update")),
    Permission(api_groups=("",), resources=("configmaps",), verbs=("create", "update")),
]


@dataclass
class Ran:
    """What a run left behind."""

    code: int
    out: str
    err: str
    message: Object = field(default_factory=dict[str, Any])

    @property
    def outputs(self) -> Object:
        """The last line of the output."""
        return msgspec.json.decode(self.out.splitlines()[-1], type=dict[str, Any])

    @property
    def rollback(self) -> Object:
        """The last rollback line of the output."""
        lines = [line for line in self.out.splitlines() if line.startswith("ROLLBACK_INFO: ")]
        return msgspec.json.decode(lines[-1].removeprefix("ROLLBACK_INFO: "), type=dict[str, Any])


@dataclass
class ActionWorld:
    dev: DevCluster
    admin: Cluster
    folder: Path
    runs: int = 0

    def connect(self, token: str, user: str = "") -> Cluster:
        login = FixedLogin(Login(f"Bearer {token}"))
        connection = Connection(
            self.dev.url, certificate_authority=self.dev.certificate_authority, credentials=login
        )
        return Cluster(connection, user=user)

    async def allow(self, user: str, permissions: Sequence[Permission], namespace: str) -> None:
        local = [permission for permission in permissions if not permission.cluster]
        await self._bind(user, local, f"{user}-{namespace}", namespace)
        if wide := [permission for permission in permissions if permission.cluster]:
            await self._bind(user, wide, f"{user}-cluster", "")

    async def _bind(self, user: str, permissions: Sequence[Permission], name: str, namespace: str) -> None:
        """In a namespace, or in all of them."""
        role_kind, binding_kind = kinds.ROLES, kinds.ROLE_BINDINGS
        if not namespace:
            role_kind, binding_kind = kinds.CLUSTER_ROLES, kinds.CLUSTER_ROLE_BINDINGS
        role = {
            "metadata": {"name": name},
            "rules": [
                {"apiGroups": p.api_groups, "resources": p.resources, "verbs": p.verbs} for p in permissions
            ],
        }
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": role_kind.group, "kind": role_kind.kind, "name": name},
            "subjects": [{"apiGroup": role_kind.group, "kind": "User", "name": user}],
        }
        await self.admin.create(role_kind, role, namespace or None)
        await self.admin.create(binding_kind, binding, namespace or None)

    async def allow_runner(self, user: str) -> None:
        """What every runner may do in the namespace of the executions."""
        await self.allow(user, _RUNNER, RUNS)

    async def execute(self) -> str:
        """The ActionExecution that owns results; its UID."""
        for definition in custom_resource_definitions():
            if definition["spec"]["names"]["kind"] == "ActionExecution":
                await self.admin.create(kinds.CUSTOM_RESOURCE_DEFINITIONS, definition)
        contract = ContractSpec()
        spec = ActionSpec(action_type="test/act", image="r/a@sha256:" + "0" * 64, contract=contract)
        body = to_object(ActionExecution(metadata=ObjectMeta(name="run"), spec=spec))
        while True:
            try:
                made = await self.admin.create(kinds.ACTION_EXECUTIONS, body, RUNS)
                return str(made["metadata"]["uid"])
            except NotFound:  # the definition is not served yet
                await SystemClock().sleep(0.01)

    async def arm(self, attempt: int = 1) -> None:
        """The fence, as the controller creates it."""
        body = {"metadata": {"name": LEASE}, "spec": {"leaseTransitions": attempt}}
        await self.admin.create(kinds.LEASES, body, RUNS)

    async def holder(self) -> str:
        lease = await self.admin.get(kinds.LEASES, LEASE, RUNS)
        return str(lease["spec"].get("holderIdentity") or "")

    async def deploy(self, name: str = "payment", replicas: int = 3, **spec: Any) -> Object:
        labels = {"app": name}
        template = {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "app", "image": "app:1", "env": [{"name": "A", "value": "1"}]}]},
        }
        body = {
            "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template, **spec},
        }
        return await self.admin.create(kinds.DEPLOYMENTS, body, TARGETS)

    async def deployment(self, name: str = "payment") -> Object:
        return await self.admin.get(kinds.DEPLOYMENTS, name, TARGETS)

    async def settled(self, name: str = "payment") -> Object:
        """The Deployment when all its replicas are available."""
        while True:
            found = await self.deployment(name)
            wanted, status = found["spec"]["replicas"], found.get("status", {})
            if status.get("availableReplicas", 0) == wanted == status.get("replicas", 0):
                return found
            await SystemClock().sleep(0.01)

    async def pods(self) -> list[Object]:
        return (await self.admin.list(kinds.PODS, TARGETS)).items

    async def run(
        self,
        action: AnyAction,
        inputs: Mapping[str, Any] | None = None,
        *,
        permissions: Sequence[Permission] | None = None,
        fenced: bool = True,
        token: str = "",
        **variables: str,
    ) -> Ran:
        """Run as a pod of its own, as a user with exactly the contract's permissions; or as that of `token`."""
        self.runs += 1
        user = f"runner-{self.runs}"
        granted = action.contract.spec.rbac.permissions if permissions is None else permissions
        if not token:
            await self.allow(user, granted, TARGETS)
            await self.allow_runner(user)
            token = self.dev.token_of(user)
        log = self.folder / f"termination-{self.runs}"
        log.touch()
        environment = {
            "KUBERNAUT_TERMINATION_LOG": str(log),
            "KUBERNAUT_NAMESPACE": RUNS,
            "KUBERNAUT_EXECUTION": "run",
            "KUBERNAUT_EXECUTION_UID": EXECUTION_UID,
            "KUBERNAUT_OVERFLOW": OVERFLOW,
            "KUBERNAUT_POD_UID": f"pod-{self.runs}",
            "KUBERNAUT_DEADLINE_SECONDS": "20",
            "KUBERNAUT_ATTEMPT": "1",
            **({"KUBERNAUT_LEASE": LEASE} if fenced else {}),
            **({"ACTION_INPUTS": msgspec.json.encode(inputs).decode()} if inputs is not None else {}),
            **variables,
        }
        out, err = io.StringIO(), io.StringIO()
        code = await run_process(
            action, environment, io.StringIO(), out, err, connect=lambda: self.connect(token, user)
        )
        text = log.read_bytes()
        assert len(text) <= 4096
        message = msgspec.json.decode(text, type=dict[str, Any]) if text else {}
        return Ran(code, out.getvalue(), err.getvalue(), message)

    def writes(self) -> list[tuple[str, str]]:
        """(verb, resource) of what runners really changed, fences and results apart."""
        calls = [c for c in self.dev.requests.calls if c.user.startswith("runner-") and c.is_write]
        return [(c.verb, c.kind) for c in calls if c.code < 300 and "leases" not in c.kind]


@asynccontextmanager
async def action_world(
    folder: Path, *, workloads: bool = True, nodes: Sequence[str] = ("",)
) -> AsyncGenerator[ActionWorld]:
    """`workloads` runs Deployments and simulated pods; without them objects stand as they are written.

    `nodes` are their names; empty takes the usual one.
    """
    async with DevCluster() as dev:
        admin_login = FixedLogin(Login(f"Bearer {dev.admin_token}"))
        connection = Connection(dev.url, certificate_authority=dev.certificate_authority, credentials=admin_login)
        async with Cluster(connection, user="admin") as admin:
            for namespace in (TARGETS, RUNS):
                await admin.create(kinds.NAMESPACES, {"metadata": {"name": namespace}})
            if not workloads:
                yield ActionWorld(dev, admin, folder)
                return
            async with Supervisor() as supervisor:
                start_workloads(dev.store, supervisor, dev.clock, folder / "volumes")
                account = Account(sign=lambda pod, name, audience, seconds: "none", ca=b"")
                running: list[Node] = []
                for name in nodes:
                    settings = NodeSettings(
                        folder=folder / f"node-{name}",
                        cache=folder / "cache",
                        schedules=not running,
                        **({"name": name} if name else {}),
                    )
                    node = Node(dev.store, dev.clock, settings, account, ("127.0.0.1", dev.port))
                    await node.start(supervisor)
                    running.append(node)
                try:
                    yield ActionWorld(dev, admin, folder)
                finally:
                    for node in running:
                        await node.stop()
                    supervisor.stop()
                    await dev.clock.sleep(0)
