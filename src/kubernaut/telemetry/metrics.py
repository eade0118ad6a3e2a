"""Metrics of what runs, under the names that existing dashboards and alerts use.

Own registry, so that two controllers in one process do not meet. No label carries a workflow's or
an execution's name: every run would add series for ever. Not here: the HTTP endpoint.
"""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# One more series for every counter, which nothing reads.
disable_created_metrics()  # type: ignore[no-untyped-call]


def _exponential(start: float, factor: float, count: int) -> list[float]:
    return [start * factor**step for step in range(count)]


_LINEAR = [float(value) for value in range(1, 11)]


class Metrics:
    """Every metric of the controllers; each attribute says what it counts in its help text."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._workflows()
        self._actions()
        self._limits()
        self._turns()

    def text(self) -> bytes:
        """The exposition, of type CONTENT_TYPE."""
        return generate_latest(self.registry)

    def count_requests(self, counts: Callable[[], Mapping[tuple[str, str, str], int]]) -> None:
        """Show what a client counts by (user, verb, resource): `lambda: cluster.counts`."""
        self.registry.register(_Requests(counts))

    def _workflows(self) -> None:
        self.workflows = Counter(
            "workflowexecution_total",
            "Workflow executions that ended, by phase",
            ["status"],
            registry=self.registry,
        )
        self.workflow_seconds = Histogram(
            "workflowexecution_duration_seconds",
            "From start to end of a workflow execution",
            buckets=_exponential(5, 2, 10),
            registry=self.registry,
        )
        self.workflows_active = Gauge(
            "workflowexecution_active_total",
            "Workflow executions that have not ended",
            registry=self.registry,
        )
        self.steps = Counter(
            "workflowexecution_step_execution_total",
            "Steps that ended, by phase and action type",
            ["status", "action"],
            registry=self.registry,
        )
        self.step_seconds = Histogram(
            "workflowexecution_step_execution_duration_seconds",
            "From start to end of a step, all attempts",
            ["action"],
            buckets=_exponential(0.5, 2, 10),
            registry=self.registry,
        )
        self.steps_per_workflow = Histogram(
            "workflowexecution_step_count",
            "Steps of admitted workflows",
            buckets=_LINEAR,
            registry=self.registry,
        )
        self.dependency_seconds = Histogram(
            "workflowexecution_dependency_resolution_duration_seconds",
            "Time to check a workflow's graph",
            buckets=_exponential(0.01, 2, 10),
            registry=self.registry,
        )

    def _actions(self) -> None:
        self.actions = Counter(
            "kubernetesexecution_action_execution_total",
            "Action executions that ended, by phase and action type",
            ["status", "action"],
            registry=self.registry,
        )
        self.action_seconds = Histogram(
            "kubernetesexecution_action_execution_duration_seconds",
            "From start to end of an action execution",
            ["action"],
            buckets=_exponential(0.5, 2, 10),
            registry=self.registry,
        )
        self.jobs_created = Counter(
            "kubernetesexecution_job_creation_total",
            "Attempts to create a Job, by result: created or failed",
            ["status"],
            registry=self.registry,
        )
        self.job_creation_seconds = Histogram(
            "kubernetesexecution_job_creation_duration_seconds",
            "Time of the request that creates a Job",
            buckets=_exponential(0.01, 2, 10),
            registry=self.registry,
        )
        self.job_seconds = Histogram(
            "kubernetesexecution_job_execution_duration_seconds",
            "From creation to end of a Job",
            ["action"],
            buckets=_exponential(0.5, 2, 10),
            registry=self.registry,
        )
        self.jobs_active = Gauge(
            "kubernetesexecution_job_active_total",
            "Jobs that have not ended",
            registry=self.registry,
        )

    def _limits(self) -> None:
        self.parallel_active = Gauge(
            "workflow_parallel_workers_active",
            "Steps that run now, over all workflows",
            registry=self.registry,
        )
        self.parallel_max = Gauge(
            "workflow_parallel_workers_max",
            "How many steps of one workflow may run at once by default",
            registry=self.registry,
        )
        self.steps_queued = Gauge(
            "workflow_parallel_steps_queued",
            "Steps that are ready, and wait for a place",
            registry=self.registry,
        )
        self.throttled = Counter(
            "kubernetes_api_requests_throttled_total",
            "Children whose creation waited for the limiter",
            registry=self.registry,
        )
        self.throttled_seconds = Histogram(
            "kubernetes_api_rate_limiter_wait_duration_seconds",
            "How long the creation of a child waited for the limiter",
            buckets=_exponential(0.005, 2, 12),
            registry=self.registry,
        )

    def _turns(self) -> None:
        self.turns = Counter(
            "workflowexecution_reconciler_total",
            "Turns of the loops, by loop and outcome: done, look-again, retry, stuck",
            ["loop", "outcome"],
            registry=self.registry,
        )
        self.turn_seconds = Histogram(
            "workflowexecution_reconciler_duration_seconds",
            "Time of one turn",
            ["loop"],
            buckets=_exponential(0.001, 2, 14),
            registry=self.registry,
        )
        self.queued = Gauge(
            "kubernaut_queue_depth",
            "Names that wait for a turn",
            ["loop"],
            registry=self.registry,
        )
        self.leading = Gauge(
            "kubernaut_leader",
            "1 while this process leads",
            registry=self.registry,
        )


class _Requests(Collector):
    def __init__(self, counts: Callable[[], Mapping[tuple[str, str, str], int]]) -> None:
        self._counts = counts

    def collect(self) -> Iterable[CounterMetricFamily]:
        family = CounterMetricFamily(
            "kubernetes_api_requests",
            "Requests to the API server, repeats included",
            labels=["user", "verb", "resource"],
        )
        for labels, count in self._counts().items():
            family.add_metric(labels, count)
        yield family

    def describe(self) -> Iterable[CounterMetricFamily]:
        return [CounterMetricFamily("kubernetes_api_requests", "")]
