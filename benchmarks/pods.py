"""What many simulated pods cost the embedded cluster."""

from pathlib import Path
from tempfile import TemporaryDirectory

from kubernaut.cluster import Cluster, Json, kinds
from kubernaut.concurrency import SystemClock

from .processes import cpu_seconds, embedded_cluster, memory_mb
from .suites import Result

_DEPLOYMENTS = 10
_REST_SECONDS = 10.0
_LOOK_SECONDS = 0.5


async def measure_pods(count: int) -> list[Result]:
    """From the first Deployment until all pods are available; then memory, and CPU while nothing happens."""
    clock = SystemClock()
    with TemporaryDirectory(prefix="kubernaut-benchmark-") as folder:
        async with embedded_cluster(Path(folder)) as (pid, _):
            idle = memory_mb(pid)
            async with Cluster.connect(kubeconfig=Path(folder) / "kubeconfig") as cluster:
                began, cpu = clock.monotonic(), cpu_seconds(pid)
                for number in range(_DEPLOYMENTS):
                    await cluster.create(kinds.DEPLOYMENTS, _deployment(number, count), "default")
                while await _available(cluster) < count:
                    await clock.sleep(_LOOK_SECONDS)
                seconds, cpu = clock.monotonic() - began, cpu_seconds(pid) - cpu
            full = memory_mb(pid)
            rested = cpu_seconds(pid)
            await clock.sleep(_REST_SECONDS)
            rested = cpu_seconds(pid) - rested
    return [
        {
            "suite": "pods",
            "pods": count,
            "seconds": round(seconds, 1),
            "cpu_ms_per_pod": round(cpu * 1000 / count, 1),
            "idle_mb": round(idle, 1),
            "full_mb": round(full, 1),
            "kb_per_pod": round((full - idle) * 1000 / count, 1),
            "cpu_share_at_rest": round(rested / _REST_SECONDS, 3),
        }
    ]


async def _available(cluster: Cluster) -> int:
    found = await cluster.list(kinds.DEPLOYMENTS, "default")
    statuses: list[Json] = [one.get("status") or {} for one in found.items]
    return sum(int(status.get("availableReplicas", 0)) for status in statuses)


def _deployment(number: int, count: int) -> Json:
    name = f"simulated-{number}"
    model = {"devcluster.kubernaut.ai/model": "{startSeconds: 1, needsMemory: 32Mi}"}
    return {
        "metadata": {"name": name},
        "spec": {
            "replicas": count // _DEPLOYMENTS,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}, "annotations": model},
                "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]},
            },
        },
    }
