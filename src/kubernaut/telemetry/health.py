"""Is the process alive, is it ready: named checks, answered without waiting.

Not here: the HTTP endpoints that show the answers (/healthz and /readyz).
"""

from collections.abc import Callable
from typing import NamedTuple

from kubernaut.concurrency import Clock

Check = Callable[[], str | None]
"""What is wrong, in words; None if nothing is."""


class HealthReport(NamedTuple):
    """The answers of all checks of one endpoint."""

    complaints: dict[str, str | None]

    @property
    def ok(self) -> bool:
        return not any(self.complaints.values())

    @property
    def text(self) -> str:
        """As the API server writes its own /readyz?verbose."""
        lines = [
            f"[-]{name} failed: {complaint}" if complaint else f"[+]{name} ok"
            for name, complaint in self.complaints.items()
        ]
        return "\n".join([*lines, "check passed" if self.ok else "check failed", ""])


class Health:
    """The checks of this process. A process without checks is healthy."""

    def __init__(self) -> None:
        self._alive: dict[str, Check] = {}
        self._ready: dict[str, Check] = {}

    def must_live(self, name: str, check: Check) -> None:
        """For /healthz: only what a restart would mend, such as a loop that stands still."""
        self._alive[name] = check

    def must_be_ready(self, name: str, check: Check) -> None:
        """For /readyz: what must be there before this process can do its work."""
        self._ready[name] = check

    def alive(self) -> HealthReport:
        return _ask(self._alive)

    def ready(self) -> HealthReport:
        return _ask(self._ready)


def _ask(checks: dict[str, Check]) -> HealthReport:
    answers: dict[str, str | None] = {}
    for name, check in checks.items():
        try:
            answers[name] = check()
        except Exception as error:  # noqa: BLE001 - a broken check is an unhealthy answer, no crash
            answers[name] = f"the check itself failed: {error}"
    return HealthReport(answers)


class Heartbeat:
    """A sign of progress that a loop gives; its check complains when it stays away too long."""

    def __init__(self, clock: Clock, limit_seconds: float) -> None:
        self._clock = clock
        self._limit = limit_seconds
        self._at = clock.monotonic()

    def beat(self) -> None:
        self._at = self._clock.monotonic()

    def check(self) -> str | None:
        silent = self._clock.monotonic() - self._at
        return None if silent <= self._limit else f"no progress for {silent:.0f} s"
