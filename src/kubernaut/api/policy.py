"""The input document of policies: what a Rego policy may know of one action before it runs.

A promise to those who write policies: fields are added, never renamed nor given another meaning, within one
`apiVersion`. What is not known is absent, so that `not input.target.labels.x` never means "we did not look".
docs/policies.md tells it to users; both describe the same document, and a test holds them together.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Literal

from kubernaut.api.meta import JSON, Frozen

POLICY_API: Literal["policy.kubernaut.ai/v1"] = "policy.kubernaut.ai/v1"
LABEL_POLICY = "kubernaut.ai/policy"
"""ConfigMaps with this label set to "true" hold policies."""

Level = Literal["observe", "suggest", "approve", "auto"]
LEVELS: tuple[Level, ...] = ("observe", "suggest", "approve", "auto")
"""How much may be done without a person, least first."""

Signature = Literal["verified", "unverified", "failed"]
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class PolicyWorkflow(Frozen, frozen=True, kw_only=True):
    """The WorkflowExecution; absent for a single action."""

    name: str
    namespace: str
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None
    engine: str | None = None
    steps: int | None = None
    """How many it has."""
    dry_run: bool | None = None


class PolicyStep(Frozen, frozen=True, kw_only=True):
    """The step of that workflow."""

    name: str
    critical: bool | None = None
    attempt: int | None = None
    """From 1."""


class PolicyPermission(Frozen, frozen=True, kw_only=True):
    """One RBAC rule that the contract declares (rbac.authorization.k8s.io/v1 PolicyRule)."""

    api_groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    cluster: bool | None = None
    granted: bool | None = None
    """Whether the action's ServiceAccount has it on this target (SubjectAccessReview)."""


class PolicyAction(Frozen, frozen=True, kw_only=True):
    """What would run, and what its contract says of it."""

    type: str
    """As in the catalogue: `kubernetes/scale_deployment`."""
    inputs: Mapping[str, JSON] | None = None
    """After references were resolved; secret ones are never here."""
    image: str | None = None
    service_account: str | None = None
    dry_run: bool | None = None
    """It only tries what it would do."""
    idempotent: bool | None = None
    reversible: bool | None = None
    fenced: bool | None = None
    permissions: tuple[PolicyPermission, ...] | None = None
    inputs_size: int | None = None
    """Bytes of the inputs as JSON."""


class PolicyOwner(Frozen, frozen=True, kw_only=True):
    """One owner of the target, the nearest first."""

    api_version: str
    kind: str
    name: str


class PolicyTarget(Frozen, frozen=True, kw_only=True):
    """The object that the action changes; absent where an action has none, or it cannot be told."""

    kind: str
    name: str
    api_version: str | None = None
    namespace: str | None = None
    """Absent for cluster-scoped objects."""
    namespace_labels: Mapping[str, str] | None = None
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None
    owners: tuple[PolicyOwner, ...] | None = None
    replicas: int | None = None
    """Those that the object asks for now."""
    running: tuple[str, ...] | None = None
    """Executions that change this very object at this moment."""


class PolicyRun(Frozen, frozen=True, kw_only=True):
    """An execution that is under way, or was."""

    action: str
    name: str | None = None
    outcome: str | None = None
    ended_seconds_ago: float | None = None


class PolicyCluster(Frozen, frozen=True, kw_only=True):
    """The cluster at this moment."""

    name: str | None = None
    environment: str | None = None
    nodes: int | None = None
    schedulable_nodes: int | None = None
    """Ready and not cordoned."""
    running: tuple[PolicyRun, ...] | None = None
    """Executions that have started and not ended, this one apart."""
    draining_elsewhere: tuple[str, ...] | None = None
    """Names of other clusters in which a node is being drained."""


class PolicyRequester(Frozen, frozen=True, kw_only=True):
    """Who asked, as admission saw it."""

    username: str
    groups: tuple[str, ...] | None = None


class PolicyTime(Frozen, frozen=True, kw_only=True, omit_defaults=False):
    """The moment of the judgement, in the time zone of the setting `policy.timezone`."""

    now: str
    """RFC 3339, UTC."""
    now_ns: int
    """Nanoseconds since 1970, as OPA's time functions take them."""
    timezone: str
    weekday: str
    """monday ... sunday, there."""
    hour: int
    """0 to 23, there."""
    minute: int
    date: str
    """2026-11-21, there."""


class PolicyHistory(Frozen, frozen=True, kw_only=True):
    """What was done to this target before."""

    runs: tuple[PolicyRun, ...] | None = None
    """The latest first."""
    last_hour: int | None = None
    """How many actions changed it within the last hour."""
    failures_in_a_row: int | None = None


class PolicyBudget(Frozen, frozen=True, kw_only=True):
    """The RemediationBudget that counts this action."""

    name: str
    used: int
    most: int
    window_seconds: float


class PolicyImage(Frozen, frozen=True, kw_only=True):
    """What was found about the image's signature."""

    verdict: Signature
    signer: str | None = None


class PolicyInput(Frozen, frozen=True, kw_only=True):
    """The whole document."""

    api_version: Literal["policy.kubernaut.ai/v1"]
    """Always written, so that a policy can ask for it."""
    action: PolicyAction
    time: PolicyTime
    workflow: PolicyWorkflow | None = None
    step: PolicyStep | None = None
    target: PolicyTarget | None = None
    cluster: PolicyCluster | None = None
    requester: PolicyRequester | None = None
    history: PolicyHistory | None = None
    budget: PolicyBudget | None = None
    signature: PolicyImage | None = None


def time_of(moment: datetime, zone: tzinfo, name: str) -> PolicyTime:
    """The time as policies see it; `moment` is aware, `name` is that of the zone (`Europe/Berlin`)."""
    there, utc = moment.astimezone(zone), moment.astimezone(UTC)
    whole = int((utc.replace(microsecond=0) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    return PolicyTime(
        now=utc.isoformat(timespec="seconds").replace("+00:00", "Z"),
        now_ns=whole * 10**9 + utc.microsecond * 1000,
        timezone=name,
        weekday=DAYS[there.weekday()],
        hour=there.hour,
        minute=there.minute,
        date=there.date().isoformat(),
    )


def example() -> PolicyInput:
    """A document with every part, for those who write policies."""
    return PolicyInput(
        api_version=POLICY_API,
        workflow=PolicyWorkflow(
            name="payment-service-oom",
            namespace="kubernaut-workflows",
            labels={"team": "payments"},
            annotations={},
            engine="job",
            steps=3,
            dry_run=False,
        ),
        step=PolicyStep(name="scale", critical=True, attempt=1),
        action=PolicyAction(
            type="kubernetes/scale_deployment",
            inputs={"namespace": "production", "deployment": "payment-service", "replicas": 5},
            image="registry.example/kubernaut/scale-deployment@sha256:" + "0" * 64,
            service_account="kubernaut-scale-deployment-action-sa",
            dry_run=False,
            idempotent=True,
            reversible=True,
            fenced=True,
            permissions=(
                PolicyPermission(
                    api_groups=("apps",), resources=("deployments",), verbs=("get", "patch"), granted=True
                ),
            ),
            inputs_size=73,
        ),
        target=PolicyTarget(
            api_version="apps/v1",
            kind="Deployment",
            name="payment-service",
            namespace="production",
            namespace_labels={"kubernaut.ai/environment": "production"},
            labels={"app": "payment-service"},
            annotations={},
            owners=(PolicyOwner(api_version="payments.example/v1", kind="Shop", name="eu"),),
            replicas=3,
            running=(),
        ),
        cluster=PolicyCluster(
            name="eu-1",
            environment="production",
            nodes=5,
            schedulable_nodes=5,
            running=(PolicyRun(action="kubernetes/restart_pod", name="other"),),
            draining_elsewhere=(),
        ),
        requester=PolicyRequester(username="alice", groups=("sre", "system:authenticated")),
        time=time_of(datetime(2026, 11, 21, 10, 30, tzinfo=UTC), UTC, "UTC"),
        history=PolicyHistory(
            runs=(
                PolicyRun(
                    action="kubernetes/scale_deployment",
                    name="before",
                    outcome="Succeeded",
                    ended_seconds_ago=5400,
                ),
            ),
            last_hour=0,
            failures_in_a_row=0,
        ),
        budget=PolicyBudget(name="production", used=1, most=10, window_seconds=3600),
        signature=PolicyImage(verdict="unverified"),
    )
