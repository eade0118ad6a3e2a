"""`kubernaut action contract`."""

from typing import TYPE_CHECKING

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.options import offered_files, output_option, verbose
from kubernaut.cli.terminal import current_terminal

if TYPE_CHECKING:
    from kubernaut.cli.output import Json

_SOURCE = "PATH|FILE|IMAGE"


class _Contract(click.Group):
    """`contract PATH` is short for `contract show PATH`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = args[0] in self.commands or args[0].startswith("-")
        return super().resolve_command(ctx, args if known else ["show", *args])


@click.group("contract", cls=_Contract)
def command() -> None:
    """Print the contract of an action, or compare two."""


@command.command("show")
@click.argument("source", metavar=_SOURCE, shell_complete=offered_files)
@output_option("yaml", "json")
@verbose
def show(source: str, output: str) -> None:
    """Print what an action promises.

    From the folder in which it is written, a file with an ActionContract or ActionDefinition, or an image in a
    registry, of which only the head is read. `kubernaut action contract PATH` is short for this.
    """
    from kubernaut.api.meta import to_object
    from kubernaut.cli.contracts import contract_from
    from kubernaut.cli.output import print_data

    terminal = current_terminal()
    print_data(terminal, to_object(contract_from(terminal, source)), output)


@command.command("diff")
@click.argument("old", metavar="OLD", shell_complete=offered_files)
@click.argument("new", metavar="NEW", shell_complete=offered_files)
@output_option("text", "json")
@verbose
def diff(old: str, new: str, output: str) -> int:
    """Say whether users of an action have to change anything.

    OLD and NEW are what `contract show` takes. Exit code 0: compatible; 1: breaking, and a new major version says
    so; 3: the version does not say what changed.
    """
    from kubernaut.api.contract_diff import contract_changes, is_breaking, version_faults
    from kubernaut.cli.contracts import contract_from
    from kubernaut.cli.output import print_data

    terminal = current_terminal()
    before, after = contract_from(terminal, old), contract_from(terminal, new)
    changes, faults = contract_changes(before, after), version_faults(before, after)
    verdict = "breaking" if is_breaking(changes) else "compatible"
    if output == "json":
        told: Json = {
            "verdict": verdict,
            "old": before.metadata.version,
            "new": after.metadata.version,
            "changes": [{"path": c.path, "effect": c.effect, "reason": c.reason} for c in changes],
            "versionFaults": [str(fault) for fault in faults],
        }
        print_data(terminal, told, "json")
    else:
        for change in sorted(changes, key=lambda change: change.effect):
            terminal.say(str(change))
        terminal.say(f"{verdict}: {before.metadata.version} -> {after.metadata.version}")
    for fault in faults:
        terminal.remark(str(fault))
    if faults:
        return Exit.REFUSED
    return Exit.FAILED if verdict == "breaking" else Exit.SUCCEEDED
