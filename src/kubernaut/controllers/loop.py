"""One kind's loop: names come from a queue, every turn looks, decides and carries out.

A turn ends done, with a moment to look again, or with a fault of the cluster: then its name comes back with a
growing delay. Anything else that escapes a turn is a bug of ours: it is logged whole, counted, and the name comes
back in the same way, so that one bad object cannot stop the others.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime

from kubernaut.cluster import ClusterError, Conflict, Key, LeadershipLost
from kubernaut.concurrency import Clock, KeyedQueue, QueueClosed, Supervisor
from kubernaut.telemetry import get_log
from kubernaut.telemetry.metrics import Metrics

log = get_log(__name__)

TakeTurn = Callable[[Key], Awaitable[datetime | None]]


class Loop:
    """Workers over one queue. `turn` answers when to look again."""

    def __init__(self, name: str, turn: TakeTurn, queue: KeyedQueue[Key], clock: Clock, metrics: Metrics) -> None:
        self.name = name
        self.queue = queue
        self.turns = 0
        self.last_turn = clock.monotonic()
        self._turn = turn
        self._clock = clock
        self._metrics = metrics
        metrics.queued.labels(name).set_function(lambda: len(queue))

    def start(self, supervisor: Supervisor, workers: int) -> None:
        """`workers` turns at once at most; never two of one name."""
        for number in range(workers):
            supervisor.start(f"{self.name} {number}", self._work())

    async def _work(self) -> None:
        while True:
            try:
                async with self.queue.turn() as key:
                    await self._take(key)
            except QueueClosed:
                return

    async def _take(self, key: Key) -> None:
        began = self._clock.monotonic()
        outcome = "retry"
        try:
            again = await self._turn(key)
        except LeadershipLost:
            raise
        except Conflict:
            # Somebody wrote in between; our copy catches up by itself.
            self.queue.retry(key)
        except ClusterError as error:
            delay = self.queue.retry(key)
            log.warning(
                "turn failed, trying again",
                loop=self.name,
                object="/".join(key),
                error=str(error),
                seconds=round(delay, 1),
            )
        except Exception:  # the edge of a turn: one bad object must not stop the others
            self.queue.retry(key)
            log.exception("turn has a bug", loop=self.name, object="/".join(key))
        else:
            self.queue.forget(key)
            outcome = "done" if again is None else "look-again"
            if again is not None:
                self.queue.add_after(key, max(0.0, (again - self._clock.now()).total_seconds()))
        finally:
            self.turns += 1
            self.last_turn = self._clock.monotonic()
            self._metrics.turns.labels(self.name, outcome).inc()
            self._metrics.turn_seconds.labels(self.name).observe(self.last_turn - began)
