"""What a decision looks at. Frozen, complete, with `now` inside; gathered by the controllers, never here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from kubernaut.api.action import ActionExecution, ActionSpec, ActionStatus, Change, Waiting
from kubernaut.api.approval import ApprovalRequest
from kubernaut.api.faults import Fault
from kubernaut.api.graph import Graph
from kubernaut.api.meta import JSON
from kubernaut.api.workflow import EngineDecision, Executed, PinnedAction, WorkflowExecution


@dataclass(frozen=True)
class Limits:
    """The settings that decisions depend on."""

    default_parallel: int = 5
    """Steps at the same time where the workflow does not say."""
    max_parallel: int = 50
    """Upper bound over every workflow's own `parallelism`."""
    complexity_threshold: int = 10
    """More steps than this need an approval."""
    grace_seconds: float = 30.0
    """How long a stopped action may take to end by itself."""
    unfenced_needs_approval: bool = True
    """Whether a workflow with an image that takes no fence waits for an approval."""
    approval_quorum: int = 1
    """How many people have to approve."""
    approval_users: tuple[str, ...] = ()
    approval_groups: tuple[str, ...] = ("system:authenticated",)
    """Whose word counts, among those whom RBAC allows it. No user and no group: nobody's."""
    approval_seconds: float = 900.0
    """How long people have to decide."""
    judging_seconds: float = 120.0
    """How long a workflow waits for what its judgement needs (a registry that does not answer)."""
    job_ttl_seconds: int | None = None
    """If set, finished Jobs are given this TTL after their outcome was recorded; else retention removes them."""


@dataclass(frozen=True)
class ExecutionFacts:
    """An ActionExecution that carries a step's name, as the workflow loop sees it."""

    name: str
    uid: str
    owner_uid: str
    spec: ActionSpec
    status: ActionStatus
    fence_uid: str | None
    outputs: Mapping[str, JSON] = field(default_factory=dict[str, JSON])
    """All outputs, also those that did not fit the status."""


@dataclass(frozen=True)
class WhenVerdict:
    """What CEL said about a step's conditions."""

    holds: bool
    error: str = ""
    expression: str = ""
    """The first expression that did not hold, or that failed."""


@dataclass(frozen=True)
class Obstacle:
    """What keeps a workflow from being judged, for now."""

    reason: str
    message: str
    again_at: datetime
    """When to look again, if nothing happens before."""
    is_news: bool = True
    """Worth telling; else it has only just begun."""


@dataclass(frozen=True)
class Earlier:
    """The execution that this one retries: what it kept, by step."""

    workflow: WorkflowExecution
    outputs: Mapping[str, Mapping[str, JSON]]


@dataclass(frozen=True)
class WorkflowFacts:
    """One workflow and everything around it that its next turn depends on."""

    now: datetime
    workflow: WorkflowExecution
    graph: Graph
    """Of `spec.steps`."""
    finally_graph: Graph
    """Of `spec.finally`, without the edges to main steps."""
    spec_hash: str
    faults: tuple[Fault, ...] = ()
    """What the door refuses; asked only until the workflow is admitted."""
    obstacle: Obstacle | None = None
    """Why the door cannot say everything yet; of what it can say nothing is missing in `faults`."""
    engine: EngineDecision = EngineDecision(name="job")
    actions: Mapping[str, PinnedAction] = field(default_factory=dict[str, PinnedAction])
    """Catalogue entries by `pin_key`, for admission; afterwards status.actions counts."""
    executions: Mapping[str, ExecutionFacts] = field(default_factory=dict[str, ExecutionFacts])
    """By step name."""
    verdicts: Mapping[str, WhenVerdict] = field(default_factory=dict[str, WhenVerdict])
    """By step name, for the steps that `conditions_to_ask` named."""
    approvals: Mapping[str, ApprovalRequest] = field(default_factory=dict[str, ApprovalRequest])
    """Requests that this workflow owns, by name; asked only until the workflow is admitted."""
    workspace: Literal["absent", "present", "foreign"] = "absent"
    earlier: Earlier | None = None
    trouble: str = ""
    """Why the last attempt to carry out a change of this workflow was refused by the cluster."""
    limits: Limits = Limits()


@dataclass(frozen=True)
class FenceFacts:
    """The Lease of an ActionExecution."""

    uid: str
    resource_version: str
    holder: str
    attempt: int
    """The attempt for which it is armed."""


JobState = Literal["suspended", "active", "succeeded", "failed"]


@dataclass(frozen=True)
class Outcome:
    """What the container said at its end: the runner's termination message, or the last JSON line of its log."""

    pod: str = ""
    """UID of the pod that said it."""
    exit_code: int | None = None
    reason: str = ""
    message: str = ""
    executed: Executed | None = None
    outputs: Mapping[str, JSON] = field(default_factory=dict[str, JSON])
    rollback: Mapping[str, JSON] | None = None
    overflow: str = ""
    changes: tuple[Change, ...] = ()
    log_tail: str = ""
    finished_at: datetime | None = None


@dataclass(frozen=True)
class JobFacts:
    """One attempt's Job and its pods, read back."""

    uid: str
    state: JobState
    is_being_deleted: bool = False
    deletion_started_at: datetime | None = None
    has_ttl: bool = False
    created_at: datetime | None = None
    released_at: datetime | None = None
    """When it was let start, if it was created suspended; it may be much older than that."""
    started_at: datetime | None = None
    """When the Job controller took it up; None until then."""
    finished_at: datetime | None = None
    reason: str = ""
    """CamelCase cause of a failed Job: Error, OOMKilled, DeadlineExceeded, Evicted, NodeLost..."""
    message: str = ""
    container_started: bool | None = None
    """Whether the action container was ever seen to have started; None = nobody can tell any more."""
    waiting: Waiting | None = None
    """Why it does not get going."""
    is_hopeless: bool = False
    """What it waits for cannot come by itself (an image name that can never be valid, for example)."""
    outcome: Outcome | None = None


@dataclass(frozen=True)
class ActionFacts:
    """One ActionExecution and everything around it that its next turn depends on."""

    now: datetime
    execution: ActionExecution
    is_released: bool
    """The workflow's status names this very object as started; a lone execution is always released."""
    released_at: datetime | None = None
    """When the start was recorded."""
    recorded_fence: str = ""
    """UID of the fence as recorded at the start."""
    fence: FenceFacts | None = None
    jobs: Mapping[int, JobFacts] = field(default_factory=dict[int, JobFacts])
    """By attempt."""
    faults: tuple[Fault, ...] = ()
    """What the door refuses of an execution without a workflow; asked only until it is let in."""
    obstacle: Obstacle | None = None
    """Why the door cannot say everything yet; of what it can say nothing is missing in `faults`."""
    trouble: Waiting | None = None
    """Why the cluster refused to create the Job at the last try: quota, permissions, an admission policy."""
    limits: Limits = Limits()
