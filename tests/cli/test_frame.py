"""The frame of the command line: help, unknown commands, exit codes, colour, errors."""

import errno
import subprocess
import sys

import click
import pytest

from kubernaut.cli import app as frame
from kubernaut.cli.commands.action import command as action
from kubernaut.cli.exits import MEANINGS, Exit
from kubernaut.cli.failures import CommandFailed, failure_from, only_error
from kubernaut.cli.lazy import LazyGroup
from kubernaut.cli.terminal import Terminal

HEAVY = (
    "aiohttp",
    "msgspec",
    "yaml",
    "rich",
    "cryptography",
    "jwt",
    "cel_expr_python",
    "jsonschema_rs",
    "asyncio",
)


@pytest.mark.timeout(20)
def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from kubernaut.cli.app import run; run(['--help']);"
        f"loaded = [name for name in {HEAVY} if name in sys.modules];"
        "loaded += [name for name in sys.modules if name.startswith('kubernaut.') and '.cli' not in name];"
        "sys.exit(' '.join(loaded) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0


@pytest.mark.timeout(20)
@pytest.mark.parametrize("group", [frame.app, action], ids=["kubernaut", "action"])
def test_every_command_of_a_table_loads_and_says_the_same_as_the_table(group: LazyGroup) -> None:
    names = {entry.name for entry in group.entries}
    for entry in group.entries:
        command = group.get_command(click.Context(group), entry.name)
        assert command is not None
        if entry.module not in names:
            assert command.get_short_help_str(limit=200) == entry.summary


def test_a_mistyped_command_is_named_with_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.run(["vresion"], Terminal({})) == Exit.USAGE
    assert "Did you mean version?" in capsys.readouterr().err


def test_every_exit_code_is_documented_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(MEANINGS) == set(Exit)
    assert frame.run(["--help"], Terminal({})) == Exit.SUCCEEDED
    told = capsys.readouterr().out
    for code in Exit:
        assert f"  {code.value} " in told


def test_a_failure_is_one_line_and_its_mend(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise CommandFailed("it broke", mend="mend it", code=Exit.UNREACHABLE)

    monkeypatch.setattr(frame.app, "main", fail)
    assert frame.run([], Terminal({})) == Exit.UNREACHABLE
    assert capsys.readouterr().err == "error: it broke\nmend:  mend it\n"


def test_a_bug_says_that_it_is_one_and_shows_where_only_when_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(frame.app, "main", fail)
    assert frame.run([], Terminal({})) == Exit.FAILED
    assert "Traceback" not in capsys.readouterr().err
    assert frame.run([], Terminal({}, verbose=True)) == Exit.FAILED
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert "bug" in told


def test_no_colour_without_a_terminal_or_with_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not Terminal({}).has_colour
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert Terminal({}).has_colour
    assert not Terminal({"NO_COLOR": "1"}).has_colour
    assert not Terminal({"TERM": "dumb"}).has_colour


def test_the_error_inside_a_task_group_is_found() -> None:
    inner = FileNotFoundError(2, "No such file or directory", "workflow.yaml")
    failure = failure_from(only_error(ExceptionGroup("tasks", [ExceptionGroup("more", [inner])])))
    assert failure is not None
    assert failure.message == "workflow.yaml: No such file or directory"


@pytest.mark.parametrize(("redirection", "said"), [(">/dev/full", "No space left on device"), (">&-", "")])
def test_an_output_that_takes_nothing_is_no_bug_of_ours(redirection: str, said: str) -> None:
    line = f"{sys.executable} -m kubernaut.cli version {redirection}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert said in done.stderr
    assert "bug" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_copy_that_finds_no_room_names_where_it_was_to_go() -> None:
    failure = failure_from(OSError(errno.ENOSPC, "No space left on device", "from", None, "to"))
    assert failure is not None
    assert failure.message == "to: No space left on device"
    assert failure.mend.startswith("Make room")
