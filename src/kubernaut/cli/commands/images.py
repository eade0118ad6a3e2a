"""`kubernaut images`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubernaut.cli.options import output_option, verbose
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    from kubernaut.cli.images import Base

_LAYOUT = Path("build/images")

_layout_option = click.option(
    "--layout",
    type=click.Path(path_type=Path, file_okay=False),
    default=_LAYOUT,
    show_default=True,
    help="Folder of the images (an OCI image layout).",
)


@click.group("images")
def command() -> None:
    """Build, push and list the shipped action images."""


@command.command("build")
@_layout_option
@click.option(
    "--base",
    type=click.Choice(["auto", "debian", "slim"]),
    default="auto",
    show_default=True,
    help="Slim images hold no interpreter; only `kubernaut dev` runs them.",
)
@verbose
def build(layout: Path, base: "Base") -> None:
    """Build the images of all actions and of the controller."""
    from kubernaut.cli.building import build_all

    terminal = current_terminal()
    build_all(terminal, layout, base)
    _list(terminal, layout, "table")


@command.command("list")
@_layout_option
@output_option("table", "json", "name")
@verbose
def list_images(layout: Path, output: str) -> None:
    """List the images that have been built."""
    _list(current_terminal(), layout, output)


@command.command("push")
@click.argument("registry", metavar="HOST[:PORT]/PATH")
@_layout_option
@click.option("--insecure", is_flag=True, help="Speak HTTP; on loopback that needs no saying.")
@verbose
def push(registry: str, layout: Path, insecure: bool) -> None:
    """Push the images to where a cluster can pull them.

    Logs in with what `docker login` or `podman login` stored. Then: kubernaut install --registry HOST/PATH.
    """
    from kubernaut.cli.building import push_all
    from kubernaut.cli.session import speak

    speak(push_all(current_terminal(), layout, registry, insecure))


def _list(terminal: Terminal, layout: Path, output: str) -> None:
    from kubernaut.cli.building import images_in
    from kubernaut.cli.output import format_table, print_data

    images = images_in(layout)
    rows = [
        [image.name, image.tag, image.runtime, f"{image.size_bytes / 1e6:.1f} MB", image.digest]
        for image in images
    ]
    if output == "json":
        keys = ("name", "tag", "runtime", "size", "digest")
        print_data(terminal, [dict(zip(keys, row, strict=True)) for row in rows], "json")
    elif output == "name":
        for image in images:
            terminal.say(f"{image.name}@{image.digest}")
    else:
        terminal.say(format_table(terminal, ["Image", "Tag", "Runtime", "Size", "Digest"], rows))
