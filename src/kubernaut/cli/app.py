"""The top command: which subcommands there are, loading one when it is called, and how everything ends.

The table below repeats each command's summary, so that `--help` loads no command; a test keeps it true.
"""

from collections.abc import Sequence
from typing import Any

import click

from kubernaut.cli.exits import MEANINGS, Exit
from kubernaut.cli.failures import CommandFailed, failure_from, only_error
from kubernaut.cli.lazy import Entry, LazyGroup
from kubernaut.cli.terminal import Terminal

COMPLETION_VARIABLE = "_KUBERNAUT_COMPLETE"
"""Set by the scripts of `kubernaut completion`: the program then prints completions instead of running."""

_SEE, _RUN, _RULE = "See it work", "Remediate", "Install and look after"

COMMANDS = (
    Entry("demo", _SEE, "Run three remediations on a cluster inside this process."),
    Entry("dev", _SEE, "Start, stop and inspect a cluster on this machine."),
    Entry("scenario", _SEE, "Play remediations in the flight simulator."),
    Entry("test", _RUN, "Try workflows of yours in the flight simulator."),
    Entry("lint", _RUN, "Check files as the door would, without a cluster."),
    Entry("import", _RULE, "Write older objects in today's shape.", module="import_"),
    Entry("run", _RUN, "Submit what stands in files; --wait follows it to its end."),
    Entry("apply", _RUN, "The same as run.", module="run"),
    Entry("action", _RUN, "Run single actions, and write your own."),
    Entry("probe", _RUN, "Ask pre- and postconditions of a cluster, now or until they hold."),
    Entry("get", _RUN, "List executions, or print one."),
    Entry("describe", _RUN, "Tell what an execution did, why it stands so, and what to type next."),
    Entry("watch", _RUN, "Follow one execution to its end, or all of them."),
    Entry("logs", _RUN, "Print what the actions of an execution wrote."),
    Entry("cancel", _RUN, "Stop an execution."),
    Entry("abort", _RUN, "Stop an execution at once."),
    Entry("suspend", _RUN, "Let nothing new start."),
    Entry("resume", _RUN, "Let steps start again."),
    Entry("approve", _RUN, "Agree to the plan of a workflow that waits for it."),
    Entry("reject", _RUN, "Refuse the plan of a workflow that waits for an approval."),
    Entry("resolve", _RUN, "Say what became of a step of which nobody knows."),
    Entry("retry", _RUN, "Run again what did not succeed."),
    Entry("record", _RUN, "Save the facts and turns of an execution."),
    Entry("replay", _RULE, "Show what today's planner would decide otherwise in a recording."),
    Entry("delete", _RUN, "Delete executions; what runs is stopped first."),
    Entry("install", _RULE, "Print, or apply, everything that a cluster needs."),
    Entry("controller", _RULE, "Run the controller."),
    Entry("settings", _RULE, "Print every setting: its value, where that comes from, what it means."),
    Entry("images", _RULE, "Build, push and list the shipped action images."),
    Entry("doctor", _RULE, "Find out why it does not work."),
    Entry("policy", _RULE, "Write, test and look at policies in Rego."),
    Entry("catalog", _RULE, "List and show the actions that there are."),
    Entry("completion", _RULE, "Print the script that lets a shell complete commands."),
    Entry("version", _RULE, "Print the version, and the cluster's with --cluster."),
)


class _App(LazyGroup):
    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code.value), meaning) for code, meaning in MEANINGS.items()], col_spacing=3)


@click.group(
    cls=_App,
    entries=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=False,
)
def app() -> None:
    """Carry out remediations on Kubernetes: proven before they run, verified after, undone on demand."""


def run(arguments: Sequence[str], terminal: Terminal | None = None, name: str = "kubernaut") -> int:
    """Runs one command line to its end and returns the exit code; errors are printed, not raised.

    `name` is how the user called the program: "kubernaut" or "kubectl kubernaut".
    """
    terminal = terminal or Terminal()
    try:
        answer: Any = app.main(
            args=list(arguments),
            prog_name=name,
            complete_var=COMPLETION_VARIABLE,
            standalone_mode=False,
            obj=terminal,
        )
        return int(answer or Exit.SUCCEEDED)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return Exit.USAGE
    except click.UsageError as error:
        return _report(_misused(error, name), terminal)
    except click.ClickException as error:
        return _report(CommandFailed(error.format_message(), code=Exit(error.exit_code)), terminal)
    except (click.Abort, KeyboardInterrupt):
        terminal.remark("interrupted")
        return Exit.INTERRUPTED
    except BrokenPipeError:  # the reader, `head` for instance, has seen enough
        _let_go_of_standard_output()
        return Exit.SUCCEEDED
    except Exception as error:  # noqa: BLE001  the edge of the process: nothing above could handle it
        return _report(only_error(error), terminal)


def _misused(error: click.UsageError, name: str) -> CommandFailed:
    message = error.format_message().rstrip()
    path = error.ctx.command_path if error.ctx is not None else name
    return CommandFailed(
        message[:1].lower() + message[1:].removesuffix("."), mend=f"See: {path} --help", code=Exit.USAGE
    )


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
