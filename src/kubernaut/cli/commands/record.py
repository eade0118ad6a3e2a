"""`kubernaut record`."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import (
    Where,
    cluster_options,
    execution_argument,
    in_namespace,
    namespace_option,
    settings_options,
    timeout_option,
)
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    from kubernaut.cluster import Json
    from kubernaut.controllers import ControllerSettings
    from kubernaut.planning.recording import About


@click.command("record")
@execution_argument("wfe", "ae", parameter="target")
@click.option(
    "-o",
    "--output",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to write it; - for standard output. Default: NAME.turns.jsonl.",
)
@settings_options
@namespace_option
@timeout_option
@cluster_options
def command(
    target: str,
    path: Path | None,
    file: Path | None,
    assignments: tuple[str, ...],
    preset: str | None,
    namespace: str | None,
    timeout: float | None,
    kubeconfig: Path | None,
    context: str | None,
) -> int:
    """Save the facts and turns of an execution.

    Follows NAME, a WorkflowExecution or ae/NAME, to its end, and writes down what the controller's planner has
    before it at every turn, and what it decides. Of one that has ended the last turn of each object is left.
    Nothing is changed in the cluster; secrets are taken out. Give the controller's settings where they are not the
    defaults. See later what has changed with: kubernaut replay FILE.
    """
    from kubernaut.cli.commands.settings import load
    from kubernaut.cli.session import speak
    from kubernaut.controllers.serve import controller_settings

    terminal = current_terminal()
    where = Where(kubeconfig, context, namespace)
    others: dict[str, str | None] = {"controller.workflowsNamespace": where.namespace_or_default}
    settings = controller_settings(load(terminal, file, assignments, preset, others).settings)
    return speak(_record(terminal, where, target, path, settings, timeout))


async def _record(
    terminal: Terminal,
    where: Where,
    target: str,
    path: Path | None,
    settings: "ControllerSettings",
    seconds: float | None,
) -> int:
    from kubernaut.cli.lookup import parse_target
    from kubernaut.cli.session import connected, fetch
    from kubernaut.controllers.shadow import Shadow, has_ended
    from kubernaut.controllers.turn_recording import TurnRecording

    kind, name = parse_target(target)
    async with connected(where, terminal) as cluster:
        found = await fetch(cluster, kind, name, where.namespace_or_default)
        _refuse_part(found)
        destination = path or Path(f"{name}.turns.jsonl")
        with _opened(terminal, destination) as write:
            recording = TurnRecording(write, _about(found))
            recording.keep_out(found)
            shadow = Shadow(cluster, settings, found, recording)
            await shadow.check()
            if has_ended(found):
                terminal.remark(f"note: {name} has ended: what its objects still tell is the last turn of each")
            else:
                terminal.remark(f"recording {name} until it ends, or Ctrl-C")
            try:
                ending = await shadow.follow(seconds)
            except asyncio.CancelledError:
                recording.end("interrupted")
                raise
            recording.end(ending)
    turns = "1 turn" if recording.turns == 1 else f"{recording.turns} turns"
    terminal.remark(f"{turns} in {'standard output' if str(destination) == '-' else destination}")
    if recording.shortened:
        terminal.remark(f"note: in {recording.shortened} of them secrets were taken out that mattered")
    if str(destination) != "-":
        terminal.remark(f"next: kubernaut replay {destination}")
    return Exit.TIMED_OUT if ending == "time" else Exit.SUCCEEDED


def _refuse_part(found: "Json") -> None:
    from kubernaut.controllers.shadow import workflow_of

    owner = workflow_of(found) if found["kind"] == "ActionExecution" else ""
    if owner:
        meta = found["metadata"]
        raise CommandFailed(
            f"ActionExecution {meta['name']} is a step of {owner}: its turns depend on that",
            mend=f"Record the whole: kubernaut record {owner}{in_namespace(meta['namespace'])}",
            code=Exit.USAGE,
        )


def _about(found: "Json") -> "About":
    from kubernaut import __version__
    from kubernaut.controllers.parts import text
    from kubernaut.controllers.shadow import has_ended
    from kubernaut.planning.recording import About

    meta = found["metadata"]
    notes = ["seen from outside: what the cluster refused the controller is not in it"]
    if has_ended(found):
        notes.append("it had ended before recording began: only the last turn of each object is in it")
    elif text(found, "status", "phase"):
        notes.append("it had begun before recording began: earlier turns are missing")
    return About(
        name=meta["name"],
        namespace=meta["namespace"],
        program=__version__,
        source="cluster",
        notes=tuple(notes),
    )


@contextmanager
def _opened(terminal: Terminal, path: Path) -> Generator[Callable[[str], None]]:
    if str(path) == "-":
        yield terminal.say
        return
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        raise CommandFailed(
            f"{path} is there already", mend="Choose another file with -o, or remove it.", code=Exit.REFUSED
        ) from None
    with file:

        def write(line: str) -> None:
            # At once: a recording that is cut off is better than none.
            print(line, file=file, flush=True)

        yield write
