"""Groups of commands that import a command when it is called, and know its summary before."""

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class Entry(NamedTuple):
    """One line of a group's `--help`."""

    name: str
    section: str
    summary: str
    module: str = ""
    """Of `kubernaut.cli.commands`, where it differs from the name."""


class LazyGroup(click.Group):
    """A group over a table; the table repeats each command's summary, so that `--help` loads no command.

    A command's module has it under the name `command`.
    """

    def __init__(self, *arguments: Any, entries: Sequence[Entry] = (), **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.entries = tuple(entries)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [entry.name for entry in self.entries]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = next((entry for entry in self.entries if entry.name == cmd_name), None)
        if entry is None:
            return None
        module = importlib.import_module(f"kubernaut.cli.commands.{entry.module or entry.name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section in dict.fromkeys(entry.section for entry in self.entries):
            with formatter.section(section):
                rows = [(entry.name, entry.summary) for entry in self.entries if entry.section == section]
                formatter.write_dl(rows, col_spacing=3)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchOption:
            raise
        except click.UsageError:
            from difflib import get_close_matches

            close = get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}", ctx) from None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        names = [
            CompletionItem(entry.name, help=entry.summary)
            for entry in self.entries
            if entry.name.startswith(incomplete)
        ]
        # Not the group's own: that one loads every command for its summary.
        return names + click.Command.shell_complete(self, ctx, incomplete)
