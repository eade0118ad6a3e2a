"""What gathers facts, put together: the controller's, and of whoever only looks on."""

from collections.abc import Callable

from kubernaut.api.action import ActionExecution
from kubernaut.cluster import Cluster
from kubernaut.concurrency import Clock
from kubernaut.controllers.caches import Caches, Decoded
from kubernaut.controllers.contracts import ImageContracts
from kubernaut.controllers.doors import Doors
from kubernaut.controllers.observe_action import ActionObserver
from kubernaut.controllers.observe_workflow import WorkflowObserver
from kubernaut.planning.facts import Limits
from kubernaut.safety import check_cel, evaluate_when


def make_observers(
    cluster: Cluster,
    caches: Caches,
    clock: Clock,
    limits: Limits,
    contracts: ImageContracts,
    max_workflow_seconds: float,
    resolved: Callable[[float], None] = lambda _seconds: None,
) -> tuple[WorkflowObserver, ActionObserver]:
    """`resolved` is told how long it took to lay out the dependencies of a workflow."""
    executions = Decoded(caches.executions, ActionExecution)
    doors = Doors(caches, check_cel, contracts, max_workflow_seconds)
    workflows = WorkflowObserver(cluster, caches, clock, limits, executions, evaluate_when, doors, resolved)
    return workflows, ActionObserver(cluster, caches, clock, limits, executions, doors)
