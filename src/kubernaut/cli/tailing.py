"""Printing what the pods of an execution write, as they write it, until the execution comes to rest."""

from contextlib import aclosing

from kubernaut.api import names
from kubernaut.cli.following import exit_for
from kubernaut.cli.output import Json, part, parts, value_at
from kubernaut.cli.session import changes_of, versions_of
from kubernaut.cli.terminal import Terminal
from kubernaut.cluster import BadRequest, Cluster, NotFound, ResourceKind, ServerError, Unreachable, kinds
from kubernaut.concurrency import Supervisor

_OPEN = ("Pending", "Blocked", "Running")


class Tails:
    """The logs of all pods that a label selector finds, each line once.

    Lives within one command. Lines of several pods are told apart by step and attempt.
    """

    def __init__(
        self,
        terminal: Terminal,
        cluster: Cluster,
        namespace: str,
        selector: str,
        tail: int | None,
        *,
        prefixed: bool,
    ) -> None:
        self._terminal = terminal
        self._cluster = cluster
        self._namespace = namespace
        self._selector = selector
        self._tail = tail
        self._prefixed = prefixed
        self._seen: set[str] = set()

    async def print_now(self) -> list[Json]:
        """What has been written so far; answers with the pods."""
        pods = await self._pods()
        self._prefixed = self._prefixed or len(pods) > 1
        for pod in pods:
            name = str(pod["metadata"]["name"])
            try:
                text = await self._cluster.logs(
                    self._namespace, name, names.ACTION_CONTAINER, tail_lines=self._tail
                )
            except (BadRequest, NotFound) as error:  # its container has not started, or the pod has just gone
                self._terminal.remark(f"{_title(pod)}: {error.message}")
                continue
            self._say(pod, text.splitlines())
        return pods

    async def follow(self, kind: ResourceKind, name: str, step: str) -> None:
        """Until the execution, or the step, has come to rest and its pods have ended."""
        async with Supervisor() as supervisor:
            watching = supervisor.start("pods", self._watch(supervisor))
            async with aclosing(versions_of(self._cluster, kind, name, self._namespace)) as versions:
                async for found in versions:
                    if found is None or _is_at_rest(found, step):
                        break
            # The watch of the pods may be behind that of the execution.
            for pod in await self._pods():
                self._see(supervisor, pod)
            watching.cancel()

    async def _pods(self) -> list[Json]:
        pods = (await self._cluster.list(kinds.PODS, self._namespace, label_selector=self._selector)).items
        return sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")))

    async def _watch(self, supervisor: Supervisor) -> None:
        watching = changes_of(self._cluster, kinds.PODS, self._namespace, self._selector)
        async with aclosing(watching) as changes:
            async for _, pod in changes:
                if pod is not None:
                    self._see(supervisor, pod)

    def _see(self, supervisor: Supervisor, pod: Json) -> None:
        uid = str(pod["metadata"]["uid"])
        if uid not in self._seen and _has_started(pod):
            self._seen.add(uid)
            supervisor.start(f"log of {pod['metadata']['name']}", self._print_as_written(pod))

    async def _print_as_written(self, pod: Json) -> None:
        rest = ""
        pieces = self._cluster.follow_logs(
            self._namespace, str(pod["metadata"]["name"]), names.ACTION_CONTAINER, tail_lines=self._tail
        )
        try:
            async with aclosing(pieces) as written:
                async for piece in written:
                    *lines, rest = (rest + piece).split("\n")
                    self._say(pod, lines)
        except (BadRequest, NotFound, Unreachable, ServerError) as error:
            self._terminal.remark(f"{_title(pod)}: {error.message}")
        self._say(pod, rest.splitlines())

    def _say(self, pod: Json, lines: list[str]) -> None:
        prefix = f"{self._terminal.paint(_title(pod), 'cyan')}  " if self._prefixed else ""
        for line in lines:
            self._terminal.say(prefix + line)


def _title(pod: Json) -> str:
    labels = part(pod, "metadata.labels")
    return f"{labels.get(names.LABEL_STEP) or pod['metadata']['name']}[{labels.get(names.LABEL_ATTEMPT, '1')}]"


def _has_started(pod: Json) -> bool:
    return any(
        part(status, "state").keys() & {"running", "terminated"}
        for status in parts(pod, "status.containerStatuses")
        if status.get("name") == names.ACTION_CONTAINER
    )


def _is_at_rest(found: Json, step: str) -> bool:
    if exit_for(found) is not None:
        return True
    records = [record for record in parts(found, "status.steps") if step and record["name"] == step]
    return any((value_at(record, "phase") or "Pending") not in _OPEN for record in records)
