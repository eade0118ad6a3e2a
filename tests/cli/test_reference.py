"""What the pages say about commands is what the commands say."""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from kubernaut.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGE = (ROOT / "docs/cli.md").read_text()


def commands(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, (*path, name))


EVERY = list(commands(app, ("kubernaut",)))[1:]
NAMES = [" ".join(path) for path, _ in EVERY]


@pytest.mark.parametrize(
    ("path", "command"), EVERY, ids=lambda one: " ".join(one) if isinstance(one, tuple) else ""
)
def test_the_reference_has_every_command_with_every_option(path: tuple[str, ...], command: click.Command) -> None:
    title = re.compile(rf"^##+ {' '.join(path)}\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
    section = title.search(PAGE)
    assert section is not None
    if "The same as" in section[1]:
        return
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            for option in parameter.opts:
                assert re.search(rf"(?<![\w-]){option}(?![\w-])", section[1]), option


def test_every_command_helps_and_every_option_says_what_it_does() -> None:
    for path, command in EVERY:
        assert command.get_short_help_str(), path
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, (path, parameter.name)


@pytest.mark.timeout(30)
def test_the_reference_is_the_help_word_for_word() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "scripts/generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert generate.command_reference() == PAGE, "run make generate"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_that_pages_show_are_understood(page: Path) -> None:
    for block in re.findall(r"```(?:sh|shell|console)\n(.*?)```", page.read_text(), re.DOTALL):
        for line in re.findall(r"^(?:\$ )?(?:.*[|&] *)?(?:kubectl )?kubernaut ([^#\n|&]+)", block, re.MULTILINE):
            words = shlex.split(re.split(r"\s[<>]", line)[0])
            group: click.Command = app
            context = click.Context(app, info_name="kubernaut", **app.context_settings)
            while isinstance(group, click.Group) and words:
                found = group.get_command(context, words.pop(0))
                assert found is not None, line
                group = found
            with context:
                group.make_context("kubernaut", words, parent=context)
