"""Writes the golden recordings anew: `PYTHONPATH=tests python -m golden.record [STORY...]`.

They show today's decisions in runs that matter. Where `make test` says that a decision has changed, and that is
what was wanted, write them anew and let the reviewer see what the test printed. A new format of recordings makes
that necessary too.
"""

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from controllers.bench import Bench, open_bench, step
from controllers.test_crashes import STORIES
from kubernaut.controllers.turn_recording import TurnRecording
from kubernaut.planning.recording import About

HERE = Path(__file__).parent / "recordings"

Story = Callable[[Bench], Awaitable[None]]


def _of_crashes(name: str) -> Story:
    async def play(bench: Bench) -> None:
        steps, more = STORIES[name](bench)
        await bench.submit(name, steps, **more)
        await bench.until_ended(name)

    return play


async def cancelled(bench: Bench) -> None:
    """Stopped in the middle of a step, with one more waiting, and something to be done at the end."""
    steps = [step("long", "wait"), step("later", "succeed", "long")]
    await bench.submit("cancelled", steps, **{"finally": [step("evidence")]})
    await bench.until_acting("long")
    await bench.ask("cancelled", "cancel", reason="enough", requester={"username": "ann"})
    await bench.until_ended("cancelled")


async def crowded(bench: Bench) -> None:
    """Three are ready at once, two may run; the first to be let in is still suspended."""
    steps = [step(name) for name in ("one", "two", "three")]
    await bench.submit(
        "crowded", steps, parallelism=2, requests=[{"type": "suspend", "at": "2026-01-01T00:00:00Z"}]
    )
    await bench.until(
        "crowded", lambda found: (found.get("status") or {}).get("phase") not in (None, "", "Pending")
    )
    await bench.ask("crowded", "resume")
    await bench.until_ended("crowded")


PLAYED: dict[str, Story] = {
    "fork": _of_crashes("fork"),
    "trouble": _of_crashes("trouble"),
    "cancelled": cancelled,
    "crowded": crowded,
}


async def record(name: str, play: Story) -> list[str]:
    """The lines of the recording of one story, by the controller itself."""
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        async with asyncio.timeout(60), open_bench(Path(folder)) as bench:
            about = About(name=name, namespace="kubernaut-workflows", program="0.1.0")
            recording = TurnRecording(lines.append, about)
            async with bench.controller() as controller:
                controller.be_seen_by(recording)
                await play(bench)
            recording.end("ended")
    return lines


async def main(names: list[str]) -> None:
    HERE.mkdir(exist_ok=True)
    for name in names or PLAYED:
        lines = await record(name, PLAYED[name])
        (HERE / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
