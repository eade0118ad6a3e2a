"""Runs one action to its end: inputs, dry run, fence, change, report.

Law: whatever happens, the report says whether anything may have been changed; and nothing is changed 1. before
the inputs are valid, 2. unless the API server accepted every change in the dry run, 3. without the fence.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, cast

import msgspec

from kubernaut.cluster import Cluster, ClusterError, OutcomeUnknown
from kubernaut.concurrency import Clock
from kubernaut.sdk.contracts import Inputs
from kubernaut.sdk.declare import AnyAction
from kubernaut.sdk.environment import RunnerEnvironment, parse_inputs, read_secrets
from kubernaut.sdk.errors import ActionError, DryRunRefused, FenceHeld, InputsInvalid
from kubernaut.sdk.fence import take_fence
from kubernaut.sdk.handle import ClusterHandle
from kubernaut.sdk.journal import Journal, Made
from kubernaut.sdk.report import Ending, Executed, Reporter
from kubernaut.sdk.run import Run, Surroundings
from kubernaut.telemetry.redaction import Redactor

EXIT_SUCCEEDED = 0
EXIT_BAD_INPUTS = 64
EXIT_DRY_RUN_REFUSED = 65
EXIT_REFUSED = 66
EXIT_FAILED = 70
EXIT_ALREADY_RUNNING = 75


@dataclass(frozen=True)
class Means:
    """What a run works with."""

    connect: Callable[[], Cluster]
    clock: Clock
    nonce: str
    redactor: Redactor
    reporter: Reporter


async def run_action(
    action: AnyAction,
    environment: RunnerEnvironment,
    read_given: Callable[[], Mapping[str, Any]],
    means: Means,
) -> int:
    """The exit code of the run; everything else has been told by then.

    Cancelling it (as on SIGTERM) ends it with a report, too.
    """
    return await _Execution(action, environment, means).run(read_given)


class _Execution:
    def __init__(self, action: AnyAction, environment: RunnerEnvironment, means: Means) -> None:
        self._action = action
        self._contract = action.contract.spec
        self._environment = environment
        self._means = means
        self._reporter = means.reporter
        self._rehearsed = Journal()
        self._done = Journal()
        self._started_at = means.clock.now()
        self._cluster: Cluster | None = None

    async def run(self, read_given: Callable[[], Mapping[str, Any]]) -> int:
        async with AsyncExitStack() as stack:
            try:
                inputs = self._inputs(read_given)
                self._cluster = await stack.enter_async_context(self._means.connect())
                async with asyncio.timeout(self._environment.seconds(self._contract)):
                    outputs = await self._carry_out(inputs, self._cluster)
            except InputsInvalid as error:
                return await self._finish(self._ending(False, "InvalidInputs", str(error)), EXIT_BAD_INPUTS)
            except FenceHeld as error:
                return await self._finish(self._ending(False, "AlreadyRunning", str(error)), EXIT_ALREADY_RUNNING)
            except asyncio.CancelledError:
                return await self._fail("Terminated", "it was told to end before it was done")
            except TimeoutError:
                return await self._fail("DeadlineExceeded", "its time was over before it was done")
            except DryRunRefused as error:
                code = EXIT_FAILED if self._done.attempted else EXIT_DRY_RUN_REFUSED
                return await self._finish(self._ending(False, error.reason, error.message), code)
            except ActionError as error:
                return await self._fail(error.reason, error.message)
            except ClusterError as error:
                return await self._fail(
                    type(error).__name__, str(error), unknown=isinstance(error, OutcomeUnknown)
                )
            except Exception as error:  # noqa: BLE001 - an author's bug must still be reported truthfully
                self._reporter.say(_traceback(error))
                return await self._fail("ActionBroken", f"{type(error).__name__}: {error}")
            message = f"{self._action.name} changed {len(self._effective())} object(s)"
            return await self._finish(self._ending(True, "Succeeded", message, outputs), EXIT_SUCCEEDED)

    def _inputs(self, read_given: Callable[[], Mapping[str, Any]]) -> Inputs:
        secrets = read_secrets(self._contract, self._environment.secrets)
        self._means.redactor.add(*secrets.values())
        return parse_inputs(self._action, read_given(), secrets)

    async def _carry_out(self, inputs: Inputs, cluster: Cluster) -> Mapping[str, Any]:
        clock = self._means.clock
        around = Surroundings(
            clock=clock,
            started_at=self._started_at,
            deadline=clock.monotonic() + self._environment.seconds(self._contract),
            say=self._reporter.say,
            redact=self._means.redactor.text,
            hide=self._means.redactor.add,
            correlation_id=self._environment.correlation_id,
            workspace=self._environment.workspace,
            pod_uid=self._environment.pod_uid,
            dependencies=self._environment.dependencies,
        )
        rehearsal = ClusterHandle(cluster, self._rehearsed, rehearsed=None)
        await self._action.carry_out(inputs, Run(rehearsal, self._rehearsed, around))
        if self._environment.lease:
            await take_fence(cluster, self._environment, self._means.nonce, clock)
        else:
            self._reporter.say(
                "no fence was given (KUBERNAUT_LEASE): nothing keeps another run from doing the same"
            )
        handle = ClusterHandle(cluster, self._done, rehearsed=self._rehearsed, before_change=self._announce)
        outputs = await self._action.carry_out(inputs, Run(handle, self._done, around))
        return cast(dict[str, Any], msgspec.to_builtins(outputs, str_keys=True))

    async def _announce(self, made: Made) -> None:
        # An author may say how to undo only when the change is made; the rehearsal has said it already.
        said = self._done if self._done.undo_action else self._rehearsed
        about_to = replace(said, made=[*self._done.made, made], attempted=True)
        target = made.target
        message = f"it ended without a report while it was at {target.kind} {target.namespace}/{target.name}"
        self._reporter.announce(self._ending(False, "Interrupted", message, journal=about_to))

    async def _fail(self, reason: str, message: str, *, unknown: bool = False) -> int:
        code = EXIT_FAILED if self._done.attempted else EXIT_REFUSED
        return await self._finish(self._ending(False, reason, message, unknown=unknown), code)

    def _ending(
        self,
        succeeded: bool,
        reason: str,
        message: str,
        outputs: Mapping[str, Any] | None = None,
        *,
        journal: Journal | None = None,
        unknown: bool = False,
    ) -> Ending:
        journal = journal or self._done
        executed: Executed = "no"
        if journal.attempted:
            executed = "unknown" if unknown else "yes"
        captured_at = self._started_at.isoformat(timespec="seconds").replace("+00:00", "Z")
        return Ending(
            executed=executed,
            succeeded=succeeded,
            reason=reason,
            message=message,
            outputs=outputs or {},
            rollback=journal.rollback(reversible=self._contract.reversible, captured_at=captured_at),
            changes=tuple(made.to_report() for made in journal.made if made.is_effective),
        )

    def _effective(self) -> list[Made]:
        return [made for made in self._done.made if made.is_effective]

    async def _finish(self, ending: Ending, code: int) -> int:
        told = await self._reporter.finish(ending, self._cluster)
        return EXIT_FAILED if ending.succeeded and not told.succeeded else code


def _traceback(error: BaseException) -> str:
    import traceback  # only now: most runs end well, and each import is paid by every one of them

    return "".join(traceback.format_exception(error))
