"""Writes the golden files of this version: `PYTHONPATH=tests python -m golden.capture VERSION`.

Run once for each release, never again for the same: files of a version that is out are never changed.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from controllers.bench import Bench, Killed, open_bench
from controllers.test_crashes import STORIES, Reaper, essence, until_jobs_rest
from kubernaut.cluster import Json

HERE = Path(__file__).parent
KINDS = (
    "workflowexecutions.workflowexecution.kubernaut.ai",
    "actionexecutions.execution.kubernaut.ai",
    "leases.coordination.k8s.io",
    "jobs.batch",
    "pods",
    "persistentvolumeclaims",
    "configmaps",
)
WORLDS_A_STORY = 5


async def _capture(bench: Bench, story: str, number: int, expected: object) -> Json:
    """A run whose controller died after so many writes, and whose Jobs came to their end without it."""
    name = f"{story}-{number}"
    steps, more = STORIES[story](bench)
    await bench.submit(name, steps, **more)
    try:
        async with bench.controller(Reaper(number, "after")):
            await bench.until_ended(name)
    except BaseExceptionGroup as group:
        if group.split(Killed)[0] is None:
            raise
    await until_jobs_rest(bench)
    captured_at = bench.clock.now().isoformat()
    objects = {kind: [_kept(found) for found in bench.objects(kind) if _is_of(found, name)] for kind in KINDS}
    executions = {e["metadata"]["name"]: step for step, e in bench.executions(name).items()}
    effects = {executions[e]: count for e, count in bench.effects.items() if e in executions}
    async with bench.controller():
        await bench.until_ended(name)
    found = json.loads(json.dumps(essence(bench, bench.get(name))))
    if found != expected:
        raise RuntimeError(f"{name} ended otherwise: {found}")
    return {"name": name, "capturedAt": captured_at, "effects": effects, "expected": expected, "objects": objects}


def _kept(found: Json) -> Json:
    meta = {key: value for key, value in found["metadata"].items() if key != "managedFields"}
    return {**found, "metadata": meta}


def _is_of(found: Json, name: str) -> bool:
    labels = found["metadata"].get("labels") or {}
    return name in (found["metadata"]["name"], labels.get("kubernaut.ai/workflow-execution"))


async def main(version: str) -> None:
    folder = HERE / version
    folder.mkdir()
    with tempfile.TemporaryDirectory() as place:
        async with open_bench(Path(place)) as bench:
            for story in ("fork", "trouble"):
                count = Reaper()
                steps, more = STORIES[story](bench)
                await bench.submit(f"{story}-0", steps, **more)
                async with bench.controller(count):
                    await bench.until_ended(f"{story}-0")
                expected = json.loads(json.dumps(essence(bench, bench.get(f"{story}-0"))))
                for part in range(WORLDS_A_STORY):
                    number = 1 + part * (count.seen - 2) // (WORLDS_A_STORY - 1)
                    world = await _capture(bench, story, number, expected)
                    file = folder / f"{story}-{number}.json"
                    file.write_text(json.dumps(world, separators=(",", ":"), sort_keys=True) + "\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
