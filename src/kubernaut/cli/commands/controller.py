"""`kubernaut controller`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubernaut.cli.commands.settings import load, show
from kubernaut.cli.failures import CommandFailed, only_error
from kubernaut.cli.options import cluster_options, settings_options
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    from kubernaut.settings import Loaded


@click.command("controller")
@settings_options
@click.option("--show-settings", is_flag=True, help="Print every setting, its value and its source, and end.")
@cluster_options
def command(
    file: Path | None,
    assignments: tuple[str, ...],
    preset: str | None,
    show_settings: bool,
    kubeconfig: Path | None,
    context: str | None,
) -> None:
    """Run the controller.

    In a cluster it finds itself at home; outside, --kubeconfig and --context say where to work. Settings come
    from defaults, the preset, the file, the environment (KUBERNAUT_...) and --set, the later ones winning.
    """
    terminal = current_terminal()
    flags = {"cluster.kubeconfig": str(kubeconfig) if kubeconfig else None, "cluster.context": context}
    loaded = load(terminal, file, assignments, preset, flags)
    if show_settings:
        show(terminal, loaded.describe())
    else:
        _serve(terminal, loaded)


def _serve(terminal: Terminal, loaded: "Loaded") -> None:
    from kubernaut.cli.options import Where
    from kubernaut.cli.session import connected, require_installation, speak
    from kubernaut.cluster import LeadershipLost
    from kubernaut.controllers import serve
    from kubernaut.telemetry import set_up_logging

    settings = loaded.settings
    set_up_logging("debug" if terminal.verbose else settings.logging.level, settings.logging.format)
    where = Where(
        Path(settings.cluster.kubeconfig) if settings.cluster.kubeconfig else None,
        settings.cluster.context or None,
    )

    async def work() -> None:
        async with connected(where, terminal, user="kubernaut-controller") as cluster:
            await require_installation(cluster)
            await serve(cluster, settings)

    try:
        speak(work(), for_long=True)
    except* LeadershipLost as lost:
        raise CommandFailed(
            f"another controller leads now, this one ends: {only_error(lost)}",
            mend="Start it again to make it a candidate; Kubernetes does so by itself.",
        ) from None
    except* OSError as error:
        raise _port_taken(only_error(error)) from None


def _port_taken(error: BaseException) -> BaseException:
    if isinstance(error, OSError) and error.strerror and "in use" in error.strerror:
        return CommandFailed(
            f"a port is taken: {error.strerror}",
            mend="Choose others: --set controller.healthPort=0 --set controller.metricsPort=0 takes free ones.",
        )
    return error
