"""`kubernaut install`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import Where, cluster_options
from kubernaut.cli.output import Json
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    from kubernaut.api.contract import ActionContract
    from kubernaut.cluster import Cluster


@click.command("install")
@click.option("--apply", "do_apply", is_flag=True, help="Apply it, by server-side apply. Otherwise it is printed.")
@click.option("--dry-run", is_flag=True, help="With --apply: let the cluster judge it, but change nothing.")
@click.option(
    "-t",
    "--target-namespace",
    "targets",
    multiple=True,
    metavar="NAMESPACE",
    help="Let the actions touch this namespace; * means all. Repeatable. Without it they may touch none.",
)
@click.option(
    "--images",
    "layout",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build/images"),
    show_default=True,
    help="Folder of built images; they are built if it is not there.",
)
@click.option(
    "--registry",
    metavar="HOST/PATH",
    help="Where the cluster pulls the images from. Default: where they were last pushed.",
)
@click.option("--no-controller", is_flag=True, help="Leave out the controller's Deployment: it runs elsewhere.")
@cluster_options
def command(
    do_apply: bool,
    dry_run: bool,
    targets: tuple[str, ...],
    layout: Path,
    registry: str | None,
    no_controller: bool,
    kubeconfig: Path | None,
    context: str | None,
) -> None:
    """Print, or apply, everything that a cluster needs.

    Definitions, namespaces, permissions, quota, network policies, the action catalogue, the controller.
    Applying again brings everything up to date.
    """
    from kubernaut.cli.installing import installation
    from kubernaut.cli.session import speak

    terminal = current_terminal()
    if dry_run and not do_apply:
        raise CommandFailed("--dry-run belongs to --apply", code=Exit.USAGE)
    where = Where(kubeconfig, context)
    if do_apply and registry is None:
        speak(_refuse_an_embedded_cluster(terminal, where))
    manifests = installation(_images(terminal, layout, registry), targets, with_controller=not no_controller)
    if do_apply:
        speak(_apply(terminal, where, manifests, dry_run))
    else:
        _print(terminal, manifests)


def _images(terminal: Terminal, layout: Path, registry: str | None) -> "dict[str, ActionContract | None]":
    """Contracts by reference, of the images in the layout, which is made first if it is not there."""
    from kubernaut.cli import images
    from kubernaut.cli.building import build_all, named_in, pushed_to

    if not layout.exists():
        terminal.remark(f"building the images into {layout}")
        build_all(terminal, layout, "auto")
    registry = registry or pushed_to(layout)
    if registry is None:
        registry = images.REPOSITORY
        terminal.remark(
            f"note: the manifests name images in {registry}. A cluster that cannot pull them there needs: "
            "kubernaut images push REGISTRY"
        )
    return named_in(layout, registry.rstrip("/"))


def _print(terminal: Terminal, manifests: list[Json]) -> None:
    import yaml

    text = yaml.dump_all(manifests, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=110)
    terminal.say(text.rstrip())


async def _refuse_an_embedded_cluster(terminal: Terminal, where: Where) -> None:
    """Its node runs the images that `dev up` gave it; a catalogue of others would break every action."""
    from kubernaut.cli.session import connected

    async with connected(where, terminal, user="kubernaut-install") as cluster:
        version = str((await cluster.version()).get("gitVersion", ""))
    if version.endswith("+devcluster"):
        raise CommandFailed(
            "this is a cluster of `kubernaut dev`, which has installed everything already",
            mend="Just use it. For a catalogue of images in a registry name that with --registry.",
        )


async def _apply(terminal: Terminal, where: Where, manifests: list[Json], dry_run: bool) -> None:
    from kubernaut.cli.session import connected

    async with connected(where, terminal, user="kubernaut-install") as cluster:
        await apply_all(terminal, cluster, manifests, dry_run)


async def apply_all(terminal: Terminal, cluster: "Cluster", manifests: list[Json], dry_run: bool = False) -> None:
    """Applies and tells what became of each; what did not change is counted only."""
    from kubernaut.cluster import apply_manifests

    applied = await apply_manifests(cluster, manifests, dry_run=dry_run)
    suffix = " (dry run)" if dry_run else ""
    for kind, namespace, name, change in applied:
        if change != "unchanged" or terminal.verbose:
            place = f"{namespace}/" if namespace else ""
            terminal.say(f"{kind.kind.lower()}/{place}{name} {change}{suffix}")
    unchanged = sum(1 for item in applied if item.change == "unchanged")
    if unchanged:
        terminal.say(f"{unchanged} objects were as they should be{suffix}")
