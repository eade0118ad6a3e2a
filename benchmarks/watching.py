"""What a bystander sees of the runs: when Jobs come and end, when workflows end."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from kubernaut.api import names
from kubernaut.cluster import Cluster, Gone, Json, ResourceKind, kinds
from kubernaut.concurrency import Clock, SystemClock

from .shapes import Shape

_ENDED = frozenset(
    {
        "Completed",
        "PartiallyCompleted",
        "Failed",
        "Cancelled",
        "Aborted",
        "TimedOut",
        "Indeterminate",
        "RolledBack",
    }
)


@dataclass
class Witness:
    """Follows one namespace. Moments are seconds of one clock, as the watch told them."""

    cluster: Cluster
    namespace: str
    clock: Clock = field(default_factory=SystemClock)
    phases: dict[str, str] = field(default_factory=dict[str, str])
    ended_at: dict[str, float] = field(default_factory=dict[str, float])
    job_created: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])
    """By workflow and step."""
    job_ended: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])
    job_running: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, kind: ResourceKind, began: asyncio.Event) -> None:
        """Until it is cancelled."""
        note = self._note_job if kind is kinds.JOBS else self._note_workflow
        version = (await self.cluster.list(kind, self.namespace)).resource_version
        while True:
            frames = self.cluster.watch(kind, self.namespace, resource_version=version, opened=began.set)
            try:
                async with aclosing(frames):
                    async for frame in frames:
                        version = frame.object["metadata"]["resourceVersion"]
                        if frame.type in ("ADDED", "MODIFIED"):
                            note(frame.object, self.clock.monotonic())
                            self._news.set()
            except Gone:
                version = (await self.cluster.list(kind, self.namespace)).resource_version

    async def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Whether it held before so many seconds were over."""
        try:
            async with asyncio.timeout(seconds):
                while not holds():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    async def until_ended(self, runs: int, seconds: float) -> bool:
        """Whether so many runs ended before so many seconds were over."""
        return await self.until(lambda: len(self.ended_at) >= runs, seconds)

    def outcome(self, runs: list[str]) -> Counter[str]:
        """How many of them are in which phase."""
        return Counter(self.phases.get(run, "not admitted") for run in runs)

    def gaps(self, runs: list[str], shape: Shape) -> list[float]:
        """Seconds from the end of a Job to the next Job of the same run; only where one waits for one."""
        found: list[float] = []
        for run in runs:
            for step, after in shape.steps.items():
                if len(after) == 1 and (run, step) in self.job_created and (run, after[0]) in self.job_ended:
                    found.append(self.job_created[run, step] - self.job_ended[run, after[0]])
        return found

    def _note_job(self, job: Json, now: float) -> None:
        labels = job["metadata"].get("labels") or {}
        key = labels.get(names.LABEL_WORKFLOW, ""), labels.get(names.LABEL_STEP, "")
        self.job_created.setdefault(key, now)
        status = job.get("status") or {}
        if status.get("active"):
            self.job_running.add(key)
        if any(
            c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in status.get("conditions") or []
        ):
            self.job_ended.setdefault(key, now)

    def _note_workflow(self, workflow: Json, now: float) -> None:
        name, phase = workflow["metadata"]["name"], (workflow.get("status") or {}).get("phase", "")
        self.phases[name] = phase
        if phase in _ENDED:
            self.ended_at.setdefault(name, now)
