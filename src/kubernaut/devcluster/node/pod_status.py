"""A pod's status, put together from the states of its containers. PURE.

Source of the rules: k8s.io/kubernetes pkg/kubelet (getPhase, GenerateContainersReadyCondition).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

from kubernaut.devcluster.objects import Object, copied
from kubernaut.devcluster.quantities import parse_quantity
from kubernaut.devcluster.workloads import moments
from kubernaut.devcluster.workloads.pods import FINISHED
from kubernaut.devcluster.workloads.reading import part, parts

MESSAGE_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not started (again) yet, and why."""

    reason: str = "ContainerCreating"
    message: str = ""


@dataclass(frozen=True, slots=True)
class Started:
    """Under way."""

    at: datetime
    ready: bool = True
    started: bool = True
    """Whether its startup probe, if there is one, has succeeded."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Over. `code` as the kernel gives it; 128 + signal when it was killed."""

    code: int
    reason: str
    started_at: datetime | None
    finished_at: datetime | None
    message: str = ""


State = Waiting | Started | Ended


@dataclass(frozen=True, slots=True)
class ContainerView:
    """One container as its pod's status tells of it."""

    name: str
    image: str
    state: State = field(default_factory=Waiting)
    last: Ended | None = None
    restarts: int = 0
    image_id: str = ""
    container_id: str = ""
    is_init: bool = False
    is_sidecar: bool = False
    """An init container that goes on running beside the others."""

    @property
    def has_begun(self) -> bool:
        """Whether those that come after this init container may start."""
        if self.is_sidecar:
            return isinstance(self.state, Started) and self.state.started
        return isinstance(self.state, Ended) and self.state.code == 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why the node itself ended a pod, as with `DeadlineExceeded`."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class PodView:
    """All that the node knows of a pod."""

    pod: Object
    containers: Sequence[ContainerView]
    now: datetime
    host_ip: str
    pod_ip: str = ""
    verdict: Verdict | None = None
    leaving: bool = False
    """Every container has ended for good."""


def compose_status(view: PodView) -> Object:
    """The whole status; conditions keep their transition times where they hold on."""
    old: Object = part(view.pod, "status")
    phase = phase_of(view)
    if old.get("phase") in FINISHED:
        phase = old["phase"]  # others may have declared it over: that stands
    status: Object = {
        "phase": phase,
        "conditions": _conditions(view, phase, old),
        "hostIP": view.host_ip,
        "hostIPs": [{"ip": view.host_ip}],
        "startTime": old.get("startTime") or moments.to_text(view.now),
        "qosClass": old.get("qosClass") or quality_of(view.pod),
    }
    if view.pod["metadata"].get("generation"):
        status["observedGeneration"] = view.pod["metadata"]["generation"]
    if view.pod_ip:
        status |= {"podIP": view.pod_ip, "podIPs": [{"ip": view.pod_ip}]}
    if view.verdict is not None:
        status |= {"reason": view.verdict.reason, "message": view.verdict.message}
    mine = [_container_status(c) for c in view.containers if not c.is_init]
    first = [_container_status(c) for c in view.containers if c.is_init]
    if first:
        status["initContainerStatuses"] = first
    status["containerStatuses"] = mine
    return status


def phase_of(view: PodView) -> Literal["Pending", "Running", "Succeeded", "Failed"]:
    """Failed and Succeeded only when nothing runs any more and nothing will start again."""
    main = [c for c in view.containers if not c.is_init]
    if view.leaving:
        if view.verdict is not None:
            return "Failed"
        good = all(isinstance(c.state, Ended) and c.state.code == 0 for c in main)
        return "Succeeded" if good and main else "Failed"
    begun = [c for c in main if not isinstance(c.state, Waiting) or c.last is not None]
    return "Running" if len(begun) == len(main) else "Pending"


def quality_of(pod: Object) -> str:
    """Guaranteed, Burstable or BestEffort."""
    asked, guaranteed = False, True
    for container in parts(pod, "spec", "containers"):
        resources = part(container, "resources")
        limits: Mapping[str, str] = part(resources, "limits")
        requests: Mapping[str, str] = resources.get("requests") or limits
        asked = asked or any(parse_quantity(v) > Decimal(0) for v in {**limits, **requests}.values())
        for resource in ("cpu", "memory"):
            if resource not in limits or requests.get(resource, limits[resource]) != limits[resource]:
                guaranteed = False
    if not asked:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _conditions(view: PodView, phase: str, old: Object) -> list[Object]:
    lasting = [c for c in view.containers if not c.is_init or c.is_sidecar]
    unready = [c.name for c in lasting if not (isinstance(c.state, Started) and c.state.ready)]
    over = phase in {"Succeeded", "Failed"}
    if over:
        why = ("PodCompleted", "") if phase == "Succeeded" else ("PodFailed", "")
    else:
        names = " ".join(unready)
        why = ("ContainersNotReady", f"containers with unready status: [{names}]")
    ready: tuple[str, str, str] = ("False", why[0], why[1]) if unready or over else ("True", "", "")
    waiting = [c.name for c in view.containers if c.is_init and not c.has_begun and not (over and c.is_sidecar)]
    initialized: tuple[str, str, str] = ("True", "PodCompleted" if phase == "Succeeded" else "", "")
    if waiting:
        told = f"containers with incomplete status: [{' '.join(waiting)}]"
        initialized = ("False", "ContainersNotInitialized", told)
    started = any(not isinstance(c.state, Waiting) for c in view.containers) and not over
    wanted: dict[str, tuple[str, str, str]] = {
        "PodReadyToStartContainers": ("True" if started else "False", "", ""),
        "Initialized": initialized,
        "Ready": ready if ready[0] == "False" else _gated(view.pod),
        "ContainersReady": ready,
        "PodScheduled": ("True", "", ""),
    }
    before: dict[str, Object] = {c["type"]: c for c in parts(old, "conditions")}
    made = [_condition(type_, said, before.get(type_), view.now) for type_, said in wanted.items()]
    # Conditions of others (DisruptionTarget, readiness gates) are not ours to drop.
    return [*(copied(c) for type_, c in before.items() if type_ not in wanted), *made]


def _gated(pod: Object) -> tuple[str, str, str]:
    """Readiness, where only the pod's readiness gates may still stand in its way."""
    held = {c["type"]: c.get("status") for c in parts(pod, "status", "conditions")}
    told: list[str] = []
    for gate in parts(pod, "spec", "readinessGates"):
        name = gate["conditionType"]
        if name not in held:
            told.append(f'corresponding condition of pod readiness gate "{name}" does not exist.')
        elif held[name] != "True":
            told.append(f'the status of pod readiness gate "{name}" is not "True", but {held[name]}')
    return ("False", "ReadinessGatesNotReady", ", ".join(told)) if told else ("True", "", "")


def _condition(type_: str, said: tuple[str, str, str], old: Object | None, now: datetime) -> Object:
    status, reason, message = said
    made: Object = {"type": type_, "status": status, "lastProbeTime": None}
    since = moments.to_text(now)
    if old is not None and old.get("status") == status and old.get("lastTransitionTime"):
        since = old["lastTransitionTime"]
    made["lastTransitionTime"] = since
    if reason:
        made["reason"] = reason
    if message:
        made["message"] = message
    return made


def _container_status(view: ContainerView) -> Object:
    status: Object = {
        "name": view.name,
        "image": view.image,
        "imageID": view.image_id,
        "ready": isinstance(view.state, Started) and view.state.ready,
        "started": isinstance(view.state, Started) and view.state.started,
        "restartCount": view.restarts,
        "state": _state(view.state, view.container_id),
        "lastState": _state(view.last, "") if view.last is not None else {},
    }
    if view.is_init and not view.is_sidecar and isinstance(view.state, Ended):
        status["ready"] = view.state.code == 0
    if view.container_id:
        status["containerID"] = view.container_id
    return status


def _state(state: State, container_id: str) -> Object:
    match state:
        case Waiting(reason, message):
            told = {"reason": reason, **({"message": message} if message else {})}
            return {"waiting": told}
        case Started(at):
            return {"running": {"startedAt": moments.to_text(at)}}
        case Ended():
            ended: Object = {
                "exitCode": state.code,
                "reason": state.reason,
                "startedAt": moments.to_text(state.started_at) if state.started_at else None,
                "finishedAt": moments.to_text(state.finished_at) if state.finished_at else None,
            }
            if state.message:
                ended["message"] = state.message
            if container_id:
                ended["containerID"] = container_id
            return {"terminated": ended}
