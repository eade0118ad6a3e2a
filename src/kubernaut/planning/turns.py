"""A turn: what one look at the facts led to. Pure data; the controllers carry it out, in order."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from kubernaut.api.action import ActionSpec, ActionStatus, Stop
from kubernaut.api.approval import ApprovalRequest, ApprovalSpec, ApprovalStatus
from kubernaut.api.workflow import WorkflowStatus


@dataclass(frozen=True)
class AddFinalizer:
    """Hold the workflow until it has been brought to an end."""


@dataclass(frozen=True)
class RemoveFinalizer:
    """Let the workflow go; everything else goes with it by owner references."""


@dataclass(frozen=True)
class CreateWorkspace:
    """Make the PersistentVolumeClaim that the steps share."""

    name: str


@dataclass(frozen=True)
class DeleteWorkspace:
    name: str


@dataclass(frozen=True)
class CreateExecution:
    """Make the ActionExecution of a step, and its fence. Nothing runs before the status records both."""

    step: str
    name: str
    spec: ActionSpec


@dataclass(frozen=True)
class CreateFence:
    """Make the fence Lease of an ActionExecution, armed for attempt 1."""

    execution: str
    execution_uid: str


@dataclass(frozen=True)
class StopExecution:
    """Ask the action to end its running attempt."""

    execution: str
    execution_uid: str
    stop: Stop


@dataclass(frozen=True)
class CreateApproval:
    """Ask people about one plan; the next turn sees the request and waits by it."""

    name: str
    spec: ApprovalSpec


@dataclass(frozen=True)
class WriteApprovalStatus:
    """Tell what became of a request, over the object as it was seen."""

    request: ApprovalRequest
    status: ApprovalStatus


@dataclass(frozen=True)
class WriteWorkflowStatus:
    status: WorkflowStatus


@dataclass(frozen=True)
class ArmFence:
    """Open the fence for another attempt: no holder, transitions = attempt. Compare-and-swap."""

    attempt: int
    resource_version: str


@dataclass(frozen=True)
class VoidFence:
    """Close the fence for good, if nobody took it. Compare-and-swap; losing the race means somebody did."""

    resource_version: str


@dataclass(frozen=True)
class StartJob:
    """Create the Job of an attempt. Cannot be undone: decided a second time on fresh facts before."""

    attempt: int
    suspended: bool = False


@dataclass(frozen=True)
class ReleaseJob:
    """Let the suspended Job of an image without a fence start, now that its start is recorded."""

    attempt: int


@dataclass(frozen=True)
class DeleteJob:
    """End a running attempt: the Job goes only after its pods (foreground)."""

    attempt: int
    uid: str


@dataclass(frozen=True)
class ExpireJob:
    """Let the cluster remove the finished Job by its TTL, now that the outcome is recorded."""

    attempt: int
    seconds: int


@dataclass(frozen=True)
class WriteActionStatus:
    status: ActionStatus


@dataclass(frozen=True)
class MakeSure:
    """Writes nothing: the turn goes on only if fresh facts say the same. Where something is missing."""

    attempt: int


WorkflowChange = (
    AddFinalizer
    | RemoveFinalizer
    | CreateWorkspace
    | DeleteWorkspace
    | CreateExecution
    | CreateFence
    | StopExecution
    | CreateApproval
    | WriteApprovalStatus
    | WriteWorkflowStatus
)
ActionChange = (
    CreateFence
    | ArmFence
    | VoidFence
    | StartJob
    | ReleaseJob
    | DeleteJob
    | ExpireJob
    | WriteActionStatus
    | MakeSure
)

IRREVERSIBLE = (StartJob, ReleaseJob, MakeSure)
"""Changes that are decided again on fresh facts immediately before they are carried out."""


C = TypeVar("C")


@dataclass(frozen=True)
class Turn(Generic[C]):
    """Changes in the order in which they are carried out, and when to look again if nothing happens."""

    changes: tuple[C, ...] = field(default=())
    look_again_at: datetime | None = None
    queued: int = 0
    """Steps that are ready, and wait for a place beside those that run: for counting only."""
