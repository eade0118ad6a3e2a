"""How often something may be begun.

Not here: how many things may be under way at once; that is a decision of the planner.
"""

from kubernaut.concurrency.clock import Clock, SystemClock


class Limiter:
    """A token bucket: `burst` at once, then `qps` a second, first come first served."""

    def __init__(self, qps: float, burst: int, clock: Clock | None = None) -> None:
        if qps <= 0 or burst < 1:
            raise ValueError(f"a limiter needs qps > 0 and burst >= 1, not {qps} and {burst}")
        self._qps = qps
        self._burst = burst
        self._clock = clock or SystemClock()
        self._tokens = float(burst)
        self._counted_at = self._clock.monotonic()

    async def take(self) -> float:
        """Wait for a turn; how many seconds that took.

        A token is reserved at once, so the order is that of the calls; a cancelled wait gives its
        token back.
        """
        self._refill()
        self._tokens -= 1
        if self._tokens >= 0:
            return 0.0
        wait = -self._tokens / self._qps
        try:
            await self._clock.sleep(wait)
        except BaseException:
            self._tokens += 1
            raise
        return wait

    def _refill(self) -> None:
        now = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._counted_at) * self._qps)
        self._counted_at = now
