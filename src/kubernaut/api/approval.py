"""`ApprovalRequest` (kubernaut.ai/v1alpha1, short name `apr`): asks people to agree to one plan.

It is bound to the hash of that plan. The controller makes it and never changes its spec; people append to
`spec.decisions`, which admission binds to the user who speaks. What came of it stands in `status`, for people to
read: whether a plan may run is judged by the decisions themselves, each time anew.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta

from kubernaut.api.meta import Condition, Frozen, LocalReference, ObjectMeta, Requester, ShortText, Text
from kubernaut.api.names import CORE_API

MAX_DECISIONS = 64
MAX_SHOWN_STEPS = 200
SHOWN_INPUTS = 400
"""Bytes of a step's inputs that are repeated in a request; the workflow has them whole, and they cannot change."""

PlanHash = Annotated[str, Meta(pattern="^sha256:[a-f0-9]{64}$", max_length=71)]


class ApprovalPhase(StrEnum):
    """Where a request stands. The allowed moves are in `planning.phases`."""

    PENDING = "Pending"
    APPROVED = "Approved"
    REJECTED = "Rejected"
    EXPIRED = "Expired"
    SUPERSEDED = "Superseded"
    """The plan is another one by now; that one has a request of its own."""
    WITHDRAWN = "Withdrawn"
    """The workflow was cancelled or deleted before anybody decided."""


class Approvers(Frozen, frozen=True, kw_only=True):
    """Whose word counts, among those whom RBAC allows the verb `approve`. Both empty: nobody's."""

    users: Annotated[tuple[ShortText, ...], Meta(max_length=64)] = ()
    groups: Annotated[tuple[ShortText, ...], Meta(max_length=64)] = ()


class PlannedStep(Frozen, frozen=True, kw_only=True):
    """A step as a person is shown it."""

    name: ShortText
    action_type: ShortText
    image: Annotated[str, Meta(max_length=512)]
    service_account_name: ShortText
    inputs: Annotated[
        str, Meta(max_length=SHOWN_INPUTS, description="JSON, cut where it is long; secrets are references.")
    ] = ""
    finally_: Annotated[bool, Meta(description="Runs at the end, whatever happened.")] = False


class Decision(Frozen, frozen=True, kw_only=True):
    """One person's word about one plan. Appended, never changed or removed."""

    decision: Literal["approve", "reject"]
    plan_hash: PlanHash
    by: Requester
    at: datetime | None = None
    """The clock of whoever speaks; told, never judged by."""
    message: Text = ""


class ApprovalSpec(Frozen, frozen=True, kw_only=True):
    """What is asked, of whom, until when."""

    workflow_ref: LocalReference
    plan_hash: PlanHash
    requested_by: Requester
    """Who asked for the workflow: the one whose own word does not count."""
    reason: Text = ""
    why: Annotated[tuple[Text, ...], Meta(max_length=16, description="Why it may not run without.")] = ()
    steps: Annotated[
        tuple[PlannedStep, ...],
        Meta(max_length=MAX_SHOWN_STEPS, extra_json_schema={"x-kubernetes-list-type": "atomic"}),
    ] = ()
    more_steps: Annotated[int, Meta(ge=0, description="Steps that are not shown here.")] = 0
    quorum: Annotated[int, Meta(ge=1, le=16)] = 1
    approvers: Approvers = Approvers()
    expires_at: datetime
    decisions: Annotated[
        tuple[Decision, ...],
        Meta(max_length=MAX_DECISIONS, extra_json_schema={"x-kubernetes-list-type": "atomic"}),
    ] = ()


class ApprovalStatus(Frozen, frozen=True, kw_only=True):
    """What came of it."""

    phase: ApprovalPhase = ApprovalPhase.PENDING
    message: Text = ""
    approvals: ShortText = ""
    """How many of how many: "1/2"."""
    decided_at: datetime | None = None
    conditions: Annotated[
        tuple[Condition, ...],
        Meta(
            max_length=16,
            extra_json_schema={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()


class ApprovalRequest(Frozen, frozen=True, kw_only=True):
    """A plan that waits for people, and what they said."""

    api_version: str = CORE_API
    kind: str = "ApprovalRequest"
    metadata: ObjectMeta
    spec: ApprovalSpec
    status: ApprovalStatus = ApprovalStatus()
