"""One pass of one run of an action, as its author's function gets it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from kubernaut.api.names import dependency_variable
from kubernaut.cluster import NotFound
from kubernaut.concurrency import Clock
from kubernaut.sdk.errors import Failed, Refused
from kubernaut.sdk.handle import ClusterHandle
from kubernaut.sdk.journal import Journal
from kubernaut.sdk.undo import Object

_FIRST_LOOK_SECONDS = 0.05
_LAST_LOOK_SECONDS = 0.5
# What is left for the report after the last wait has failed.
_REPORT_SECONDS = 2.0


@dataclass(frozen=True)
class Surroundings:
    """What both passes of a run share."""

    clock: Clock
    started_at: datetime
    deadline: float
    """On the clock's monotonic scale, in seconds."""
    say: Callable[[str], None]
    redact: Callable[[str], str]
    hide: Callable[[str], None]
    correlation_id: str = ""
    workspace: Path | None = None
    pod_uid: str = ""
    dependencies: Mapping[str, Path] = field(default_factory=dict[str, Path])


class Run:
    """What an action has at hand. One for the dry-run pass, another for the real one."""

    def __init__(self, cluster: ClusterHandle, journal: Journal, around: Surroundings) -> None:
        self.cluster = cluster
        """The cluster; see ClusterHandle."""
        self._journal = journal
        self._around = around

    @property
    def is_dry_run(self) -> bool:
        """Is this the pass that keeps nothing? Effects outside the cluster belong into the other one."""
        return self.cluster.is_dry_run

    @property
    def started_at(self) -> datetime:
        """When this run began (aware, UTC); the same in both passes."""
        return self._around.started_at

    @property
    def correlation_id(self) -> str:
        """What ties this run to the workflow's records; empty when run by hand."""
        return self._around.correlation_id

    @property
    def pod_uid(self) -> str:
        """The uid of the pod that this runs in; empty when run by hand."""
        return self._around.pod_uid

    @property
    def workspace(self) -> Path | None:
        """The folder that the steps of a workflow share, if this step uses it."""
        return self._around.workspace

    def secret(self, name: str, key: str) -> str:
        """A value of a Secret among the action's `dependencies`; the runner hides it from now on.

        Raises Refused("DependencyMissing") when the Secret was not mounted or has no such key.
        """
        value = self._dependency("secret", name, key)
        self.hide(value.strip())
        return value

    def config(self, name: str, key: str) -> str:
        """A value of a ConfigMap among the action's `dependencies`. Raises as `secret` does."""
        return self._dependency("configmap", name, key)

    def _dependency(self, kind: str, name: str, key: str) -> str:
        variable = dependency_variable(kind, name)
        folder = self._around.dependencies.get(variable)
        if folder is None:
            told = f"the {kind} {name} is not mounted: name it in the action's dependencies, or set {variable}"
            raise Refused("DependencyMissing", told)
        try:
            return (folder / key).read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            told = f"the {kind} {name} gives no text for the key {key}: {type(error).__name__}"
            raise Refused("DependencyMissing", told) from error

    @property
    def seconds_left(self) -> float:
        """Seconds until the run's own deadline; 0 when it is over."""
        return max(0.0, self._around.deadline - self._around.clock.monotonic())

    def say(self, text: str) -> None:
        """Tell people how it goes: one line of the log, redacted. Raises nothing."""
        self._around.say(text)

    def redact(self, text: str) -> str:
        """The text without what is, or looks like, a secret: for whatever the action itself writes elsewhere.

        Outputs, messages and everything printed are redacted by the runner. Raises nothing.
        """
        return self._around.redact(text)

    def hide(self, secret: str) -> None:
        """From now on the runner takes this value, too, out of all that it tells (four characters at least).

        Secret inputs are known to it; this is for what an action reads from Secrets itself. Raises nothing.
        """
        self._around.hide(secret)

    def undo_with(
        self, action_type: str, inputs: Mapping[str, Any], *, changes_as: str = "", **facts: Any
    ) -> None:
        """Say which action undoes this one; to be called before the first change.

        action_type, inputs: a step that restores exactly what this action owned.
        changes_as: the input of that action which takes the list of all that was changed, for actions that
            change several objects: `{apiVersion, kind, namespace, name, uid}` and either `patch`, a JSON patch
            that restores the object's fields, or `created: true`.
        facts: more for people and older tools, as `previous_replicas=3`.

        Without it the rollback information of a `reversible` action is the list of the objects it patched, each
        with a JSON patch that restores its fields and is refused where somebody else has changed them since.

        Raises nothing.
        """
        self._journal.undo_action = action_type
        self._journal.undo_inputs = dict(inputs)
        self._journal.undo_facts = facts
        self._journal.undo_list = changes_as

    async def wait_for(
        self,
        obj: Object,
        until: Callable[[Object], str | None],
        *,
        seconds: float | None = None,
    ) -> Object:
        """Read an object again until its state is right; answers with the state that was.

        until: gets the object; answers None when it is right, else what is still missing, in words ("2 of 5
            replicas are available"). It may raise Failed when it never will be.
        seconds: how long at most; None waits until shortly before the run's deadline.

        In the dry-run pass nothing is waited for: the answer is `obj` as it came.

        Raises Failed("NotInTime") with the last words of `until`; Failed("Gone") when the object was deleted;
        ClusterError.
        """
        if self.is_dry_run:
            return obj
        now = obj

        async def missing() -> str | None:
            nonlocal now
            try:
                now = await self.cluster.read_again(obj)
            except NotFound as error:
                raise Failed("Gone", f"{_named(obj)} was deleted while it was waited for") from error
            return until(now)

        await self.wait_until(missing, what=_named(obj), seconds=seconds)
        return now

    async def wait_until(
        self,
        missing: Callable[[], Awaitable[str | None]],
        *,
        what: str = "the effect",
        seconds: float | None = None,
    ) -> None:
        """Ask again and again what is missing, until nothing is; in the dry-run pass, not at all.

        missing: answers None when all is right, else what is missing, in words; it may raise Failed.
        what: what is waited for, in words.
        seconds: as in `wait_for`.

        Raises Failed("NotInTime") with the last words of `missing`.
        """
        if self.is_dry_run:
            return
        clock = self._around.clock
        left = max(0.0, self.seconds_left - _REPORT_SECONDS)
        end = clock.monotonic() + (left if seconds is None else min(seconds, left))
        pause = _FIRST_LOOK_SECONDS
        said = ""
        while (text := await missing()) is not None:
            if text != said:
                self.say(f"waiting for {what}: {text}")
                said = text
            if clock.monotonic() + pause >= end:
                raise Failed("NotInTime", f"{what} is not as it should be in time: {text}")
            await clock.sleep(pause)
            pause = min(pause * 1.4, _LAST_LOOK_SECONDS)

    async def wait_until_gone(self, obj: Object, *, seconds: float | None = None) -> None:
        """Wait until exactly this object (by uid) is gone; `seconds` as in `wait_for`.

        Raises Failed("NotInTime"), ClusterError.
        """

        def still_there(_: Object) -> str:
            return "it is still there"

        try:
            await self.wait_for(obj, still_there, seconds=seconds)
        except Failed as end:
            if end.reason != "Gone":
                raise


def _named(obj: Object) -> str:
    meta = obj["metadata"]
    place = f"{meta['namespace']}/" if meta.get("namespace") else ""
    return f"{obj.get('kind', 'object')} {place}{meta['name']}"
