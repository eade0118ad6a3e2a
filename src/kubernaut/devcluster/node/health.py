"""One start of a container, probed: when it is started and ready, and when it has to end.

Nothing is random here: a probe comes first when its initial delay is over, then each period. Kubelets put the
first one off by up to a period after a restart of their own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from kubernaut.concurrency import Clock
from kubernaut.devcluster.node.acting import ActionBroken, Target, act
from kubernaut.devcluster.node.probing import Count, Probe, ProbeKind, probe_of
from kubernaut.devcluster.objects import Object

_AGENT = "kube-probe/1.32"
_TRIES = 3

Tell = Callable[[str, str, str], None]
"""(type, reason, message) of an Event."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What health needs of its container."""

    target: Target
    tell: Tell
    show: Callable[[bool, bool], None]
    """(started, ready): how it is now."""
    fail: Callable[[Probe], Awaitable[None]]
    """A probe says that the container has to end: end it."""
    stopping: asyncio.Event
    """The pod ends: only readiness still matters."""


class Health:
    """Probes one start of one container; made when it has begun to run."""

    def __init__(self, container: Object, watched: Watched) -> None:
        self._watched = watched
        self._clock: Clock = watched.target.clock
        self._startup = probe_of(container, "startup")
        self._readiness = probe_of(container, "readiness")
        self._liveness = probe_of(container, "liveness")
        self.started = self._startup is None
        self.ready = self.started and self._readiness is None
        self._began = self._clock.monotonic()

    @property
    def is_watched(self) -> bool:
        """Whether there is any probe."""
        return any((self._startup, self._readiness, self._liveness))

    async def watch(self) -> None:
        """Until cancelled, or until the container has to end."""
        if self._startup is not None:
            await self._until_started(self._startup)
        async with asyncio.TaskGroup() as group:
            for probe in (self._readiness, self._liveness):
                if probe is not None:
                    group.create_task(self._keep_probing(probe))

    async def _until_started(self, probe: Probe) -> None:
        if not await self._probe_until(probe, {True, False}):
            await self._fail(probe)
            return
        self.started, self.ready = True, self._readiness is None
        self._watched.show(self.started, self.ready)

    async def _keep_probing(self, probe: Probe) -> None:
        if probe.kind == "liveness":
            await self._probe_until(probe, {False})
            await self._fail(probe)
            return
        count = Count()
        await self._clock.sleep(probe.initial_delay - (self._clock.monotonic() - self._began))
        while True:
            count = await self._once(probe, count)
            verdict = count.verdict(probe)
            if verdict is not None and verdict is not self.ready:
                self.ready = verdict
                self._watched.show(self.started, verdict)
            await self._clock.sleep(probe.period)

    async def _probe_until(self, probe: Probe, wanted: set[bool]) -> bool:
        """The first verdict among these."""
        count = Count()
        await self._clock.sleep(probe.initial_delay - (self._clock.monotonic() - self._began))
        while True:
            if not self._watched.stopping.is_set():
                count = await self._once(probe, count)
            verdict = count.verdict(probe)
            if verdict is not None and verdict in wanted:
                return verdict
            await self._clock.sleep(probe.period)

    async def _fail(self, probe: Probe) -> None:
        if not self._watched.stopping.is_set():
            await self._watched.fail(probe)
        await asyncio.Event().wait()  # whoever waits for the container's end cancels this

    async def _once(self, probe: Probe, count: Count) -> Count:
        name = _name(probe.kind)
        for left in reversed(range(_TRIES)):
            try:
                answer = await act(probe.action, self._watched.target, probe.timeout, _AGENT)
            except ActionBroken as error:
                if left == 0:
                    said = f"{name} probe errored and resulted in unknown state: {error}"
                    self._watched.tell("Warning", "Unhealthy", said)
                continue
            if answer.result == "failure":
                self._watched.tell("Warning", "Unhealthy", f"{name} probe failed: {answer.said}")
            elif answer.result == "warning":
                self._watched.tell("Warning", "ProbeWarning", f"{name} probe warning: {answer.said}")
            return count.after(answer.result != "failure")
        return count


def _name(kind: ProbeKind) -> str:
    return kind.capitalize()
