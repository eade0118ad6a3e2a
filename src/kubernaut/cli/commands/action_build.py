"""`kubernaut action build`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubernaut.cli.options import verbose
from kubernaut.cli.terminal import current_terminal

if TYPE_CHECKING:
    from kubernaut.cli.images import Base


@click.command("build")
@click.argument("package", metavar="PATH", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option(
    "-o",
    "--layout",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build/actions"),
    show_default=True,
    help="Folder of images (an OCI image layout) to put it into.",
)
@click.option(
    "--base",
    type=click.Choice(["auto", "debian", "slim"]),
    default="auto",
    show_default=True,
    help="Slim images hold no interpreter; only `kubernaut dev` runs them.",
)
@verbose
def command(package: Path, layout: Path, base: "Base") -> None:
    """Build the image of an action that you write.

    The same files give the same image. Push it with `kubernaut images push --layout LAYOUT`, or let
    `kubernaut action install` do everything.
    """
    from kubernaut.cli.authoring import build, refuse_broken

    terminal = current_terminal()
    opened, contract = refuse_broken(terminal, package)
    built = build(terminal, opened, contract, layout, base)
    terminal.say(f"{built.name}:{built.tag}@{built.image.digest}")
    terminal.remark(f"in {layout}, {built.size_bytes / 1e6:.1f} MB, runtime {built.runtime}")
