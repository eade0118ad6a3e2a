"""Time as an argument: the real clock, and one that tests can move.

Not here: deadlines of network calls, which belong to the network library and to real time.
"""

import asyncio
import heapq
import itertools
import time
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

_T = TypeVar("_T")

_EPOCH = datetime(2030, 1, 1, tzinfo=UTC)
# One pass lets the event loop poll its sockets, a second one lets what arrived be handled; the
# third is slack for loops that do not show their ready queue.
_IDLE_PASSES = 3


class Clock(Protocol):
    """What a room may know of time."""

    def now(self) -> datetime:
        """Wall-clock time, aware, UTC. For records; never for measuring a duration."""
        ...

    def monotonic(self) -> float:
        """Seconds since an unspecified moment; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; zero or less only lets others run."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class VirtualClock:
    """A clock that stands still until everybody waits, then jumps to the next wake-up.

    "Everybody" is every task of the running event loop: the clock moves only when the loop has
    nothing ready, several passes in a row. Work in threads or other processes cannot be seen;
    `settle` is the real time, in seconds, that the loop must stay idle before a jump to give such
    work a chance. With `autojump=False` the clock moves by `advance` alone.

    Sleepers wake in the order of their wake-up times, and of their calls where those are equal.
    """

    def __init__(self, start: datetime = _EPOCH, *, autojump: bool = True, settle: float = 0.0) -> None:
        self._start = start
        self._elapsed = 0.0
        self._autojump = autojump
        self._settle = settle
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._probe: asyncio.Handle | None = None

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), future))
        self._look_for_idleness()
        await future

    async def advance(self, seconds: float) -> None:
        """Move by hand; sleepers due on the way wake at their own time, and run before it goes on.

        Only for a clock without autojump: two hands on one clock cannot be told apart.
        """
        if self._autojump:
            raise RuntimeError("this clock moves by itself; make it with autojump=False")
        end = self._elapsed + seconds
        while (due := self._next_due()) is not None and due <= end:
            self._jump_to(due)
            await self._others_to_rest()
        self._elapsed = end
        await self._others_to_rest()

    def _next_due(self) -> float | None:
        while self._sleepers and self._sleepers[0][2].done():  # cancelled while asleep
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def _jump_to(self, moment: float) -> None:
        self._elapsed = max(self._elapsed, moment)
        while (due := self._next_due()) is not None and due <= self._elapsed:
            heapq.heappop(self._sleepers)[2].set_result(None)

    async def _others_to_rest(self) -> None:
        loop = asyncio.get_running_loop()
        passes = 0
        while passes < _IDLE_PASSES:
            await asyncio.sleep(0)
            passes = passes + 1 if _nothing_ready(loop) else 0

    def _look_for_idleness(self) -> None:
        if self._autojump and (self._probe is None or self._probe.cancelled()):
            loop = asyncio.get_running_loop()
            self._probe = loop.call_soon(self._look, loop, 0)

    def _look(self, loop: asyncio.AbstractEventLoop, idle_passes: int) -> None:
        if self._next_due() is None:
            # Nobody sleeps any more. To look on would keep the next clock of this loop from ever seeing it idle.
            self._probe = None
            return
        idle_passes = idle_passes + 1 if _nothing_ready(loop) else 0
        if idle_passes < _IDLE_PASSES:
            self._probe = loop.call_soon(self._look, loop, idle_passes)
        elif self._settle and idle_passes == _IDLE_PASSES:
            # After the pause one more pass must find nothing to do, else counting starts again.
            self._probe = loop.call_later(self._settle, self._look, loop, idle_passes)
        else:
            self._probe = None
            if (due := self._next_due()) is not None:
                self._jump_to(due)
            if self._sleepers:
                self._look_for_idleness()


def _nothing_ready(loop: asyncio.AbstractEventLoop) -> bool:
    # asyncio has no public question for this. Its own loops keep `_ready`, from which callbacks
    # are taken one by one; loops that hide it (uvloop) are only given their passes.
    return not getattr(loop, "_ready", ())


async def wait_for_event(event: asyncio.Event, clock: Clock, seconds: float) -> bool:
    """Wait until the event is set or so many seconds of the clock have passed; whether it is set.

    `asyncio.timeout` cannot do this: it knows only the event loop's own time.
    """
    if event.is_set() or seconds <= 0:
        return event.is_set()
    waiting = asyncio.ensure_future(event.wait())
    sleeping = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait((waiting, sleeping), return_when=asyncio.FIRST_COMPLETED)
        return event.is_set()
    finally:
        for task in (waiting, sleeping):
            task.cancel()
        await asyncio.wait((waiting, sleeping))


async def within(clock: Clock, seconds: float, work: Coroutine[Any, Any, _T]) -> _T:
    """The work's result; TimeoutError if it takes longer than so many seconds of the clock.

    Work that takes too long is cancelled, and waited for.
    """
    working = asyncio.ensure_future(work)
    sleeping = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait((working, sleeping), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise TimeoutError(f"not done within {seconds:g} s")
    finally:
        for task in (working, sleeping):
            task.cancel()
        await asyncio.wait((working, sleeping))
