"""The Node object and its Lease, kept as a kubelet keeps them."""

import os
import platform
from collections.abc import Mapping

from kubernaut.concurrency import Clock
from kubernaut.devcluster.errors import ApiError, NotFound
from kubernaut.devcluster.node.runtime import Runtime
from kubernaut.devcluster.objects import Object, copied, uid_of
from kubernaut.devcluster.resources import LEASES, NODES
from kubernaut.devcluster.store import Store, Write
from kubernaut.devcluster.workloads import moments
from kubernaut.devcluster.workloads.pods import condition, has_condition
from kubernaut.devcluster.workloads.reading import parts, peek

_WRITE = Write(manager="kubelet")
_LEASE_NAMESPACE = "kube-node-lease"
_LEASE_SECONDS = 40
_RENEW_SECONDS = 10.0
_STATUS_EVERY = 30
"""The status is written anew with every thirtieth renewal: each five minutes."""
ISOLATION = "ContainerIsolation"
"""A condition of our own: False where containers run without a sandbox."""
_PRESSURES = (
    ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
)


class Registration:
    """Says that the node is there, and goes on saying so."""

    def __init__(self, store: Store, clock: Clock, allocatable: Mapping[str, str], runtime: Runtime) -> None:
        self._store = store
        self._clock = clock
        self._allocatable = dict(allocatable)
        self._runtime = runtime

    def register(self, name: str, labels: Mapping[str, str]) -> None:
        """Create the Node, or take over the one there is (a cordon stays)."""
        if self._store.find(NODES, name) is None:
            self._store.create(NODES, self._node(name, labels), write=_WRITE)
        self._write_status(name)
        self._renew(name)

    async def keep(self, name: str) -> None:
        """Renew the Lease and the status, until cancelled."""
        renewals = 0
        while True:
            await self._clock.sleep(_RENEW_SECONDS)
            renewals += 1
            self._renew(name)
            if renewals % _STATUS_EVERY == 0 or not self._is_ready(name):
                self._write_status(name)

    def _is_ready(self, name: str) -> bool:
        """Not so after a silence, until the next status says otherwise."""
        node = peek(self._store, NODES, name)
        return node is None or has_condition(node, "Ready")

    def _node(self, name: str, labels: Mapping[str, str]) -> Object:
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        own = {
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": machine,
            "node-role.kubernetes.io/control-plane": "",
        }
        annotations = {"devcluster.kubernaut.ai/runtime": self._runtime.name}
        if self._runtime.notice:
            annotations["devcluster.kubernaut.ai/notice"] = self._runtime.notice
        return {
            "metadata": {"name": name, "labels": {**own, **labels}, "annotations": annotations},
            "spec": {},
        }

    def _write_status(self, name: str) -> None:
        now = moments.to_text(self._clock.now())

        def written(node: Object) -> None:
            before = {c["type"]: c for c in parts(node, "status", "conditions")}
            conditions = [copied(before.get(c["type"], {})) | c for c in self._conditions()]
            for made in conditions:
                old = before.get(made["type"])
                if old is not None and old.get("status") == made["status"]:
                    made["lastTransitionTime"] = old["lastTransitionTime"]
                made["lastHeartbeatTime"] = now
            node["status"] |= {
                "capacity": self._allocatable,
                "allocatable": self._allocatable,
                "conditions": conditions,
                "addresses": [
                    {"type": "InternalIP", "address": "127.0.0.1"},
                    {"type": "Hostname", "address": name},
                ],
                "nodeInfo": self._machine(),
            }

        try:
            self._store.edit_status(NODES, name, None, written)
        except NotFound:
            return  # somebody deleted the node: a kubelet does not bring it back either

    def _conditions(self) -> list[Object]:
        now = self._clock.now()
        made = [condition(type_, "False", reason, said, now) for type_, reason, said in _PRESSURES]
        ready = condition("Ready", "True", "KubeletReady", "kubelet is posting ready status", now)
        if self._runtime.notice:
            made.append(condition(ISOLATION, "False", "PlainProcesses", self._runtime.notice, now))
        return [*made, ready]

    def _machine(self) -> Object:
        uname = os.uname()
        return {
            "machineID": "",
            "systemUUID": "",
            "bootID": "",
            "kernelVersion": uname.release,
            "osImage": "kubernaut devcluster",
            "containerRuntimeVersion": f"{self._runtime.name}://1",
            "kubeletVersion": "v1.32.0-devcluster",
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": uname.machine,
        }

    def _renew(self, name: str) -> None:
        now = moments.to_precise_text(self._clock.now())
        spec = {"holderIdentity": name, "leaseDurationSeconds": _LEASE_SECONDS, "renewTime": now}
        try:
            if self._store.find(LEASES, name, _LEASE_NAMESPACE) is None:
                body: Object = {"metadata": self._lease_metadata(name), "spec": spec}
                self._store.create(LEASES, body, _LEASE_NAMESPACE, _WRITE)
            else:
                self._store.patch(LEASES, name, _LEASE_NAMESPACE, {"spec": spec}, write=_WRITE)
        except ApiError:
            return  # no such namespace here: the Ready condition speaks for the node

    def _lease_metadata(self, name: str) -> Object:
        """The Lease goes with its Node."""
        node = peek(self._store, NODES, name)
        if node is None:
            return {"name": name}
        owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid_of(node)}
        return {"name": name, "ownerReferences": [owner]}
