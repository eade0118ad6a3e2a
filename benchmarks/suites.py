"""The measurements. Each answers with plain values: they go into the table and the JSON as they are."""

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from kubernaut.cluster import Cluster, kinds
from kubernaut.concurrency import SystemClock

from .place import Target, place, writes_of
from .processes import cpu_seconds, cpu_seconds_by_name, embedded_cluster, memory_mb
from .shapes import FORK, Shape, chain

Result: TypeAlias = dict[str, Any]

_PATIENCE = 300.0


async def measure_writes(target: Target, runs: int) -> list[Result]:
    """API writes of one run, by verb and kind, against the budget."""
    results: list[Result] = []
    for shape in (chain(1), chain(3), chain(5), FORK):
        async with place(target, "large") as at:
            before = await at.controller.requests()
            names = await at.submit(shape, runs)
            await at.witness.until_ended(runs, _PATIENCE)
            asked = await at.controller.requests() - before
            fences = await at.fences_taken()
        writes = writes_of(asked)
        allowed = shape.budget - (0 if fences else len(shape.steps))
        results.append(
            {
                "suite": "writes",
                "shape": shape.name,
                "runs": runs,
                "outcome": at.witness.outcome(names),
                "writes_per_run": (sum(writes.values()) + fences) / runs,
                "budget": allowed,
                "fences_taken_per_run": fences / runs,
                "controller_writes_per_run": {what: n / runs for what, n in sorted(writes.items())},
                "events_per_run": asked["create", "events"] / runs,
                "reads_per_run": asked_reads(asked) / runs,
            }
        )
    return results


async def measure_overhead(target: Target, runs: int) -> list[Result]:
    """From a child's end to the next Job, one run after the other: nobody waits for anybody else."""
    shape = chain(5)
    async with place(target) as at:
        names: list[str] = []
        for _ in range(runs):
            names += await at.submit(shape, 1)
            await at.witness.until_ended(len(names), _PATIENCE)
        gaps = at.witness.gaps(names, shape)
    outcome = at.witness.outcome(names)
    return [{"suite": "overhead", "shape": shape.name, "runs": runs, "outcome": outcome, **_quantiles(gaps)}]


async def measure_rate(
    target: Target, shape: Shape, runs: int, preset: str, settings: Sequence[str], others: Sequence[str]
) -> Result:
    """So many runs submitted at once: runs a second from the first submission to the last end."""
    clock = SystemClock()
    async with place(target, preset, tuple(settings)) as at:
        asked = await at.controller.requests()
        beside = cpu_seconds_by_name(others)
        cpu, began = cpu_seconds(at.controller.pid), clock.monotonic()
        names = await at.submit(shape, runs)
        submitted = clock.monotonic() - began
        await at.witness.until_ended(runs, _PATIENCE)
        seconds = max(at.witness.ended_at.values(), default=clock.monotonic()) - began
        cpu = cpu_seconds(at.controller.pid) - cpu
        beside = {name: used - beside[name] for name, used in cpu_seconds_by_name(others).items()}
        asked = await at.controller.requests() - asked
        peak = memory_mb(at.controller.pid, "VmHWM")
    return {
        "suite": "rate",
        "shape": shape.name,
        "preset": preset or "default",
        "settings": list(settings),
        "runs": runs,
        "outcome": at.witness.outcome(names),
        "seconds": round(seconds, 2),
        "submitted_after_seconds": round(submitted, 2),
        "runs_per_second": round(len(at.witness.ended_at) / seconds, 2),
        "steps_per_second": round(len(at.witness.job_ended) / seconds, 1),
        "controller_cpu_seconds_per_run": round(cpu / runs, 4),
        "controller_cpu_share": round(cpu / seconds, 2),
        "other_cpu_seconds_per_run": {name: round(used / runs, 4) for name, used in beside.items()},
        "controller_peak_mb": round(peak, 1),
        "reads_per_run": round(asked_reads(asked) / runs, 1),
        **_quantiles(at.witness.gaps(names, shape)),
    }


async def measure_live(target: Target, runs: int) -> list[Result]:
    """Memory of the controller while so many runs are live, each with a pod that stays."""
    async with place(target, "large") as at:
        idle = memory_mb(at.controller.pid)
        await at.submit(chain(1), runs, ends=False)
        await at.witness.until(lambda: len(at.witness.job_running) >= runs, _PATIENCE)
        fences = await at.fences_taken()
        live, peak = memory_mb(at.controller.pid), memory_mb(at.controller.pid, "VmHWM")
        running = len(at.witness.job_running)
        cpu, clock = cpu_seconds(at.controller.pid), SystemClock()
        await clock.sleep(5.0)
        cpu = cpu_seconds(at.controller.pid) - cpu
    return [
        {
            "suite": "live",
            "live": running,
            "fences_taken": fences,
            "idle_mb": round(idle, 1),
            "live_mb": round(live, 1),
            "peak_mb": round(peak, 1),
            "kb_per_run": round((live - idle) * 1000 / max(1, running), 1),
            "cpu_share_at_rest": round(cpu / 5.0, 3),
        }
    ]


async def measure_embedded(writes: int) -> list[Result]:
    """The embedded cluster itself: start, idle memory, writes a second over HTTP."""
    clock = SystemClock()
    with TemporaryDirectory(prefix="kubernaut-benchmark-") as folder:
        async with embedded_cluster(Path(folder)) as (pid, seconds):
            idle = memory_mb(pid)
            async with Cluster.connect(kubeconfig=Path(folder) / "kubeconfig") as cluster:
                began = clock.monotonic()
                waiting = iter(range(writes))

                async def create() -> None:
                    for number in waiting:
                        body = {"metadata": {"name": f"written-{number}"}, "data": {"number": str(number)}}
                        await cluster.create(kinds.CONFIG_MAPS, body, "default")

                async with asyncio.TaskGroup() as group:
                    for _ in range(8):
                        group.create_task(create())
                rate = writes / (clock.monotonic() - began)
    start = {"start_seconds": seconds, "idle_mb": round(idle, 1), "writes_per_second": round(rate)}
    return [{"suite": "embedded", **start}]


def asked_reads(asked: Counter[tuple[str, str]]) -> int:
    """Single objects read: the second looks before what cannot be undone."""
    return sum(count for (verb, _), count in asked.items() if verb == "get")


def load_average() -> tuple[float, float]:
    """Of the last minute and of the last five: what else the machine was doing."""
    one, five, _ = os.getloadavg()
    return round(one, 2), round(five, 2)


def _quantiles(gaps: list[float]) -> Result:
    ordered = sorted(gaps)
    if not ordered:
        return {"gaps": 0}

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 1)

    return {"gaps": len(ordered), "gap_p50_ms": at(0.5), "gap_p99_ms": at(0.99)}
