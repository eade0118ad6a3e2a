"""The knobs. The text under each one is what `kubernaut settings` prints: meaning, unit, and what a
wrong value does.

Rules for editors: a field's name is its name in the file in camelCase (or kebab-case) and in the
environment as KUBERNAUT_<GROUP>_<FIELD>. Durations are `Seconds`, written "5m" or as a number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from kubernaut.settings.reading import Port, Quantity, Range, Seconds, Texts

Preset = Literal["", "small", "medium", "large"]


@dataclass(frozen=True)
class ClusterSettings:
    """Which cluster, and how hard it may be pressed."""

    kubeconfig: str = ""
    """Path of a kubeconfig file. Empty: KUBECONFIG, then the pod's ServiceAccount, then ~/.kube/config."""

    context: str = ""
    """Context of the kubeconfig. Empty: its current-context, which on a laptop may be anybody's cluster."""

    qps: Annotated[float, Range(0.1, 10_000)] = 20.0
    """Child objects created per second, in the long run. Too high presses the API server, too low
    makes steps wait."""

    burst: Annotated[int, Range(1, 100_000)] = 30
    """Child objects that may be created at once before `qps` holds."""


@dataclass(frozen=True)
class LeaderElectionSettings:
    """How one of several controllers is chosen to write."""

    enabled: bool = True
    """Off only where there is surely one controller: two that both write would fight over every status."""

    lease: Seconds = 15.0
    """How long the others wait after the leader's last sign of life. Longer: a slower take-over after
    a crash."""

    renew: Seconds = 10.0
    """How long a leader writes on after its last renewal; less than `lease`. Shorter: an API server
    that is slow for that long costs the leadership."""

    retry: Seconds = 2.0
    """Between two attempts to become or stay leader; less than `renew`."""

    identity: str = ""
    """Prefix of this process's name as a candidate. Empty: the host's name. A random part is added,
    so that a restarted process is another candidate."""


@dataclass(frozen=True)
class ControllerSettings:
    """The process that runs executions."""

    preset: Preset = ""
    """small, medium or large: sets `execution.maxParallelSteps`, `cluster.qps` and `cluster.burst`, large
    also `controller.workers`, where nothing else does."""

    workflows_namespace: str = "kubernaut-workflows"
    """Where WorkflowExecutions, their Jobs and ServiceAccounts live. Wrong: nothing is ever run."""

    system_namespace: str = "kubernaut-system"
    """Where the controller and its Lease live. Two controllers with different values both lead."""

    workers: Annotated[int, Range(1, 256)] = 8
    """Turns of one loop at the same time. More helps only while the API server is the slow part."""

    bind_address: str = "0.0.0.0"
    """Address of the health and metrics ports. 127.0.0.1 keeps probes and scrapes of a pod out."""

    health_port: Port = 8080
    """/healthz and /readyz, without authentication. 0: any free port."""

    metrics_port: Port = 9090
    """/metrics in the Prometheus text format. 0: any free port."""

    leader_election: LeaderElectionSettings = LeaderElectionSettings()


@dataclass(frozen=True)
class ExecutionSettings:
    """Bounds and defaults of executions."""

    max_parallel_steps: Annotated[int, Range(1, 50)] = 5
    """Steps of one workflow at the same time, where the workflow does not say."""

    complexity_approval_threshold: Annotated[int, Range(0, 10_000)] = 10
    """A workflow with more steps waits for an approval."""

    max_workflow_timeout: Seconds = 24 * 3600.0
    """Longest `timeout` of a workflow, and longest wait between two attempts of a step. How long a step may take
    is its action's contract to say: `timeout` (5m) and `maxTimeout` (15m)."""

    unfenced_needs_approval: bool = True
    """A workflow with an image that takes no fence waits for an approval: nothing keeps a second pod of it from
    acting again. Off: such images run like any other, and are never retried."""

    workspace_size: Quantity = "1Gi"
    """Size of the volume that steps of a workflow share when they use one."""

    storage_class: str = ""
    """StorageClass of that volume. Empty: the cluster's default; none at all leaves steps waiting."""

    job_ttl_seconds_after_finished: Annotated[int, Range(0, 31_536_000)] | None = None
    """Seconds after which Kubernetes removes a Job, set once its outcome is recorded. None: retention
    removes it with its execution."""

    grace_period: Seconds = 30.0
    """How long a stopped action may take to end by itself before it is killed."""


@dataclass(frozen=True)
class ApprovalSettings:
    """Who has to agree to what needs an approval, and within which time."""

    quorum: Annotated[int, Range(1, 16)] = 1
    """How many people have to approve, each another one than who asked."""

    users: Texts = ()
    """User names whose word counts, besides `groups`. RBAC has to allow them the verb `approve` as well."""

    groups: Texts = ("system:authenticated",)
    """Groups whose members' word counts. The default leaves it to RBAC. Without users and groups: nobody's."""

    timeout: Seconds = 900.0
    """How long people have to decide; then the workflow ends as Failed (ApprovalExpired), and nothing has run."""


@dataclass(frozen=True)
class RegistrySettings:
    """Where contracts are read of images that the catalogue does not name."""

    docker_config: str = ""
    """File with logins for registries, as `docker login` writes it. Empty: none; private images are refused."""

    plain_http: Texts = ()
    """Registries (host:port) that speak HTTP; those on loopback need no saying. What is read is checked against
    its digest; logins would go over the wire in clear."""

    layouts: Texts = ()
    """Folders of images (OCI layouts) that are looked into first, by digest."""

    patience: Seconds = 120.0
    """How long a workflow waits for a registry that does not answer, before it is refused."""


@dataclass(frozen=True)
class ProbeSettings:
    """What pre- and postconditions may ask, and how."""

    prometheus_url: str = ""
    """Prometheus, for `promql` probes: http://prometheus.monitoring:9090. Empty: such probes are inconclusive."""

    prometheus_ca_file: str = ""
    """PEM file with the authorities of its certificate. Empty: those of this machine."""

    prometheus_token_file: str = ""
    """File with a bearer token for it, read at each look. Empty: none is sent."""

    allowed_addresses: Texts = ()
    """Networks (10.0.0.0/8) or addresses that `http` probes may ask although they are this machine's, link-local
    or a cloud's metadata service. Too wide: whoever writes a probe reads what only this machine may."""

    look_timeout: Seconds = 10.0
    """How long one look at one probe may take; after that it is inconclusive."""


@dataclass(frozen=True)
class RetentionSettings:
    """What is kept of finished executions."""

    age: Seconds = 24 * 3600.0
    """Finished executions older than this are removed, with their Jobs and Leases."""

    count: Annotated[int, Range(0, 1_000_000)] = 1000
    """Of the finished ones only that many, the youngest, are kept. Each costs the API server some 20 kB."""

    sweep_interval: Seconds = 60.0
    """Between two looks at what is too old."""


@dataclass(frozen=True)
class LoggingSettings:
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Debug tells of every turn: some hundred lines for each execution."""

    format: Literal["json", "console"] = "json"
    """One JSON object a line, or text for people."""


@dataclass(frozen=True)
class Settings:
    """All knobs."""

    cluster: ClusterSettings = ClusterSettings()
    controller: ControllerSettings = ControllerSettings()
    execution: ExecutionSettings = ExecutionSettings()
    approval: ApprovalSettings = ApprovalSettings()
    registry: RegistrySettings = RegistrySettings()
    probes: ProbeSettings = ProbeSettings()
    retention: RetentionSettings = RetentionSettings()
    logging: LoggingSettings = LoggingSettings()


PRESETS: Mapping[str, Mapping[str, object]] = {
    # Up to ten nodes; a usual cluster; one whose API server has room for hundreds of writes a second.
    "small": {"execution.max_parallel_steps": 5, "cluster.qps": 10.0, "cluster.burst": 15},
    "medium": {"execution.max_parallel_steps": 10, "cluster.qps": 20.0, "cluster.burst": 30},
    "large": {
        "execution.max_parallel_steps": 20,
        "cluster.qps": 200.0,
        "cluster.burst": 400,
        "controller.workers": 32,
    },
}

# Names under which older ConfigMaps and Deployments set the same knobs; in the file without a group.
ALIASES: Mapping[str, str] = {
    "MAX_PARALLEL_STEPS": "execution.max_parallel_steps",
    "COMPLEXITY_APPROVAL_THRESHOLD": "execution.complexity_approval_threshold",
    "KUBERNETES_QPS": "cluster.qps",
    "KUBERNETES_BURST": "cluster.burst",
}


def contradictions(settings: Settings) -> list[tuple[str, str]]:
    """Values that are fine each for itself and wrong together: path, and what is wrong."""
    found: list[tuple[str, str]] = []
    election = settings.controller.leader_election
    if not election.lease > election.renew > election.retry:
        found.append(
            (
                "controller.leaderElection",
                f"needs lease > renew > retry, not {election.lease:g} s, {election.renew:g} s "
                f"and {election.retry:g} s",
            )
        )
    controller = settings.controller
    if controller.health_port == controller.metrics_port != 0:
        found.append(("controller.metricsPort", "is also controller.healthPort"))
    return found
