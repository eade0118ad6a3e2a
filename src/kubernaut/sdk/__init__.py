"""What authors of actions import, and what runs inside an action container.

Belongs here: declaring an action from one typed function, the cluster handle with its two passes, the runner
with its fence and its report. Does not belong here: the actions themselves, and anything slow to import.

    @action("example/label_pod", version="1.0.0", description="Labels a pod.", reversible=True,
            permissions=[Permission(api_groups=("",), resources=("pods",), verbs=("get", "patch"))])
    async def label_pod(inputs: LabelInputs, run: Run) -> LabelOutputs:
        pod = await run.cluster.get(kinds.PODS, inputs.pod, inputs.namespace)
        await run.cluster.patch(pod, {"metadata": {"labels": {inputs.key: inputs.value}}})
        return LabelOutputs(was=pod["metadata"].get("labels", {}).get(inputs.key, ""))
"""

from kubernaut.api.contract import Permission, Resources
from kubernaut.cluster import (
    AlreadyExists,
    ClusterError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    ResourceKind,
    TooManyRequests,
    Unreachable,
    kinds,
)
from kubernaut.sdk.contracts import DnsLabel, DnsName, Duration, Inputs, Outputs, Secret
from kubernaut.sdk.declare import Action, action
from kubernaut.sdk.errors import ActionError, Failed, Refused
from kubernaut.sdk.handle import ClusterHandle, managers_of
from kubernaut.sdk.run import Run
from kubernaut.sdk.undo import Object

__all__ = [
    "Action",
    "ActionError",
    "AlreadyExists",
    "ClusterError",
    "ClusterHandle",
    "Conflict",
    "DnsLabel",
    "DnsName",
    "Duration",
    "Failed",
    "Forbidden",
    "Inputs",
    "Invalid",
    "NotFound",
    "Object",
    "Outputs",
    "Permission",
    "Refused",
    "ResourceKind",
    "Resources",
    "Run",
    "Secret",
    "TooManyRequests",
    "Unreachable",
    "action",
    "kinds",
    "managers_of",
]
