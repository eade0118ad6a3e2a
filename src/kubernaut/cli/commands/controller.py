"""`kubernaut controller`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed, only_error
from kubernaut.cli.options import cluster_options
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    from kubernaut.settings import Loaded


@click.command("controller")
@click.option("--settings", "file", type=click.Path(path_type=Path), help="YAML file of settings.")
@click.option("--set", "assignments", multiple=True, metavar="PATH=VALUE", help="One setting. Repeatable.")
@click.option("--preset", type=click.Choice(["small", "medium", "large"]), help="Limits fit for a cluster's size.")
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
    flags: dict[str, object] = {
        "cluster.kubeconfig": str(kubeconfig) if kubeconfig else None,
        "cluster.context": context,
        "controller.preset": preset,
    }
    for assignment in assignments:
        path, equals, value = assignment.partition("=")
        if not equals:
            raise click.BadParameter(f"{assignment!r} is not PATH=VALUE", param_hint="--set")
        flags[path] = value
    loaded = _load(terminal, file, flags)
    if show_settings:
        _show(terminal, loaded)
    else:
        _serve(terminal, loaded)


def _load(terminal: Terminal, file: Path | None, flags: dict[str, object]) -> "Loaded":
    from kubernaut.settings import SettingsError, load_settings

    try:
        return load_settings(file, terminal.environment, flags)
    except SettingsError as error:
        raise CommandFailed(
            str(error), mend="All settings: kubernaut controller --show-settings", code=Exit.USAGE
        ) from error


def _show(terminal: Terminal, loaded: "Loaded") -> None:
    for knob in loaded.describe():
        terminal.say(f"{knob.path}: {knob.value}  ({knob.source}; {knob.variable})")
        terminal.say(f"    {' '.join(knob.meaning.split())}")


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
