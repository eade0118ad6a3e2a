"""Processes that are measured: the controller, the embedded cluster."""

import asyncio
import json
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from kubernaut.concurrency import SystemClock

_TICKS = os.sysconf("SC_CLK_TCK")
_READY_SECONDS = 60.0
_END_SECONDS = 60.0
_LOOK_SECONDS = 0.1


class StartFailed(Exception):
    """A process that was to be measured did not come up."""


def cpu_seconds(pid: int) -> float:
    """User and system time of one process so far (`proc_pid_stat(5)`)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def cpu_seconds_by_name(names: Sequence[str]) -> dict[str, float]:
    """The same for all processes of this machine that were started under these names."""
    used = dict.fromkeys(names, 0.0)
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            for name in names:
                if any(Path(word).name in (name, f"{name}.py") for word in words[:3]):
                    used[name] += cpu_seconds(int(folder.name))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
    return used


def memory_mb(pid: int, what: str = "VmRSS") -> float:
    """Resident memory in MB of a million bytes; `VmHWM` is its peak."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(lines[what].split()[0]) * 1024 / 1e6


@dataclass(frozen=True)
class ControllerProcess:
    """The command `kubernaut controller`, alone in its process."""

    pid: int
    metrics_port: int

    async def requests(self) -> Counter[tuple[str, str]]:
        """What it asked of the API server so far, by verb and resource; it says so itself."""
        counted: Counter[tuple[str, str]] = Counter()
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.metrics_port}/metrics") as answer,
        ):
            for family in text_string_to_metric_families(await answer.text()):
                if family.name == "kubernetes_api_requests":
                    for sample in family.samples:
                        counted[sample.labels["verb"], sample.labels["resource"]] += int(sample.value)
        return counted


@asynccontextmanager
async def controller(
    kubeconfig: Path, namespace: str, preset: str, settings: Sequence[str]
) -> AsyncGenerator[ControllerProcess]:
    """A controller at work in one namespace, with everything else as shipped."""
    health, metrics = _free_port(), _free_port()
    given = [
        f"controller.workflowsNamespace={namespace}",
        "controller.leaderElection.enabled=false",
        "controller.bindAddress=127.0.0.1",
        f"controller.healthPort={health}",
        f"controller.metricsPort={metrics}",
        "retention.count=1000000",
        "logging.level=error",
        *settings,
    ]
    words = ["controller", "--kubeconfig", str(kubeconfig), *(["--preset", preset] if preset else [])]
    for setting in given:
        words += ["--set", setting]
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "kubernaut.cli", *words, stdin=DEVNULL)
    try:
        await _ready(process, health)
        yield ControllerProcess(process.pid, metrics)
    finally:
        await _end(process)


@asynccontextmanager
async def embedded_cluster(folder: Path) -> AsyncGenerator[tuple[int, float]]:
    """An embedded cluster; its process and the seconds that its start took."""
    words = ["-m", "benchmarks.cluster_process", str(folder)]
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), _READY_SECONDS)
        if not line:
            raise StartFailed("the embedded cluster did not start")
        yield process.pid, json.loads(line)["start_seconds"]
        process.stdin.close()
    finally:
        await _end(process)


async def _ready(process: Process, port: int) -> None:
    clock = SystemClock()
    deadline = clock.monotonic() + _READY_SECONDS
    async with aiohttp.ClientSession() as session:
        while clock.monotonic() < deadline and process.returncode is None:
            try:
                async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await clock.sleep(_LOOK_SECONDS)
    raise StartFailed("the controller did not become ready; what it says is above")


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _END_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
