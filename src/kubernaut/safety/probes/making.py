"""The panel of evaluators for a cluster and its settings."""

from dataclasses import dataclass

from kubernaut.cluster import Cluster
from kubernaut.concurrency import Clock
from kubernaut.safety.probes.asking import Evaluator, Panel


@dataclass(frozen=True)
class Sources:
    """What probes may look at."""

    cluster: Cluster
    prometheus_url: str = ""
    prometheus_ca_file: str = ""
    prometheus_token_file: str = ""
    allowed_addresses: tuple[str, ...] = ()
    """Networks that `http` probes may ask besides those that everybody may."""
    seconds: float = 10.0
    """For one look."""


def panel_of(sources: Sources, clock: Clock) -> Panel:
    """Raises ValueError for an allowed address that is none."""
    from kubernaut.safety.probes.addresses import Fence
    from kubernaut.safety.probes.http import HttpEvaluator
    from kubernaut.safety.probes.objects import ObjectEvaluator
    from kubernaut.safety.probes.outputs import OutputEvaluator
    from kubernaut.safety.probes.promql import PromqlEvaluator, prometheus_of

    prometheus = prometheus_of(sources.prometheus_url, sources.prometheus_ca_file, sources.prometheus_token_file)
    evaluators: dict[str, Evaluator] = {
        "cel": ObjectEvaluator(sources.cluster),
        "promql": PromqlEvaluator(prometheus, sources.seconds),
        "http": HttpEvaluator(sources.cluster, Fence(sources.allowed_addresses), sources.seconds),
        "output": OutputEvaluator(),
    }
    return Panel(evaluators, clock, sources.seconds)
