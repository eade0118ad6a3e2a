"""What the documents promise is there."""

import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

from kubernaut.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "AGENTS.md",
    "docs/dependencies.md",
    "docs/requirements.md",
    "docs/laws.md",
]


def test_every_dependency_has_a_line_that_gives_its_reason() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*settings["project"]["dependencies"], *settings["dependency-groups"]["dev"]]
    wanted += settings["dependency-groups"]["build"]
    table = (ROOT / "docs/dependencies.md").read_text().lower()
    names = {match[0].lower() for entry in wanted if (match := re.match(r"[A-Za-z0-9_-]+", entry))}
    assert [name for name in sorted(names) if f"| {name} |" not in table] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_that_exist(page: str) -> None:
    folder = (ROOT / page).parent
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text())
    assert [link for link in links if not (folder / link).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_targets_of_make_that_are_named_exist(page: str) -> None:
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", (ROOT / page).read_text(), re.MULTILINE))
    assert named - made == set()


@pytest.mark.timeout(20)
def test_commands_that_the_readme_shows_are_understood() -> None:
    text = (ROOT / "README.md").read_text()
    shown = re.findall(r"^(?:.*[|&] )?kubernaut ([^#\n|&]+)", text, re.MULTILINE)
    assert len(shown) > 10
    for line in shown:
        words = shlex.split(line)
        group: click.Command = app
        context = click.Context(app, info_name="kubernaut", **app.context_settings)
        while isinstance(group, click.Group) and words:
            found = group.get_command(context, words.pop(0))
            assert found is not None, line
            group = found
        # Parses options and arguments; files and clusters are not looked at.
        group.make_context("kubernaut", words, parent=context)
