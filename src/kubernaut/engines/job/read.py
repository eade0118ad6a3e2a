"""What became of an attempt: facts from its Job, its pods, their events and the end of its log. Pure.

The termination message is the result; without one, the last JSON line of the last 64 kB of log is. Reasons are
refined from the outside in: what the Job says, what the pod says, what the container says.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from kubernaut.api import names
from kubernaut.api.action import Waiting
from kubernaut.api.names import ACTION_CONTAINER
from kubernaut.engines.job.outcome import outcome_of
from kubernaut.engines.job.seen import ContainerStatus, Ended, EventSeen, JobSeen, LeaseSeen, PodSeen, Truth
from kubernaut.planning.facts import FenceFacts, JobFacts, JobState, Outcome
from kubernaut.telemetry import redact_text

Objects = Sequence[Mapping[str, Any]]

LOG_LIMIT = 64 * 1024
"""Bytes of log that are looked at for a result."""

_WAITING = {
    "ErrImagePull": "ImagePullFailed",
    "ImagePullBackOff": "ImagePullFailed",
    "RegistryUnavailable": "ImagePullFailed",
    "ErrImageNeverPull": "ImagePullFailed",
    "ImageInspectError": "ImagePullFailed",
    "InvalidImageName": "InvalidImageName",
    "CreateContainerConfigError": "ConfigurationError",
    "CreateContainerError": "CreateContainerError",
    "RunContainerError": "CreateContainerError",
}
_HOPELESS = frozenset({"InvalidImageName", "ErrImageNeverPull"})
_NODE_GONE = frozenset({"DeletionByTaintManager", "DeletionByPodGC"})
_EXIT_REASONS = {64: "InvalidInputs", 65: "DryRunRefused", 66: "PreconditionFailed", 75: "AlreadyRunning"}
# The kubelet's words (pkg/volume/secret, pkg/volume/configmap), with quotes or with the namespace before the name.
_NOT_THERE = re.compile(r"""(secret|configmap)s? "?([a-z0-9][-a-z0-9.]*)"? not found""")
_SIGNALS = {137: " (killed)", 143: " (terminated)"}
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def read_fence(lease: Mapping[str, Any]) -> FenceFacts:
    """The facts of a fence Lease."""
    seen = msgspec.convert(lease, LeaseSeen)
    return FenceFacts(
        uid=seen.metadata.uid,
        resource_version=seen.metadata.resource_version,
        holder=seen.spec.holder_identity or "",
        attempt=seen.spec.lease_transitions or 0,
    )


def read_job(
    job: Mapping[str, Any], pods: Objects, events: Objects, log: str = "", departed: Objects = ()
) -> JobFacts:
    """The facts of one attempt. `pods` are all of this Job's, `events` all Warnings about either.

    `departed` are last states of pods that are gone, as far as anybody remembers them.
    """
    seen = msgspec.convert(job, JobSeen)
    its_pods = msgspec.convert(list(pods), list[PodSeen])
    gone = msgspec.convert(list(departed), list[PodSeen])
    state, condition = _state(seen)
    pod = _telling([*its_pods, *gone])
    cause = _waiting(its_pods, msgspec.convert(list(events), list[EventSeen]))
    reason, message = _reason(condition, pod, cause) if state == "failed" else ("", "")
    return JobFacts(
        uid=seen.metadata.uid,
        state=state,
        is_being_deleted=seen.metadata.deletion_timestamp is not None,
        deletion_started_at=seen.metadata.deletion_timestamp,
        has_ttl=seen.spec.ttl_seconds_after_finished is not None,
        created_at=seen.metadata.creation_timestamp,
        released_at=_released_at(seen),
        started_at=seen.status.start_time,
        finished_at=seen.status.completion_time or condition.last_transition_time,
        reason=reason,
        message=_bounded(message),
        container_started=True if any(_has_started(p) for p in gone) else _started(its_pods),
        waiting=cause if state == "active" else None,
        is_hopeless=any(_why_waiting(p) in _HOPELESS for p in its_pods),
        outcome=_outcome(pod, log) if state in ("succeeded", "failed") else None,
    )


def needs_log(job: JobFacts, pods: Objects) -> str | None:
    """Name of the pod whose log has to be read for this outcome, if any: a result or the end of a failure."""
    if job.outcome is None or job.outcome.exit_code is None:
        return None
    if job.outcome.executed is not None and job.state == "succeeded":
        return None
    pod = _telling(msgspec.convert(list(pods), list[PodSeen]))
    return pod.metadata.name if pod else None


def _state(job: JobSeen) -> tuple[JobState, Truth]:
    conditions = {c.type: c for c in job.status.conditions if c.status == "True"}
    if done := conditions.get("Complete"):
        return "succeeded", done
    if failed := conditions.get("Failed"):
        return "failed", failed
    # FailureTarget only announces the failure: pods may still be running.
    nothing = Truth(type="")
    return ("suspended" if job.spec.suspend else "active"), nothing


def _released_at(job: JobSeen) -> datetime | None:
    try:
        told = msgspec.convert(job.metadata.annotations.get(names.ANNOTATION_RELEASED_AT), datetime)
    except msgspec.ValidationError:
        return None  # anybody may write annotations
    return told if told.tzinfo else None


def _telling(pods: Sequence[PodSeen]) -> PodSeen | None:
    """The pod that says how it ended, the youngest first."""
    ordered = sorted(pods, key=lambda p: p.metadata.creation_timestamp or _LONG_AGO, reverse=True)
    return next((p for p in ordered if _ended(p)), ordered[0] if ordered else None)


def _action(pod: PodSeen) -> ContainerStatus:
    nothing = ContainerStatus(name=ACTION_CONTAINER)
    return next((s for s in pod.status.container_statuses if s.name == ACTION_CONTAINER), nothing)


def _ended(pod: PodSeen) -> Ended | None:
    return _action(pod).state.terminated


def _why_waiting(pod: PodSeen) -> str:
    waiting = _action(pod).state.waiting
    return waiting.reason if waiting else ""


def _started(pods: Sequence[PodSeen]) -> bool | None:
    """True once seen; False only when every pod is still there and none of them started it."""
    if any(_has_started(pod) for pod in pods):
        return True
    return False if pods else None


def _has_started(pod: PodSeen) -> bool:
    status = _action(pod)
    ended = status.state.terminated
    return bool(
        status.state.running
        or (ended and ended.started_at)
        or status.last_state.terminated
        or status.last_state.running
    )


def _waiting(pods: Sequence[PodSeen], events: Sequence[EventSeen]) -> Waiting | None:
    for pod in pods:
        held = _action(pod).state.waiting
        if held and (known := _WAITING.get(held.reason)):
            return Waiting(reason=known, message=_bounded(held.message or held.reason))
        for condition in pod.status.conditions:
            if condition.type == "PodScheduled" and condition.status == "False":
                return Waiting(reason="Unschedulable", message=_bounded(condition.message or ""))
    return _waiting_by_event(pods, events)


def _waiting_by_event(pods: Sequence[PodSeen], events: Sequence[EventSeen]) -> Waiting | None:
    has_begun = any(_has_started(pod) for pod in pods)
    for event in sorted(events, key=lambda e: e.last_timestamp or e.event_time or _LONG_AGO, reverse=True):
        if event.reason == "FailedCreate" and not pods:
            return Waiting(reason=_refusal(event.message), message=_bounded(event.message))
        if event.reason == "FailedMount" and not has_begun and pods:
            return Waiting(reason="MountFailed", message=_bounded(_mount_message(event.message)))
    return None


def _mount_message(told: str) -> str:
    """What is missing, in words: those of the kubelet name a volume that nobody has heard of."""
    found = _NOT_THERE.search(told)
    if found is None:
        return told
    kind = {"secret": "Secret", "configmap": "ConfigMap"}[found[1]]
    return (
        f"It waits for the {kind} {found[2]}, which is not in its namespace; it starts when that is made. ({told})"
    )


def _refusal(message: str) -> str:
    """Why the API server did not let the Job controller create the pod."""
    if "exceeded quota" in message:
        return "QuotaExceeded"
    if "serviceaccount" in message.lower() and "not found" in message:
        return "ServiceAccountMissing"
    return "PodRefused"


def _reason(condition: Truth, pod: PodSeen | None, waiting: Waiting | None) -> tuple[str, str]:
    """Reason and message of a failed attempt."""
    said = condition.reason or "Failed", condition.message or ""
    if said[0] == "DeadlineExceeded":
        return "DeadlineExceeded", f"{waiting.reason}: {waiting.message}" if waiting else said[1]
    disruption = _disruption(pod) if pod else None
    if disruption is not None:
        return disruption
    if said[0] == "PodFailurePolicy" and "DisruptionTarget" in said[1]:
        # The Job controller's own words are all that is left of the pod.
        return "Evicted", said[1]
    if pod is None:
        return said
    ended = _ended(pod)
    if ended is None:
        return pod.status.reason or said[0], pod.status.message or said[1]
    if ended.reason == "OOMKilled":
        return "OOMKilled", f"The container ran out of memory (exit code {ended.exit_code})."
    text = f"The action ended with exit code {ended.exit_code}{_SIGNALS.get(ended.exit_code, '')}."
    return _EXIT_REASONS.get(ended.exit_code, "Error"), text


def _disruption(pod: PodSeen) -> tuple[str, str] | None:
    for condition in pod.status.conditions:
        if condition.type == "DisruptionTarget" and condition.status == "True":
            return ("NodeLost" if condition.reason in _NODE_GONE else "Evicted"), condition.message or ""
    if pod.status.reason in ("Evicted", "NodeLost"):
        return pod.status.reason, pod.status.message
    return None


def _outcome(pod: PodSeen | None, log: str) -> Outcome:
    ended = _ended(pod) if pod else None
    if pod is None or ended is None or ended.reason == "ContainerStatusUnknown":
        # Then the kubelet speaks, not the action: it never began, or nobody saw its end.
        return Outcome()
    said = outcome_of(ended.message, log, ended.exit_code, ended.finished_at)
    # Who was taken away only knows that it was interrupted; the pod knows by whom.
    reason = "" if _disruption(pod) else said.reason
    return replace(said, pod=pod.metadata.uid, reason=reason)


def _bounded(text: str) -> str:
    return redact_text(text)[:1024]
