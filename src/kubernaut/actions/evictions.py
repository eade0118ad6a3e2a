"""Evicting several pods: budgets that say "not now" are asked again, and every pod is waited for by its uid."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from kubernaut.sdk import Failed, Object, Run, TooManyRequests

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0
# How many of what is waited for are named.
_MOST_NAMED = 5

Present = Callable[[], Awaitable[Iterable[Object]]]
"""The pods that are there now, among them all that were not gone at the time of asking."""


async def evict_pods(
    run: Run, pods: Sequence[Object], present: Present, *, grace_period_seconds: int | None = None
) -> None:
    """Evict the pods and wait until they are gone, at most until shortly before the run's deadline.

    In the dry-run pass budgets that forbid it now are told and forbid nothing: each pod that goes may make room.

    Raises Failed("BlockedByBudget") naming budgets and pods, Failed("NotInTime"); ClusterError.
    """
    evictions = _Evictions(run, pods, grace_period_seconds)
    await evictions.ask()
    if run.is_dry_run:
        for pod, why in evictions.blocked.items():
            run.say(f"{pod} may not go now: {why}")
        return

    async def missing() -> str | None:
        await evictions.ask()
        return evictions.missing(await present())

    try:
        await run.wait_until(missing, what="the eviction")
    except Failed as end:
        if end.reason == "NotInTime" and evictions.blocked:
            raise Failed("BlockedByBudget", f"in time, not all pods could be evicted: {evictions.told()}") from end
        raise


def pod_name(pod: Object) -> str:
    """`shop/web-1`."""
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def budget_in(error: TooManyRequests) -> str:
    """What the API server says of the budget that forbids an eviction."""
    causes = [cause.message for cause in error.causes if cause.reason == "DisruptionBudget"]
    return "; ".join(causes) or error.message


def few(names: Iterable[str]) -> str:
    """The first of them, and how many more."""
    listed = list(names)
    more = len(listed) - _MOST_NAMED
    return ", ".join(listed[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


class _Evictions:
    def __init__(self, run: Run, pods: Sequence[Object], grace_period_seconds: int | None) -> None:
        self._run = run
        self._grace = grace_period_seconds
        self._pods: Mapping[str, Object] = {pod["metadata"]["uid"]: pod for pod in pods}
        # uid -> when to ask (on the scale of `seconds_left`, which runs backwards), and the pause before that.
        self._due = dict.fromkeys(self._pods, (run.seconds_left, 0.0))
        self.blocked: dict[str, str] = {}
        """Pod -> what the budget says; as it was when last asked."""

    async def ask(self) -> None:
        """Ask for all whose time has come."""
        for uid, (due, pause) in list(self._due.items()):
            if self._run.seconds_left > due:
                continue
            pod = self._pods[uid]
            try:
                await self._run.cluster.evict(pod, grace_period_seconds=self._grace)
            except TooManyRequests as error:
                pause = min(max(pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)
                self._due[uid] = (self._run.seconds_left - pause, pause)
                self.blocked[pod_name(pod)] = budget_in(error)
                continue
            del self._due[uid]
            self.blocked.pop(pod_name(pod), None)
            if not self._run.is_dry_run:
                self._run.say(f"evicted {pod_name(pod)}")

    def missing(self, present: Iterable[Object]) -> str | None:
        """What is still to be waited for."""
        there = [pod_name(pod) for pod in present if pod["metadata"]["uid"] in self._pods]
        waited = [name for name in there if name not in self.blocked]
        parts = [f"{len(waited)} pods are still ending ({few(sorted(waited))})"] if waited else []
        if self.blocked:
            parts.append(self.told())
        if self._due and not parts:
            parts.append(f"{len(self._due)} pods are to be evicted")
        return "; ".join(parts) or None

    def told(self) -> str:
        """Which pods are held, and by what."""
        return few(f"{pod}: {why}" for pod, why in sorted(self.blocked.items()))
