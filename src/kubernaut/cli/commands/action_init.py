"""`kubernaut action init`."""

from pathlib import Path

import click

from kubernaut.cli.options import verbose
from kubernaut.cli.terminal import current_terminal


@click.command("init")
@click.argument("name", metavar="[DOMAIN/]NAME")
@click.option(
    "--in",
    "parent",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder to make it in. Default: this one.",
)
@verbose
def command(name: str, parent: Path) -> None:
    """Begin an action of your own.

    Makes a folder with one function, a test that runs, a project file, and a page that says how to go on. What is
    there already is never overwritten.
    """
    from kubernaut.cli.scaffold import write_package

    terminal = current_terminal()
    folder, *files = write_package(name, parent)
    for file in files:
        terminal.say(str(file))
    terminal.remark(f"next: cd {folder}, then pytest, or kubernaut action lint .")
