"""Plays the program of an action's container in this process: the real function, the real runner, its own account.

Nothing of the result is made up: the runner checks inputs, rehearses, takes the fence, changes and reports, with
the token that the node has put into the pod.
"""

import asyncio
import io
import secrets
import tempfile
from collections.abc import Callable, Mapping

from kubernaut.cluster import Cluster
from kubernaut.concurrency import Clock
from kubernaut.devcluster.node import ScriptResult, ScriptStart
from kubernaut.devcluster.node.scripted import Script
from kubernaut.sdk.declare import AnyAction
from kubernaut.sdk.environment import RunnerEnvironment, read_inputs
from kubernaut.sdk.report import Reporter
from kubernaut.sdk.runner import Means, run_action
from kubernaut.telemetry.redaction import Redactor

_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_TERMINATED = 143


def script_of(action: AnyAction, clock: Clock) -> Script:
    """What the node runs where the action's image is asked for."""

    async def play(start: ScriptStart) -> ScriptResult:
        with tempfile.NamedTemporaryFile(prefix="termination-log-") as log:
            variables = {**_on_host(start), "KUBERNAUT_TERMINATION_LOG": log.name}
            code, out = await _run(action, variables, clock, start)
            return ScriptResult(code, log=out, termination_message=log.read().decode())

    return play


async def _run(
    action: AnyAction, variables: Mapping[str, str], clock: Clock, start: ScriptStart
) -> tuple[int, str]:
    redactor, out, err = Redactor(), io.StringIO(), _Lines(start.log)
    environment = RunnerEnvironment.parse(variables)
    reporter = Reporter(environment, redactor, out, err)

    def connect() -> Cluster:
        return Cluster.connect(environment=variables, user=action.name, clock=clock)

    means = Means(connect, clock, secrets.token_hex(8), redactor, reporter)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(
            run_action(action, environment, lambda: read_inputs(variables, io.StringIO()), means)
        )
        told_to_end = group.create_task(start.terminated.wait())
        await asyncio.wait((running, told_to_end), return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            running.cancel()  # as SIGTERM does to the process
            await asyncio.wait((running,))
        told_to_end.cancel()
    return (_TERMINATED if running.cancelled() else running.result()), out.getvalue()


def _on_host(start: ScriptStart) -> dict[str, str]:
    """The container's variables, with its paths as they are outside of it."""
    variables = dict(start.environment)
    for name, value in variables.items():
        for mount, source in start.files.items():
            if value == mount or value.startswith(f"{mount}/"):
                variables[name] = str(source) + value.removeprefix(mount)
    return {**variables, "KUBERNAUT_SERVICEACCOUNT_DIR": str(start.files[_ACCOUNT])}


class _Lines(io.StringIO):
    """What an action tells people, into its container's log."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._write(text)
        return len(text)
