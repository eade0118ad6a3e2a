"""The process of an action container: what `/action-entrypoint` calls.

The runner contract (environment variables, exit codes, termination message) is in docs/runner-contract.md.
Every import here is paid at each start of each action: keep them few.
"""

import asyncio
import io
import os
import secrets
import signal
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NoReturn, TextIO

from kubernaut.cluster import Cluster
from kubernaut.concurrency import Clock, SystemClock
from kubernaut.sdk.declare import Action, AnyAction
from kubernaut.sdk.environment import RunnerEnvironment, read_inputs
from kubernaut.sdk.errors import InputsInvalid
from kubernaut.sdk.report import Reporter
from kubernaut.sdk.runner import EXIT_BAD_INPUTS, Means, run_action
from kubernaut.telemetry.redaction import Redactor


def main(module: str) -> NoReturn:
    """Run the action that the module declares and end the process with its exit code.

    Raises LookupError when the module declares none, or several.
    """
    action = find_action(module)
    variables = os.environ  # noqa: TID251 - the runner contract is an environment; settings are the controller's
    sys.exit(asyncio.run(run_process(action, variables, sys.stdin, sys.stdout, sys.stderr)))


def find_action(module: str) -> AnyAction:
    """The one action that a module declares itself. Raises LookupError."""
    values: list[Any] = list(vars(import_module(module)).values())
    own: list[AnyAction] = [value for value in values if isinstance(value, Action) and value.module == module]
    if len(own) != 1:
        raise LookupError(f"{module} declares {len(own)} actions; an image runs exactly one")
    return own[0]


async def run_process(
    action: AnyAction,
    variables: Mapping[str, str],
    standard_input: TextIO,
    out: TextIO,
    err: TextIO,
    *,
    connect: Callable[[], Cluster] | None = None,
    clock: Clock | None = None,
) -> int:
    """Everything but the end of the process; returns the exit code."""
    redactor = Redactor()
    try:
        environment = RunnerEnvironment.parse(variables)
    except InputsInvalid as error:
        print(redactor.text(str(error)), file=err, flush=True)
        return EXIT_BAD_INPUTS
    clock = clock or SystemClock()

    def connect_here() -> Cluster:
        return Cluster.connect(environment=variables, user=action.name, clock=clock)

    reporter = Reporter(environment, redactor, out, err)
    means = Means(connect or connect_here, clock, secrets.token_hex(8), redactor, reporter)
    _end_on_signal()
    speaking, sys.stdout = sys.stdout, _Spoken(reporter.say)
    try:
        return await run_action(action, environment, lambda: read_inputs(variables, standard_input), means)
    finally:
        sys.stdout = speaking


def _end_on_signal() -> None:
    # The kubelet sends SIGTERM and, after the grace period, SIGKILL: time enough for a truthful report.
    task = asyncio.current_task()
    if task is not None:
        try:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        except (NotImplementedError, RuntimeError, ValueError):  # not the main thread: somebody else's process
            return


class _Spoken(io.TextIOBase):
    """Stands in for standard output while the author's code runs: the last line there must be the outputs."""

    def __init__(self, say: Callable[[str], Any]) -> None:
        self._say = say
        self._line = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._say(line)
        return len(text)

    def flush(self) -> None:
        if self._line:
            self._say(self._line)
            self._line = ""
