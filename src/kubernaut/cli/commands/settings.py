"""`kubernaut settings`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import output_option, settings_options, verbose
from kubernaut.cli.output import print_data
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    from kubernaut.settings import Knob, Loaded


@click.command("settings")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@settings_options
@output_option("text", "json", "yaml")
@verbose
def command(
    paths: tuple[str, ...],
    file: Path | None,
    assignments: tuple[str, ...],
    preset: str | None,
    output: str,
) -> None:
    """Print every setting: its value, where that comes from, what it means.

    As a controller that is started here with the same options would have them. PATH is a setting or a group of
    them: execution, cluster.qps. The later of these win: default, preset, file, environment, --set.
    """
    terminal = current_terminal()
    knobs = chosen(load(terminal, file, assignments, preset).describe(), paths)
    if output == "text":
        show(terminal, knobs)
        return
    plain = [
        {
            "path": knob.path,
            "value": knob.value,
            "source": knob.source,
            "default": knob.default,
            "variable": knob.variable,
            "meaning": knob.meaning,
        }
        for knob in knobs
    ]
    print_data(terminal, plain, output)


def load(
    terminal: Terminal,
    file: Path | None,
    assignments: tuple[str, ...],
    preset: str | None,
    others: dict[str, str | None] | None = None,
) -> "Loaded":
    """Raises CommandFailed with every fault; `others` are settings that a command has options of its own for."""
    from kubernaut.settings import SettingsError, load_settings

    flags: dict[str, object] = {**(others or {}), "controller.preset": preset}
    for assignment in assignments:
        path, equals, value = assignment.partition("=")
        if not equals:
            raise click.BadParameter(f"{assignment!r} is not PATH=VALUE", param_hint="--set")
        flags[path] = value
    try:
        return load_settings(file, terminal.environment, flags)
    except SettingsError as error:
        raise CommandFailed(str(error), mend="See all of them: kubernaut settings", code=Exit.USAGE) from error


def chosen(knobs: "list[Knob]", paths: tuple[str, ...]) -> "list[Knob]":
    """Those that stand at or below one of the paths. Raises CommandFailed for a path where none does."""
    from difflib import get_close_matches

    for path in paths:
        if not any(knob.path == path or knob.path.startswith(f"{path}.") for knob in knobs):
            names = [knob.path for knob in knobs]
            names += [name.rpartition(".")[0] for name in names]
            close = get_close_matches(path, names, n=1)
            hint = f"Did you mean {close[0]}?" if close else "See all of them: kubernaut settings"
            raise CommandFailed(f"there is no setting {path!r}", mend=hint, code=Exit.USAGE)
    below = tuple(f"{path}." for path in paths)
    return [knob for knob in knobs if not paths or knob.path in paths or knob.path.startswith(below)]


def show(terminal: Terminal, knobs: "list[Knob]") -> None:
    """Two lines each; what differs from the default stands out."""
    for knob in knobs:
        is_default = knob.source == "default"
        value = knob.value if is_default else terminal.paint(knob.value, "yellow")
        default = "" if is_default else f"; default {knob.default}"
        terminal.say(f"{knob.path}: {value}  ({knob.source}{default}; {knob.variable})")
        terminal.say(f"    {' '.join(knob.meaning.split())}")
