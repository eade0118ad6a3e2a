"""An embedded cluster in a process of its own: `python -m benchmarks.cluster_process FOLDER`.

Prints the seconds that its start took as JSON, serves until its standard input ends. Pods of the benchmark's image
are coroutines that take the fence by the runner's own code and end, or stay if their input says so.
"""

import asyncio
import json
import sys
from pathlib import Path

from kubernaut.cluster import Cluster
from kubernaut.concurrency import SystemClock
from kubernaut.devcluster.cluster import DevCluster
from kubernaut.devcluster.node.machinery import Machinery
from kubernaut.devcluster.node.scripted import ScriptResult, ScriptStart
from kubernaut.sdk.environment import RunnerEnvironment
from kubernaut.sdk.fence import take_fence

from .shapes import IMAGE

ROOM = {"cpu": "10000", "memory": "10000Gi", "ephemeral-storage": "10000Gi", "pods": "10000"}


async def _serve(folder: Path) -> None:
    clock = SystemClock()
    began = clock.monotonic()
    machinery = Machinery(folder / "machinery", allocatable=ROOM)
    async with DevCluster(folder, hooks=[machinery]):
        seconds = clock.monotonic() - began
        async with Cluster.connect(kubeconfig=folder / "kubeconfig", user="runner") as runner:

            async def play(start: ScriptStart) -> ScriptResult:
                environment = RunnerEnvironment.parse(start.environment)
                await take_fence(runner, environment, "benchmark", clock)
                if not json.loads(start.environment["ACTION_INPUTS"]).get("ends", True):
                    await start.terminated.wait()
                message = {"v": 1, "executed": "yes", "outcome": "succeeded", "outputs": {}}
                return ScriptResult(0, termination_message=json.dumps(message))

            machinery.node.scripted.register(IMAGE, play)
            sys.stdout.write(json.dumps({"start_seconds": round(seconds, 3)}) + "\n")
            sys.stdout.flush()
            await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    """Runs until standard input is closed."""
    asyncio.run(_serve(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
