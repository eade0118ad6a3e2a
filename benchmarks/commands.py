"""What people wait for at a prompt: help, completion, lint, one action from end to end, watch."""

import asyncio
import json
import os
import pty
import statistics
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from kubernaut.cli.exits import Exit
from kubernaut.cluster import Cluster, kinds
from kubernaut.concurrency import SystemClock

from .place import Target, place
from .processes import cpu_seconds
from .shapes import chain
from .suites import Result

_ROOT = Path(__file__).resolve().parents[1]
_TIMES = 9
_STEPS = 1000
_WATCH_SECONDS = 10.0
_PATIENCE = 120.0
_ACTION = {
    "apiVersion": "workflowexecution.kubernaut.ai/v1alpha1",
    "kind": "WorkflowExecution",
    "metadata": {"generateName": "one-", "namespace": "kubernaut-workflows"},
}


async def measure_commands() -> list[Result]:
    """Seconds from typing to the prompt, in fresh processes: the median of several."""
    words = {"COMP_WORDS": "kubernaut ge", "COMP_CWORD": "1", "_KUBERNAUT_COMPLETE": "bash_complete"}
    with TemporaryDirectory(prefix="kubernaut-benchmark-") as folder:
        file = Path(folder) / "large.json"
        file.write_text(json.dumps(_large(_STEPS)))
        return [
            {
                "suite": "commands",
                "help_ms": await _median_ms("--help"),
                "completion_ms": await _median_ms(environment=words),
                "lint_ms": await _median_ms("lint", str(file), fine=(Exit.SUCCEEDED, Exit.REFUSED)),
                "lint_steps": _STEPS,
            }
        ]


async def measure_action(runs: int) -> list[Result]:
    """A real action, as a process of its own with its own account, from the request to the end seen by a watch."""
    with TemporaryDirectory(prefix="kubernaut-benchmark-") as folder:
        async with _dev_cluster({"XDG_STATE_HOME": folder}) as kubeconfig:
            await _run(
                "apply", "-f", str(_ROOT / "examples/payment-service.yaml"), "--kubeconfig", str(kubeconfig)
            )
            async with Cluster.connect(kubeconfig=kubeconfig, user="benchmark") as cluster:
                seconds = [await _one_action(cluster) for _ in range(runs + 1)][1:]
    return [
        {
            "suite": "action",
            "runs": runs,
            "median_ms": round(statistics.median(seconds) * 1000),
            "fastest_ms": round(min(seconds) * 1000),
            "slowest_ms": round(max(seconds) * 1000),
        }
    ]


async def measure_watch(target: Target, live: int) -> list[Result]:
    """CPU of `kubernaut watch` over so many live executions, on a terminal, while some of them come."""
    async with place(target, "large") as at:
        await at.submit(chain(1), live, ends=False)
        await at.witness.until(lambda: len(at.witness.job_running) >= live, _PATIENCE)
        words = ["watch", "-n", at.namespace, "--kubeconfig", str(target.kubeconfig)]
        screen, ours = pty.openpty()
        drain = asyncio.get_running_loop().run_in_executor(None, _read_all, screen)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "kubernaut.cli", *words, stdin=DEVNULL, stdout=ours, stderr=ours
        )
        os.close(ours)
        clock = SystemClock()
        try:
            await clock.sleep(3.0)  # the list, and the first picture
            before, began = cpu_seconds(process.pid), clock.monotonic()
            await at.submit(chain(3), 10)
            await clock.sleep(_WATCH_SECONDS)
            share = (cpu_seconds(process.pid) - before) / (clock.monotonic() - began)
            if process.returncode is not None:
                raise RuntimeError(f"watch ended by itself with {process.returncode}")
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
            drawn = await drain
    return [{"suite": "watch", "live": live, "changing": 10, "cpu_share": round(share, 3), "drawn_bytes": drawn}]


def _read_all(screen: int) -> int:
    """How many bytes came."""
    count = 0
    with suppress(OSError):  # how the end of a terminal reads on Linux
        while read := len(os.read(screen, 65536)):
            count += read
    os.close(screen)
    return count


async def _median_ms(
    *words: str, environment: Mapping[str, str] | None = None, fine: Sequence[int] = (Exit.SUCCEEDED,)
) -> float:
    clock = SystemClock()
    taken: list[float] = []
    for _ in range(_TIMES):
        began = clock.monotonic()
        await _run(*words, environment=environment, fine=fine)
        taken.append(clock.monotonic() - began)
    return round(statistics.median(taken) * 1000)


async def _run(
    *words: str, environment: Mapping[str, str] | None = None, fine: Sequence[int] = (Exit.SUCCEEDED,)
) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "kubernaut.cli",
        *words,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        env={**os.environ, **(environment or {})},  # noqa: TID251  as a shell would
    )
    said, errors = await process.communicate()
    if process.returncode not in fine:
        raise RuntimeError(f"kubernaut {' '.join(words)} ended with {process.returncode}: {errors.decode()}")
    return said.decode()


@asynccontextmanager
async def _dev_cluster(environment: Mapping[str, str]) -> AsyncGenerator[Path]:
    await _run("dev", "up", environment=environment)
    try:
        yield Path(environment["XDG_STATE_HOME"]) / "kubernaut/dev/kubeconfig"
    finally:
        await _run("dev", "down", environment=environment)


async def _one_action(cluster: Cluster) -> float:
    """Replicas as they are already: the time is ours, not that of pods that become ready."""
    inputs = {"namespace": "production", "deployment": "payment-service", "replicas": 3}
    step = {"name": "scale", "actionType": "kubernetes/scale_deployment", "inputs": inputs}
    clock = SystemClock()
    began = clock.monotonic()
    made = await cluster.create(
        kinds.WORKFLOW_EXECUTIONS, {**_ACTION, "spec": {"steps": [step]}}, "kubernaut-workflows"
    )
    meta = made["metadata"]
    async for event in cluster.watch(
        kinds.WORKFLOW_EXECUTIONS,
        meta["namespace"],
        field_selector=f"metadata.name={meta['name']}",
        resource_version=meta["resourceVersion"],
    ):
        status = event.object.get("status") or {}
        if status.get("completedAt"):
            if status["phase"] != "Completed":
                raise RuntimeError(f"the action ended as {status['phase']}: {status.get('message')}")
            return clock.monotonic() - began
    raise RuntimeError("the watch ended")


def _large(steps: int) -> dict[str, object]:
    inputs = {"namespace": "production", "deployment": "payment-service", "replicas": 3}
    return {
        "apiVersion": "workflowexecution.kubernaut.ai/v1alpha1",
        "kind": "WorkflowExecution",
        "metadata": {"name": "large", "namespace": "kubernaut-workflows"},
        "spec": {
            "steps": [
                {
                    "name": f"s{number}",
                    "actionType": "kubernetes/scale_deployment",
                    "inputs": inputs,
                    **({"runAfter": [f"s{number - 1}"]} if number % 10 else {}),
                }
                for number in range(steps)
            ]
        },
    }
