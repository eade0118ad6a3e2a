"""`kubernaut replay`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import output_option, verbose
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    from kubernaut.planning.recording import Recording
    from kubernaut.planning.replay import Changed


@click.command("replay")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="PATH=VALUE",
    help="Decide with this setting instead of the recorded one. Repeatable.",
)
@output_option("text", "json")
@verbose
def command(file: Path, assignments: tuple[str, ...], output: str) -> int:
    """Show what today's planner would decide otherwise in a recording.

    FILE is what `kubernaut record` wrote; - is standard input. Every recorded turn is decided again, each on the
    facts of then. Exit code 0: nothing has changed; 9: decisions have, and all of them are printed; 3: FILE is no
    recording that this program can read.
    """
    from kubernaut.planning.recording import RecordingInvalid, read_recording
    from kubernaut.planning.replay import replay

    terminal = current_terminal()
    limits = _limits(terminal, assignments)
    try:
        with click.open_file(str(file), encoding="utf-8") as lines:
            recording = read_recording(lines)
        changed = replay(recording, limits)
    except UnicodeError:
        raise CommandFailed(f"{file}: it is no recording of kubernaut: it is no text", code=Exit.REFUSED) from None
    except RecordingInvalid as error:
        raise CommandFailed(f"{file}: {error}", code=Exit.REFUSED) from None
    if output == "json":
        import json

        terminal.say(json.dumps([_row(one) for one in changed], indent=2))
    else:
        _tell(terminal, recording, changed)
    turns = len(recording.turns)
    different = len({one.turn for one in changed})
    terminal.remark(
        f"{turns} turns, {different} decided otherwise" if different else f"{turns} turns, all the same"
    )
    return Exit.DIFFERENT if changed else Exit.SUCCEEDED


def _limits(terminal: Terminal, assignments: Sequence[str]) -> dict[str, Any]:
    """Fields of the recorded limits by the settings that are given."""
    from dataclasses import asdict

    from kubernaut.cli.commands.settings import load
    from kubernaut.controllers.serve import limits_of

    if not assignments:
        return {}
    paths = [assignment.partition("=")[0] for assignment in assignments]
    for path in paths:
        if path not in _KNOBS:
            raise CommandFailed(
                f"no decision depends on {path}", mend=f"Those that do: {', '.join(_KNOBS)}.", code=Exit.USAGE
            )
    wanted = asdict(limits_of(load(terminal, None, tuple(assignments), None).settings))
    return {_KNOBS[path]: wanted[_KNOBS[path]] for path in paths}


_KNOBS = {
    "execution.maxParallelSteps": "default_parallel",
    "execution.complexityApprovalThreshold": "complexity_threshold",
    "execution.gracePeriod": "grace_seconds",
    "execution.unfencedNeedsApproval": "unfenced_needs_approval",
    "registry.patience": "judging_seconds",
    "execution.jobTTLSecondsAfterFinished": "job_ttl_seconds",
}


def _row(one: "Changed") -> dict[str, Any]:
    return {
        "turn": one.turn,
        "at": one.at.isoformat().replace("+00:00", "Z"),
        "of": one.of,
        "about": one.about,
        "before": list(one.before),
        "after": list(one.after),
        "why": list(one.why),
    }


def _tell(terminal: Terminal, recording: "Recording", changed: "Sequence[Changed]") -> None:
    about = recording.about
    for note in about.notes if terminal.verbose else ():
        terminal.remark(f"note: {note}")
    last = 0
    for one in changed:
        if one.turn != last:
            last = one.turn
            moment = one.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            terminal.say(terminal.paint(f"turn {one.turn}  {moment}  {one.of}", "yellow"))
        terminal.say(f"  {one.about}")
        terminal.say(f"    then:  {'; '.join(one.before) or 'nothing'}")
        terminal.say(f"    today: {'; '.join(one.after) or 'nothing'}")
        for why in one.why:
            terminal.say(f"    why:   {why}")
