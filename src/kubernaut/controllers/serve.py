"""The controller as a process: settings in, signals heard, ports open, an orderly end."""

import asyncio
import secrets
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from kubernaut.cluster import Cluster, ElectionTimes
from kubernaut.controllers.controller import Controller, ControllerSettings, LeadershipSettings
from kubernaut.controllers.endpoints import Endpoints
from kubernaut.controllers.registries import RegistrySettings
from kubernaut.controllers.retention import RetentionSettings
from kubernaut.controllers.workflow import WorkspaceSettings
from kubernaut.planning.facts import Limits
from kubernaut.settings import Settings


def controller_settings(settings: Settings) -> ControllerSettings:
    """What the knobs mean for one controller. Pure, but for the identity's random part."""
    execution, controller = settings.execution, settings.controller
    return ControllerSettings(
        namespace=controller.workflows_namespace,
        limits=limits_of(settings),
        qps=settings.cluster.qps,
        burst=settings.cluster.burst,
        workers=controller.workers,
        max_workflow_seconds=execution.max_workflow_timeout,
        registries=_registries(settings),
        workspace=WorkspaceSettings(execution.workspace_size, execution.storage_class),
        retention=RetentionSettings(
            settings.retention.age, settings.retention.count, settings.retention.sweep_interval
        ),
        leadership=_leadership(settings),
    )


def limits_of(settings: Settings) -> Limits:
    """The settings that decisions depend on."""
    execution = settings.execution
    return Limits(
        default_parallel=execution.max_parallel_steps,
        complexity_threshold=execution.complexity_approval_threshold,
        grace_seconds=execution.grace_period,
        approval_quorum=settings.approval.quorum,
        approval_users=settings.approval.users,
        approval_groups=settings.approval.groups,
        approval_seconds=settings.approval.timeout,
        unfenced_needs_approval=execution.unfenced_needs_approval,
        judging_seconds=settings.registry.patience,
        job_ttl_seconds=execution.job_ttl_seconds_after_finished,
    )


async def serve(cluster: Cluster, settings: Settings, ready: Callable[[Endpoints], None] | None = None) -> None:
    """Runs a controller until SIGTERM or SIGINT.

    Raises OSError when a port is taken, LeadershipLost (in an ExceptionGroup) when another controller took over.
    `ready` is told once the ports are open.
    """
    controller = Controller(cluster, controller_settings(settings))
    process = settings.controller
    endpoints = Endpoints(
        controller.health, controller.metrics, process.bind_address, process.health_port, process.metrics_port
    )
    await endpoints.start()
    try:
        if ready is not None:
            ready(endpoints)
        with _heeding_signals(controller.stop):
            await controller.run()
    finally:
        await endpoints.stop()


def _registries(settings: Settings) -> RegistrySettings:
    given = settings.registry
    return RegistrySettings(
        docker_configs=(Path(given.docker_config),) if given.docker_config else (),
        plain_http=given.plain_http,
        layouts=tuple(map(Path, given.layouts)),
    )


def _leadership(settings: Settings) -> LeadershipSettings | None:
    election = settings.controller.leader_election
    if not election.enabled:
        return None
    host = election.identity or socket.gethostname()
    return LeadershipSettings(
        identity=f"{host}_{secrets.token_hex(4)}",
        namespace=settings.controller.system_namespace,
        times=ElectionTimes(election.lease, election.renew, election.retry),
    )


@contextmanager
def _heeding_signals(stop: Callable[[], None]) -> Generator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
