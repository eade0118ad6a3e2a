"""Names that wait for a turn, at most one turn of a name at a time.

The queue holds names, never objects: a turn reads the world again. Not here: what a turn does with
its name, how many workers there are.
"""

import asyncio
import heapq
import random
from collections import deque
from collections.abc import AsyncGenerator, Hashable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from kubernaut.concurrency.clock import Clock, SystemClock

K = TypeVar("K", bound=Hashable)


class QueueClosed(Exception):
    """The queue hands out nothing more; a worker that meets this ends."""


class KeyedQueue(Generic[K]):
    """Keys in, one worker per key.

    Laws: two turns of one key never overlap; a key added is handed out at least once after the
    moment it was added (a key added during its own turn, once more when that turn is done), unless
    the queue is shut down first.

    Adding never waits and keeps no order between keys but that of their arrival.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        backoff_base: float = 0.2,
        backoff_cap: float = 300.0,
        jitter: float = 0.1,
        rng: random.Random | None = None,
    ) -> None:
        """Back-off is in seconds; jitter is the share by which a delay may differ either way."""
        self._clock = clock or SystemClock()
        self._backoff_base = backoff_base
        self._backoff_cap = backoff_cap
        self._jitter = jitter
        self._rng = rng or random.Random()
        self._ready: deque[K] = deque()
        self._ready_keys: set[K] = set()
        self._working: set[K] = set()
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._due: dict[K, float] = {}
        self._timetable: list[tuple[float, int, K]] = []  # entries differing from _due are stale
        self._entries = 0
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at = 0.0
        self._getters: deque[asyncio.Future[None]] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    def __len__(self) -> int:
        """How many keys are ready for a worker."""
        return len(self._ready)

    @property
    def working(self) -> int:
        """How many keys are in a worker's hands."""
        return len(self._working)

    @property
    def delayed(self) -> int:
        """How many keys wait for their time."""
        return len(self._due)

    def failures(self, key: K) -> int:
        """How often in a row `retry` was called for this key."""
        return self._failures.get(key, 0)

    def add(self, key: K) -> None:
        """Ask for a turn now. A later time asked for with `add_after` stays in force."""
        if self._closed:
            return
        if key in self._working:
            self._again.add(key)
        elif key not in self._ready_keys:
            self._ready_keys.add(key)
            self._ready.append(key)
            self._wake_one()

    def add_after(self, key: K, seconds: float) -> None:
        """Ask for a turn in so many seconds; of several such wishes the earliest is kept."""
        if seconds <= 0:
            self.add(key)
            return
        due = self._clock.monotonic() + seconds
        if self._closed or self._due.get(key, due + 1) <= due:
            return
        self._due[key] = due
        self._entries += 1
        heapq.heappush(self._timetable, (due, self._entries, key))
        self._set_alarm()

    def retry(self, key: K) -> float:
        """Ask for a turn after a back-off that doubles with every failure in a row; its seconds."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        # 2**64 base units exceed any cap; the bound keeps the power from overflowing a float.
        delay = min(self._backoff_cap, self._backoff_base * 2.0 ** min(failures - 1, 64))
        delay *= 1 + self._rng.uniform(-self._jitter, self._jitter)
        delay = min(self._backoff_cap, max(self._backoff_base, delay))
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """The key's turn went well: its next back-off starts at the base again."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The next key; the caller owes a `done` for it. Raises QueueClosed after shutdown."""
        while True:
            if self._closed:
                raise QueueClosed
            if self._ready:
                key = self._ready.popleft()
                self._ready_keys.discard(key)
                self._working.add(key)
                self._idle.clear()
                return key
            await self._wait_for_key()

    def done(self, key: K) -> None:
        """The worker's turn is over; a key added meanwhile becomes ready."""
        if key not in self._working:
            raise ValueError(f"{key!r} is in no worker's hands")
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)
        if not self._working:
            self._idle.set()

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[K, None]:
        """`get` and `done` in one: the key is given back however the turn ends."""
        key = await self.get()
        try:
            yield key
        finally:
            self.done(key)

    def shutdown(self) -> None:
        """Hand out nothing more and take nothing more; turns under way may end in peace."""
        self._closed = True
        self._ready.clear()
        self._ready_keys.clear()
        self._again.clear()
        self._due.clear()
        self._timetable.clear()
        if self._alarm is not None:
            self._alarm.cancel()
        for getter in self._getters:
            if not getter.done():
                getter.set_result(None)

    async def drain(self) -> None:
        """Shut down and wait until every turn under way is over."""
        self.shutdown()
        await self._idle.wait()

    async def _wait_for_key(self) -> None:
        getter = asyncio.get_running_loop().create_future()
        self._getters.append(getter)
        try:
            await getter
        except BaseException:
            # Woken and cancelled in one pass: another worker must get the key instead.
            if getter.done() and not getter.cancelled() and self._ready:
                self._wake_one()
            raise
        finally:
            if getter in self._getters:
                self._getters.remove(getter)

    def _wake_one(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return

    def _set_alarm(self) -> None:
        due = self._timetable[0][0]
        if self._alarm is not None and not self._alarm.done():
            if self._alarm_at <= due:
                return
            self._alarm.cancel()
        self._alarm_at = due
        self._alarm = asyncio.get_running_loop().create_task(self._ring(due), name="keyed queue alarm")

    async def _ring(self, due: float) -> None:
        await self._clock.sleep(due - self._clock.monotonic())
        self._alarm = None
        now = self._clock.monotonic()
        while self._timetable:
            moment, _, key = self._timetable[0]
            if self._due.get(key) == moment:
                if moment > now:
                    break
                del self._due[key]
                self.add(key)
            heapq.heappop(self._timetable)
        if self._timetable:
            self._set_alarm()
