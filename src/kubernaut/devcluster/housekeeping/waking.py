"""After a start from what was kept: the processes of yesterday's pods are gone.

As a kubelet after a reboot: pods that may not be started again have failed, the others are started again.
"""

from __future__ import annotations

from kubernaut.devcluster.metadata import timestamp
from kubernaut.devcluster.objects import Object, list_at, map_at, name_of, namespace_of
from kubernaut.devcluster.resources import PODS
from kubernaut.devcluster.store import Store

_SAID = "The container could not be located when the pod was terminated"


def wake(store: Store) -> None:
    """Call it once, before a node runs."""
    for pod in list(store.list(PODS).items):
        spec, status = map_at(pod, "spec"), map_at(pod, "status")
        if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
            continue
        if spec.get("restartPolicy") == "Never":
            store.edit_status(PODS, name_of(pod), namespace_of(pod), lambda found: _fail(found, store))


def _fail(pod: Object, store: Store) -> None:
    status = pod["status"]
    status["phase"] = "Failed"
    now = timestamp(store.now())
    for part in ("initContainerStatuses", "containerStatuses"):
        for container in list_at(status, part):
            if "terminated" not in map_at(container, "state"):
                gone = {"exitCode": 137, "reason": "ContainerStatusUnknown", "message": _SAID, "finishedAt": now}
                container |= {"state": {"terminated": gone}, "ready": False, "started": False}
    for condition in list_at(status, "conditions"):
        if condition.get("type") in ("Ready", "ContainersReady") and condition.get("status") == "True":
            condition |= {"status": "False", "reason": "PodFailed", "lastTransitionTime": now}
