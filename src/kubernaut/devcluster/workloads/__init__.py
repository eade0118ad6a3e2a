"""The cluster's workload controllers: Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs,
claims, budgets, quotas, lost nodes.

Belongs here: what the controllers of a real cluster decide, as pure functions, and the one loop
that reads, decides and applies. Does not belong here: running pods (`node`), garbage collection and
namespaces (`housekeeping`), and anything that speaks HTTP.
"""

from kubernaut.devcluster.workloads.loop import Workloads, start_workloads
from kubernaut.devcluster.workloads.losses import LossSettings

__all__ = ["LossSettings", "Workloads", "start_workloads"]
