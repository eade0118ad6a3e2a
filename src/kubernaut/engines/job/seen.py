"""The parts of Kubernetes' own objects that this engine reads (batch/v1 Job, core/v1 Pod and Event, Lease)."""

from datetime import datetime

from kubernaut.api.meta import Frozen, ObjectMeta


class Truth(Frozen, frozen=True, kw_only=True):
    """A condition of a Job or a pod."""

    type: str
    status: str = "Unknown"
    reason: str | None = None
    message: str | None = None
    last_transition_time: datetime | None = None


class JobSpecSeen(Frozen, frozen=True, kw_only=True):
    suspend: bool | None = None
    ttl_seconds_after_finished: int | None = None


class JobStatusSeen(Frozen, frozen=True, kw_only=True):
    conditions: tuple[Truth, ...] = ()
    start_time: datetime | None = None
    completion_time: datetime | None = None


class JobSeen(Frozen, frozen=True, kw_only=True):
    metadata: ObjectMeta
    spec: JobSpecSeen = JobSpecSeen()
    status: JobStatusSeen = JobStatusSeen()


class Held(Frozen, frozen=True, kw_only=True):
    """A container that waits."""

    reason: str = ""
    message: str = ""


class Running(Frozen, frozen=True, kw_only=True):
    started_at: datetime | None = None


class Ended(Frozen, frozen=True, kw_only=True):
    """A container that has ended."""

    exit_code: int = 0
    reason: str = ""
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None


class ContainerState(Frozen, frozen=True, kw_only=True):
    waiting: Held | None = None
    running: Running | None = None
    terminated: Ended | None = None


class ContainerStatus(Frozen, frozen=True, kw_only=True):
    name: str
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class PodStatusSeen(Frozen, frozen=True, kw_only=True):
    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: tuple[Truth, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()


class PodSeen(Frozen, frozen=True, kw_only=True):
    metadata: ObjectMeta
    status: PodStatusSeen = PodStatusSeen()


class EventSeen(Frozen, frozen=True, kw_only=True):
    """A Warning about a Job or one of its pods."""

    reason: str = ""
    message: str = ""
    last_timestamp: datetime | None = None
    event_time: datetime | None = None


class LeaseSpecSeen(Frozen, frozen=True, kw_only=True):
    holder_identity: str | None = None
    lease_transitions: int | None = None


class LeaseSeen(Frozen, frozen=True, kw_only=True):
    metadata: ObjectMeta
    spec: LeaseSpecSeen = LeaseSpecSeen()
