"""`kubernaut policy lint`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.options import output_option, verbose
from kubernaut.cli.policies import library_option, limit_option
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    from kubernaut.safety.rego import Fault


@click.command("lint")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--strict", is_flag=True, help="Refuse what is only doubtful, too.")
@library_option
@limit_option
@output_option("text", "json")
@verbose
def command(paths: tuple[Path, ...], strict: bool, library: bool, timeout: float, output: str) -> int:
    """Check policies as a cluster would before taking them.

    Faults, for which a cluster refuses the whole set: what does not compile, Rego of before OPA 1.0, functions
    that policies may not call, recursion, decisions outside of data.kubernaut. Warnings: messages that are
    missing, packages that nobody reads, names of shipped packages, fields that no input has, decisions whose
    name is misspelt.
    """
    from kubernaut.cli.session import speak

    terminal = current_terminal()
    faults, warnings = speak(_look(paths, library=library, seconds=timeout))
    if output == "json":
        _print_json(terminal, faults, warnings)
    else:
        for fault in faults:
            terminal.say(str(fault))
        for fault in warnings:
            place = f"{fault.place.path}:{fault.place.line}:{fault.place.column}:"
            terminal.say(str(fault).replace(place, f"{place} warning:", 1))
    terminal.remark(f"{_counted(faults, 'fault')}, {_counted(warnings, 'warning')}")
    return Exit.REFUSED if faults or (strict and warnings) else Exit.SUCCEEDED


def _counted(found: "list[Fault]", word: str) -> str:
    return f"{len(found)} {word}{'s' * (len(found) != 1)}"


async def _look(paths: tuple[Path, ...], *, library: bool, seconds: float) -> "tuple[list[Fault], list[Fault]]":
    from kubernaut.safety.rego import Limits, RegoEngine, UnreadableSet, from_paths, with_library
    from kubernaut.safety.rego.linting import doubts

    try:
        own = from_paths(paths, with_tests=True)
        engine = await RegoEngine.load(with_library(own) if library else own, Limits(seconds=seconds))
    except UnreadableSet as refused:
        return list(refused.faults), []
    await engine.aclose()
    return [], doubts(engine.modules)


def _print_json(terminal: Terminal, faults: "list[Fault]", warnings: "list[Fault]") -> None:
    import json
    from dataclasses import asdict

    rows: list[dict[str, object]] = []
    for severity, found in (("fault", faults), ("warning", warnings)):
        for one in found:
            place: dict[str, object] = asdict(one.place)
            rows.append({"severity": severity, **place, "message": one.message, "mend": one.mend})
    terminal.say(json.dumps(rows, indent=2))
