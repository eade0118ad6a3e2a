"""The cells of a pod: why its status reads as it does."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from kubernaut.devcluster.objects import Object, list_at, map_at

from .durations import age_of


def pod_cells(obj: Object, now: datetime) -> list[Any]:
    spec, status = map_at(obj, "spec"), map_at(obj, "status")
    statuses = list_at(status, "containerStatuses")
    ready = sum(1 for s in statuses if s.get("ready") and map_at(s, "state", "running"))
    restarts, last = _restarts(statuses, list_at(status, "initContainerStatuses"))
    shown = f"{restarts} ({age_of(last, now)} ago)" if restarts and last else str(restarts)
    gates = list_at(spec, "readinessGates")
    return [
        obj["metadata"]["name"],
        f"{ready}/{len(list_at(spec, 'containers'))}",
        pod_reason(obj),
        shown,
        age_of(obj["metadata"].get("creationTimestamp"), now),
        status.get("podIP") or "<none>",
        spec.get("nodeName") or "<none>",
        status.get("nominatedNodeName") or "<none>",
        f"0/{len(gates)}" if gates else "<none>",
    ]


def _restarts(statuses: list[Any], init: list[Any]) -> tuple[int, str]:
    count, last = 0, ""
    for held in statuses or init:
        count += int(held.get("restartCount") or 0)
        last = max(last, str(map_at(held, "lastState", "terminated").get("finishedAt") or ""))
    return count, last


def pod_reason(obj: Object) -> str:
    """The STATUS column."""
    status = map_at(obj, "status")
    reason = str(status.get("reason") or status.get("phase") or "Unknown")
    for condition in list_at(status, "conditions"):
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            reason = "SchedulingGated"
    initializing = _init_reason(obj)
    reason = _container_reason(status, reason) if initializing is None else initializing
    if obj["metadata"].get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            return "Unknown"
        if status.get("phase") not in ("Succeeded", "Failed"):
            return "Terminating"
    return reason


def _init_reason(obj: Object) -> str | None:
    total = len(list_at(obj, "spec", "initContainers"))
    for index, held in enumerate(list_at(obj, "status", "initContainerStatuses")):
        ended = map_at(held, "state", "terminated")
        if ended and ended.get("exitCode") == 0:
            continue
        if ended:
            return "Init:" + (ended.get("reason") or _exit_text(ended))
        waiting = map_at(held, "state", "waiting").get("reason")
        if waiting and waiting != "PodInitializing":
            return f"Init:{waiting}"
        return f"Init:{index}/{total}"
    return None


def _container_reason(status: Object, reason: str) -> str:
    running = False
    for held in reversed(list_at(status, "containerStatuses")):
        waiting = map_at(held, "state", "waiting").get("reason")
        ended = map_at(held, "state", "terminated")
        if waiting:
            reason = str(waiting)
        elif ended:
            reason = str(ended.get("reason") or _exit_text(ended))
        elif held.get("ready") and map_at(held, "state", "running"):
            running = True
    if reason == "Completed" and running:
        is_ready = any(
            c.get("type") == "Ready" and c.get("status") == "True" for c in list_at(status, "conditions")
        )
        return "Running" if is_ready else "NotReady"
    return reason


def _exit_text(ended: Object) -> str:
    if ended.get("signal"):
        return f"Signal:{ended['signal']}"
    return f"ExitCode:{ended.get('exitCode', 0)}"
