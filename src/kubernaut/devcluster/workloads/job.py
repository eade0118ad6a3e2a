"""The Job controller's decision, with the semantics of Kubernetes 1.31 and newer. PURE.

The terminal condition (Failed, Complete) comes only when every pod has ended; what leads to it
(FailureTarget, SuccessCriteriaMet) is said at once. A pod keeps its tracking finalizer until it is
counted; counting and taking the finalizer away are one turn, so `uncountedTerminatedPods` stays
empty. Not here: back-off limits per index, success policies, managedBy.
Source of the behaviour: k8s.io/kubernetes pkg/controller/job/job_controller.go.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from kubernaut.devcluster.objects import Object, copied, namespace_of, uid_of
from kubernaut.devcluster.resources import JOBS, PODS
from kubernaut.devcluster.workloads import moments
from kubernaut.devcluster.workloads.changes import (
    Change,
    Create,
    Delete,
    Merge,
    SetStatus,
    Tell,
    Turn,
    sooner,
)
from kubernaut.devcluster.workloads.failure_policy import judge_failure
from kubernaut.devcluster.workloads.indexes import dump, give_number, index_of, is_indexed, next_indexes, parse
from kubernaut.devcluster.workloads.pods import (
    condition,
    is_active,
    is_controlled_by,
    is_finished,
    is_ready,
    is_terminating,
    phase_of,
    pod_from_template,
)
from kubernaut.devcluster.workloads.reading import items, part, parts

TRACKING = "batch.kubernetes.io/job-tracking"
_BACKOFF_BASE = 10.0
_BACKOFF_CAP = 600.0
_FINAL = {"FailureTarget": "Failed", "SuccessCriteriaMet": "Complete"}


@dataclass(frozen=True, slots=True)
class JobFacts:
    """One Job and the pods of its namespace."""

    now: datetime
    job: Object
    pods: Sequence[Object]
    refusal: str = ""
    """Why the last pod could not be created; empty when it could."""


@dataclass(slots=True)
class _Course:
    """A turn being worked out: the counts as they will stand, and why the Job ends, if it does."""

    facts: JobFacts
    pods: list[Object]
    status: Object
    changes: list[Change] = field(default_factory=list[Change])
    gone: set[str] = field(default_factory=set[str])
    """Names of the pods that this turn deletes."""
    ending: Object | None = None
    look_again: float | None = None

    @property
    def job(self) -> Object:
        return self.facts.job

    @property
    def active(self) -> list[Object]:
        return [p for p in self.pods if is_active(p) and p["metadata"]["name"] not in self.gone]

    @property
    def starting(self) -> int:
        return sum(isinstance(change, Create) for change in self.changes)

    @property
    def terminating(self) -> int:
        return sum(is_terminating(p) or p["metadata"]["name"] in self.gone for p in self.pods)


def decide_job(facts: JobFacts) -> Turn:
    """Count what ended, judge, then mend the number of pods, then say how things stand."""
    job = facts.job
    pods = [pod for pod in facts.pods if is_controlled_by(pod, job)]
    if end_of(job) is not None:
        return Turn(tuple(change for pod in pods for change in without_tracking(pod)))
    course = _Course(facts, pods, copied(part(job, "status")))
    suspended = bool(job["spec"].get("suspend"))
    if not suspended and not course.status.get("startTime"):
        course.status["startTime"] = moments.to_text(facts.now)
    failed = _count_ended(course)
    course.ending = _ending(course, failed, suspended)
    if course.ending is not None:
        for pod in course.active:
            _delete(course, pod)
        _let_go_of_unfinished(course, course.ending)
    elif not job["metadata"].get("deletionTimestamp"):
        _follow_suspension(course, suspended)
        _mend_number(course, failed, suspended)
        course.ending = _success(course)
    _write_status(course)
    return Turn(tuple(course.changes), course.look_again)


def end_of(job: Object) -> Object | None:
    """The terminal condition, when there is one."""
    conditions: list[Object] = parts(job, "status", "conditions")
    return next((c for c in conditions if c["type"] in {"Complete", "Failed"} and c["status"] == "True"), None)


def without_tracking(pod: Object) -> list[Change]:
    """Let go of a pod: counted, or its Job is no more."""
    finalizers: list[str] = items(pod, "metadata", "finalizers")
    if TRACKING not in finalizers:
        return []
    left = [f for f in finalizers if f != TRACKING]
    patch = {"metadata": {"finalizers": left or None}}
    return [Merge(PODS, namespace_of(pod), pod["metadata"]["name"], patch)]


def _count_ended(course: _Course) -> list[Object]:
    """Count pods that ended since the last turn; all failed pods that still exist are returned."""
    job, status = course.job, course.status
    failed: list[Object] = []
    for pod in course.pods:
        succeeded = phase_of(pod) == "Succeeded"
        if not succeeded and not _has_failed(job, pod):
            continue
        tracked = TRACKING in items(pod, "metadata", "finalizers")
        if not succeeded:
            failed.append(pod)
        if succeeded and is_indexed(job):
            _complete_index(course, pod)
        elif tracked and (succeeded or judge_failure(job, pod).action != "Ignore"):
            kind = "succeeded" if succeeded else "failed"
            status[kind] = int(status.get(kind, 0)) + 1
        if is_finished(pod) or pod["metadata"].get("deletionTimestamp"):
            course.changes += without_tracking(pod)
    return failed


def _complete_index(course: _Course, pod: Object) -> None:
    """A number is complete once, however many pods succeeded under it."""
    done, index = parse(str(course.status.get("completedIndexes", ""))), index_of(pod)
    if index is None or index >= _given(course.job, "completions", 0):
        return
    done.add(index)
    course.status["completedIndexes"] = dump(done)
    course.status["succeeded"] = len(done)


def _let_go_of_unfinished(course: _Course, ending: Object) -> None:
    """A Job that fails counts what still runs as failed, at once, and waits for its end untracked."""
    for pod in course.pods:
        is_tracked = TRACKING in items(pod, "metadata", "finalizers")
        if not is_tracked or is_finished(pod) or _has_failed(course.job, pod):
            continue
        if ending["type"] == "FailureTarget":
            course.status["failed"] = int(course.status.get("failed", 0)) + 1
        course.changes += without_tracking(pod)


def _has_failed(job: Object, pod: Object) -> bool:
    if phase_of(pod) == "Failed":
        return True
    return is_terminating(pod) and not _replaces_only_failed(job)


def _replaces_only_failed(job: Object) -> bool:
    spec = job["spec"]
    policy = spec.get("podReplacementPolicy")
    return policy == "Failed" or (policy is None and bool(spec.get("podFailurePolicy")))


def _ending(course: _Course, failed: Sequence[Object], suspended: bool) -> Object | None:
    job, now = course.job, course.facts.now
    for said in parts(course.status, "conditions"):
        if said["type"] in _FINAL and said["status"] == "True":
            return dict(said)
    for pod in failed:
        verdict = judge_failure(job, pod)
        if verdict.action == "FailJob":
            return condition("FailureTarget", "True", "PodFailurePolicy", verdict.message, now)
    limit = job["spec"].get("backoffLimit")
    if course.status.get("failed", 0) > (6 if limit is None else int(limit)):
        text = "Job has reached the specified backoff limit"
        return condition("FailureTarget", "True", "BackoffLimitExceeded", text, now)
    if _restarted_too_often(course):
        text = "Job has reached the specified backoff limit"
        return condition("FailureTarget", "True", "BackoffLimitExceeded", text, now)
    deadline, start = job["spec"].get("activeDeadlineSeconds"), course.status.get("startTime")
    if deadline is None or start is None or suspended:
        return None
    left = float(deadline) - moments.seconds_since(start, now)
    if left <= 0:
        text = "Job was active longer than specified deadline"
        return condition("FailureTarget", "True", "DeadlineExceeded", text, now)
    course.look_again = sooner(course.look_again, left)
    return None


def _restarted_too_often(course: _Course) -> bool:
    """Pods that are restarted in place count their restarts against the limit."""
    job = course.job
    if job["spec"]["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    restarts = sum(
        int(status.get("restartCount", 0))
        for pod in course.pods
        if phase_of(pod) in {"Pending", "Running"}
        for kind in ("initContainerStatuses", "containerStatuses")
        for status in parts(pod, "status", kind)
    )
    limit = _given(job, "backoffLimit", 6)
    return restarts > 0 if limit == 0 else restarts >= limit


def _follow_suspension(course: _Course, suspended: bool) -> None:
    conditions: list[Object] = course.status.setdefault("conditions", [])
    was = next((c for c in conditions if c["type"] == "Suspended"), None)
    if suspended == (was is not None and was["status"] == "True"):
        return
    now = course.facts.now
    if suspended:
        new = condition("Suspended", "True", "JobSuspended", "Job suspended", now)
        course.status.pop("startTime", None)  # the deadline counts from the resumption
    else:
        new = condition("Suspended", "False", "JobResumed", "Job resumed", now)
        course.status["startTime"] = moments.to_text(now)
    course.status["conditions"] = [*(c for c in conditions if c is not was), new]
    word = "Suspended" if suspended else "Resumed"
    course.changes.append(Tell(course.job, "Normal", word, new["message"]))


def _mend_number(course: _Course, failed: Sequence[Object], suspended: bool) -> None:
    job, active = course.job, course.active
    parallelism = int(_given(job, "parallelism", 1))
    wanted = min(parallelism, _unfinished(course))
    if suspended:
        wanted = 0
    by_worth = sorted(active, key=lambda p: (is_ready(p), p["metadata"]["name"]))
    for pod in by_worth[: max(0, len(active) - wanted)]:
        # Uncounted: a pod that is taken away on purpose has not failed.
        course.changes += without_tracking(pod)
        _delete(course, pod)
    missing = wanted - len(active)
    if _replaces_only_failed(job):
        missing -= course.terminating
    if missing <= 0 or suspended:
        return
    wait = _backoff(course.facts, failed)
    if wait > 0:
        course.look_again = sooner(course.look_again, wait)
        return
    numbers: list[int] | list[None] = [None] * missing
    if is_indexed(job):
        taken = parse(str(course.status.get("completedIndexes", "")))
        taken |= {number for pod in active if (number := index_of(pod)) is not None}
        numbers = next_indexes(missing, taken)
    course.changes += [_new_pod(job, number) for number in numbers]


def _unfinished(course: _Course) -> int:
    done, job = int(course.status.get("succeeded", 0)), course.job
    completions = job["spec"].get("completions")
    if completions is not None:
        return max(0, int(completions) - done)
    # A work queue: once one pod succeeded no new ones are started.
    return len(course.active) if done else _given(job, "parallelism", 1)


def _backoff(facts: JobFacts, failed: Sequence[Object]) -> float:
    """Seconds until a failed pod may be replaced: 10, 20, 40 ... 600 after its end."""
    if not failed:
        return 0.0
    delay = min(_BACKOFF_CAP, _BACKOFF_BASE * 2.0 ** min(len(failed) - 1, 16))
    last = max(_ended_at(pod) for pod in failed)
    return delay - moments.seconds_since(last, facts.now)


def _ended_at(pod: Object) -> str:
    statuses: list[Object] = parts(pod, "status", "containerStatuses")
    ends = [part(status, "state", "terminated").get("finishedAt") for status in statuses]
    known = [end for end in ends if end]
    return max(known) if known else str(pod["metadata"]["creationTimestamp"])


def _new_pod(job: Object, index: int | None) -> Create:
    body = pod_from_template(job, finalizers=[TRACKING])
    body["metadata"]["labels"] = {**body["metadata"]["labels"], **tracking_labels(job)}
    if index is not None:
        give_number(body, job, index)
    return Create(
        PODS,
        body,
        created=Tell(job, "Normal", "SuccessfulCreate", "Created pod: {name}"),
        refused=Tell(job, "Warning", "FailedCreate", "Error creating: "),
    )


def tracking_labels(job: Object) -> dict[str, str]:
    """The labels that tie pods to their Job; the unprefixed ones are the older spelling."""
    name, uid = job["metadata"]["name"], uid_of(job)
    return {
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": name,
        "controller-uid": uid,
        "job-name": name,
    }


def _delete(course: _Course, pod: Object) -> None:
    name = pod["metadata"]["name"]
    course.gone.add(name)
    course.changes.append(Delete(PODS, namespace_of(pod), name, uid_of(pod)))
    course.changes.append(Tell(course.job, "Normal", "SuccessfulDelete", f"Deleted pod: {name}"))


def _success(course: _Course) -> Object | None:
    if course.active or course.starting or course.gone:
        return None
    completions, done = course.job["spec"].get("completions"), course.status.get("succeeded", 0)
    if (done < int(completions)) if completions is not None else not done:
        return None
    said = "Reached expected number of succeeded pods"
    return condition("SuccessCriteriaMet", "True", "CompletionsReached", said, course.facts.now)


def _write_status(course: _Course) -> None:
    job, status, now = course.job, course.status, course.facts.now
    counts = {
        "active": len(course.active) + (0 if course.facts.refusal else course.starting),
        "ready": sum(is_ready(pod) for pod in course.active),
        "terminating": course.terminating,
    }
    for key, number in counts.items():
        if number or key != "active":
            status[key] = number
        else:
            status.pop(key, None)
    status["uncountedTerminatedPods"] = {}
    conditions: list[Object] = parts(status, "conditions")
    if course.ending is not None:
        target = course.ending["type"]
        if all(c["type"] != target for c in conditions):
            conditions = [*conditions, course.ending]
        if not counts["active"] and not counts["terminating"]:
            final = {**course.ending, "type": _FINAL[target]}
            final["lastTransitionTime"] = moments.to_text(now)
            conditions = [*conditions, final]
            course.changes.append(_announcement(job, final))
            if final["type"] == "Complete":
                status["completionTime"] = moments.to_text(now)
    if conditions:
        status["conditions"] = conditions
    else:
        status.pop("conditions", None)
    if status != part(job, "status"):
        # First of all: a pod that is let go before it is counted is never counted.
        course.changes.insert(0, SetStatus(JOBS, namespace_of(job), job["metadata"]["name"], status))


def _announcement(job: Object, final: Object) -> Tell:
    if final["type"] == "Complete":
        return Tell(job, "Normal", "Completed", "Job completed")
    return Tell(job, "Warning", final["reason"], final["message"])


def _given(job: Object, field_: str, otherwise: int) -> int:
    value = job["spec"].get(field_)
    return otherwise if value is None else int(value)


def seconds_until_removal(job: Object, now: datetime) -> float | None:
    """`ttlSecondsAfterFinished`: how long a finished Job stays; None when for ever."""
    end, ttl = end_of(job), job["spec"].get("ttlSecondsAfterFinished")
    if end is None or ttl is None or job["metadata"].get("deletionTimestamp"):
        return None
    return max(0.0, float(ttl) - moments.seconds_since(end["lastTransitionTime"], now))
