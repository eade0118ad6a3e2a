"""The top command: which subcommands there are, loading one when it is called, and how everything ends.

The table below repeats each command's summary, so that `--help` loads no command; a test keeps it true.
"""

import importlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import click

from kubernaut.cli.exits import MEANINGS, Exit
from kubernaut.cli.failures import CommandFailed, failure_from, only_error
from kubernaut.cli.terminal import Terminal


class Entry(NamedTuple):
    """One line of `kubernaut --help`."""

    name: str
    section: str
    summary: str
    module: str = ""
    """Where it differs from the name."""


_SEE, _RUN, _RULE = "See it work", "Remediate", "Install and look after"

COMMANDS = (
    Entry("demo", _SEE, "Run three remediations on a cluster inside this process."),
    Entry("dev", _SEE, "Start, stop and inspect a cluster on this machine."),
    Entry("lint", _RUN, "Check files as the door would, without a cluster."),
    Entry("run", _RUN, "Submit what stands in files; --wait follows it to its end."),
    Entry("apply", _RUN, "The same as run.", module="run"),
    Entry("get", _RUN, "List executions, or print one."),
    Entry("describe", _RUN, "Tell everything about one execution."),
    Entry("watch", _RUN, "Follow one execution to its end."),
    Entry("logs", _RUN, "Print what the actions of an execution wrote."),
    Entry("cancel", _RUN, "Stop an execution."),
    Entry("install", _RULE, "Print, or apply, everything that a cluster needs."),
    Entry("controller", _RULE, "Run the controller."),
    Entry("images", _RULE, "Build, push and list the shipped action images."),
    Entry("doctor", _RULE, "Find out why it does not work."),
    Entry("version", _RULE, "Print the version, and the cluster's with --cluster."),
)


class LazyGroup(click.Group):
    """A group that imports a subcommand's module when that subcommand is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [entry.name for entry in COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = next((entry for entry in COMMANDS if entry.name == cmd_name), None)
        if entry is None:
            return None
        module = importlib.import_module(f"kubernaut.cli.commands.{entry.module or entry.name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section in dict.fromkeys(entry.section for entry in COMMANDS):
            with formatter.section(section):
                rows = [(entry.name, entry.summary) for entry in COMMANDS if entry.section == section]
                formatter.write_dl(rows, col_spacing=3)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code.value), meaning) for code, meaning in MEANINGS.items()], col_spacing=3)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            from difflib import get_close_matches

            close = get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}", ctx) from None


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=False,
)
def app() -> None:
    """Carry out remediations on Kubernetes: proven before they run, verified after, undone on demand."""


def run(arguments: Sequence[str], terminal: Terminal | None = None) -> int:
    """Runs one command line to its end and returns the exit code; errors are printed, not raised."""
    terminal = terminal or Terminal()
    try:
        answer: Any = app.main(args=list(arguments), prog_name="kubernaut", standalone_mode=False, obj=terminal)
        return int(answer or Exit.SUCCEEDED)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return Exit.USAGE
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        terminal.remark("interrupted")
        return Exit.INTERRUPTED
    except BrokenPipeError:  # the reader, `head` for instance, has seen enough
        _let_go_of_standard_output()
        return Exit.SUCCEEDED
    except Exception as error:  # noqa: BLE001  the edge of the process: nothing above could handle it
        return _report(only_error(error), terminal)


def _report(error: BaseException, terminal: Terminal) -> int:
    failure = failure_from(error)
    if terminal.verbose:
        import traceback

        terminal.remark("".join(traceback.format_exception(error)).rstrip())
    if failure is None:
        failure = CommandFailed(
            f"{type(error).__name__}: {error}",
            mend="This is a bug in kubernaut. Run again with -v and report what it prints."
            if not terminal.verbose
            else "This is a bug in kubernaut: please report it with the lines above.",
        )
    terminal.remark(f"{terminal.paint('error:', 'red')} {failure.message}")
    if failure.mend:
        terminal.remark(f"{terminal.paint('mend:', 'yellow')}  {failure.mend}")
    return failure.code


def _let_go_of_standard_output() -> None:
    # Python flushes standard output once more at exit, and would complain again.
    import os
    import sys

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
