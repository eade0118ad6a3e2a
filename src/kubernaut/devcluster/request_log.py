"""Every call of the API server: who, what, how it ended. Bounded; for tests and benchmarks."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_REVIEWS = ("subjectaccessreviews", "selfsubjectaccessreviews", "tokenreviews", "serviceaccounts/token")


@dataclass(frozen=True, slots=True)
class Call:
    user: str
    verb: str
    group: str
    resource: str
    """Plural and subresource: `pods`, `pods/status`; empty for a path that is no resource."""
    namespace: str
    name: str
    """Of a create, the name that the object got."""
    code: int
    seconds: float
    path: str
    agent: str
    """User-Agent."""
    is_dry_run: bool = False

    @property
    def is_write(self) -> bool:
        """Whether it asks for a change: reviews and dry runs do not."""
        return self.verb in WRITES and not self.is_dry_run and self.resource not in _REVIEWS

    @property
    def kind(self) -> str:
        """`jobs.batch`, `pods/status`."""
        return f"{self.resource}.{self.group}" if self.group else self.resource


class RequestLog:
    """Counts are exact since the last `reset`; single calls are kept for the last `limit`."""

    def __init__(self, limit: int = 20_000) -> None:
        self._calls: deque[Call] = deque(maxlen=limit)
        self.counts: Counter[tuple[str, str, str]] = Counter()
        """(user, verb, kind) -> calls. Watches count when they begin."""

    def note(self, call: Call) -> None:
        self._calls.append(call)
        self.counts[call.user, call.verb, call.kind] += 1

    @property
    def calls(self) -> Sequence[Call]:
        """The recent calls, oldest first, in the order in which they ended."""
        return tuple(self._calls)

    def find(
        self, *, user: str = "", verb: str = "", kind: str = "", namespace: str = "", name: str = ""
    ) -> list[Call]:
        """The recent calls that match every given value."""
        return [
            call
            for call in self._calls
            if (not user or call.user == user)
            and (not verb or call.verb == verb)
            and (not kind or call.kind == kind)
            and (not namespace or call.namespace == namespace)
            and (not name or call.name == name)
        ]

    def writes(self, user: str = "") -> list[Call]:
        """Successful recent writes; events, reviews and dry runs left out."""
        return [
            call
            for call in self._calls
            if call.is_write and call.code < 300 and call.resource != "events" and (not user or call.user == user)
        ]

    def snapshot(self) -> Counter[tuple[str, str, str]]:
        return Counter(self.counts)

    def reset(self) -> None:
        self._calls.clear()
        self.counts.clear()
