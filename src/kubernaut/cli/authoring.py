"""From an author's folder to an image, and from an image to an entry of a cluster's catalogue."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from kubernaut.api.contract import ActionContract
from kubernaut.api.contract_diff import version_faults
from kubernaut.api.definition import ActionDefinition
from kubernaut.cli import building, images, installing
from kubernaut.cli.catalogue import missing_dependencies
from kubernaut.cli.contracts import image_from, judge
from kubernaut.cli.debian import NoBase
from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.home import NODE_IMAGES
from kubernaut.cli.linting import catalogue_of
from kubernaut.cli.options import EXECUTION_NAMESPACE, SYSTEM_NAMESPACE, Where
from kubernaut.cli.packages import AuthorsFault, Package, open_package
from kubernaut.cli.session import connected, require_installation
from kubernaut.cli.terminal import Terminal
from kubernaut.cluster import Cluster, NotFound, kinds
from kubernaut.oci import ImageError, ImageLayout, Reference, RegistryClient, pull_image, push_image, read_contract

_LOCAL = "kubernaut.local"
"""The registry that images are said to be in which only the embedded node has."""


class Wanted(NamedTuple):
    """What the command line of `action install` says."""

    source: str
    registry: str | None
    targets: tuple[str, ...]
    force: bool
    dry_run: bool


def refuse_broken(terminal: Terminal, folder: Path) -> tuple[Package, ActionContract]:
    """The package and its contract. Tells every fault and raises CommandFailed if there is one."""
    package = open_package(folder)
    judged = judge(package)
    for found in judged.faults:
        terminal.remark(str(found))
    if judged.contract is None or judged.faults:
        raise CommandFailed("the action is broken; nothing was built", code=Exit.REFUSED)
    return package, judged.contract


def build(
    terminal: Terminal,
    package: Package,
    contract: ActionContract,
    layout: Path,
    base: images.Base,
    *,
    may_replace: bool = False,
) -> images.BuiltImage:
    """Its image, in the layout. Raises CommandFailed.

    may_replace: also where this version lies in it with another contract.
    """
    if not may_replace:
        _refuse_another_of_this_version(layout, contract)
    cache = building.cache_folder(terminal.environment) / "layers"
    try:
        return package.build(layout, cache, base, terminal.remark)
    except NoBase as error:
        raise CommandFailed(
            f"no complete image can be made here: {error}", mend="For `kubernaut dev` alone: --base slim"
        ) from error
    except (AuthorsFault, ImageError) as error:
        raise CommandFailed(str(error)) from error


def _refuse_another_of_this_version(layout: Path, contract: ActionContract) -> None:
    if not (layout / "index.json").exists():
        return
    for stored in building.images_in(layout) if ImageLayout(layout).images() else ():
        before = stored.contract
        if before is None or before.metadata != contract.metadata:
            continue
        for fault in version_faults(before, contract):
            raise CommandFailed(
                f"{layout} holds this action already: {fault.path} {fault.message}",
                mend=f"{fault.mend} While nobody uses it yet, remove {layout}.",
                code=Exit.REFUSED,
            )


async def install(terminal: Terminal, where: Where, wanted: Wanted) -> None:
    """Puts an action into a cluster's catalogue, with its account and permissions. Raises CommandFailed."""
    from kubernaut.cli.commands.install import apply_all

    async with connected(where, terminal, user="kubernaut-install") as cluster:
        await require_installation(cluster)
        node = await _layout_of_node(cluster)
        image, contract = await _image(terminal, wanted, node)
        await _refuse_misfit(cluster, contract, force=wanted.force)
        targets = wanted.targets or ((installing.EVERYWHERE,) if node is not None else ())
        manifests = [
            *installing.own_action_manifests(contract),
            *(one for target in targets for one in installing.target_manifests([contract], target)),
            installing.definition_manifest(contract, image),
        ]
        await apply_all(terminal, cluster, manifests, wanted.dry_run)
        await _tell(terminal, cluster, contract, targets)


async def _layout_of_node(cluster: Cluster) -> Path | None:
    """Where an embedded cluster's node takes images from; None for every other cluster."""
    if not str((await cluster.version()).get("gitVersion", "")).endswith("+devcluster"):
        return None
    try:
        told = await cluster.get(kinds.CONFIG_MAPS, NODE_IMAGES, SYSTEM_NAMESPACE)
    except NotFound:
        return None
    folder = Path(told["data"]["layout"])
    return folder if (folder / "oci-layout").exists() else None


async def _image(terminal: Terminal, wanted: Wanted, node: Path | None) -> tuple[str, ActionContract]:
    """The image by digest, where the cluster finds it, and its contract."""
    if not Path(wanted.source).is_dir():  # noqa: ASYNC240  one look at a local folder
        image, contract = await image_from(terminal, wanted.source)
        if node is not None and not wanted.dry_run:
            await _pull(terminal, image, node)
        return image, contract
    package, contract = refuse_broken(terminal, Path(wanted.source))
    if node is not None and wanted.registry is None:
        # The catalogue is asked anyway; and what was tried out before is nobody's to keep.
        built = build(terminal, package, contract, node, "slim", may_replace=True)
        return str(built.reference(f"{_LOCAL}/{contract.metadata.name.partition('/')[0]}")), contract
    if wanted.registry is None:
        raise CommandFailed(
            "the cluster has to pull the image from somewhere",
            mend="Say where it is to be pushed: --registry HOST/PATH. A cluster that needs none: kubernaut dev up",
            code=Exit.USAGE,
        )
    layout = Path("build/actions")
    built = build(terminal, package, contract, layout, "debian")
    reference = built.reference(wanted.registry.rstrip("/"))
    if not wanted.dry_run:
        await _push(terminal, layout, built, reference)
        if node is not None:
            await _pull(terminal, str(reference), node)
    return str(reference), contract


async def _push(terminal: Terminal, layout: Path, built: images.BuiltImage, reference: Reference) -> None:
    try:
        async with RegistryClient(building.credentials_of(terminal)) as client:
            target = Reference.parse(str(reference).partition("@")[0])
            await push_image(client, ImageLayout(layout), built.image.digest, target)
    except ImageError as error:
        mend = "Is the registry right, and are you logged in to it?"
        raise CommandFailed(str(error), mend=mend, code=Exit.UNREACHABLE) from error
    terminal.say(f"pushed {reference}")


async def _pull(terminal: Terminal, image: str, node: Path) -> None:
    """To where the embedded node, which pulls nothing itself, finds it."""
    layout = ImageLayout(node)
    reference = Reference.parse(image)
    try:
        async with RegistryClient(building.credentials_of(terminal)) as client:
            await pull_image(client, reference, layout)
        assert reference.digest is not None, "pinned by whoever named it"
        await read_contract(layout, reference.digest)
    except ImageError as error:
        raise CommandFailed(f"{image}: {error}", code=Exit.UNREACHABLE) from error


async def _refuse_misfit(cluster: Cluster, contract: ActionContract, *, force: bool) -> None:
    """Raises CommandFailed where the catalogue has this action otherwise, or another with the same account."""
    catalogue = await catalogue_of(cluster) or {}
    account, name = installing.account_of(contract), contract.metadata.name
    for other in catalogue.values():
        if other.spec.service_account_name == account and other.spec.action_type != name:
            raise CommandFailed(
                f"{other.spec.action_type} runs as {account} already, and would get the permissions of {name}",
                mend="Give your action another name; what stands before the slash does not count for accounts.",
                code=Exit.REFUSED,
            )
    there = catalogue.get(name)
    if there is None or force:
        return
    for fault in version_faults(_contract_of(there), contract):
        raise CommandFailed(
            f"the catalogue has {name} {there.spec.version}: {fault.path} {fault.message}",
            mend=f"{fault.mend} All the same: --force",
            code=Exit.REFUSED,
        )


def _contract_of(definition: ActionDefinition) -> ActionContract:
    from kubernaut.api.contract import ContractMeta

    spec = definition.spec
    return ActionContract(metadata=ContractMeta(name=spec.action_type, version=spec.version), spec=spec.contract)


async def _tell(terminal: Terminal, cluster: Cluster, contract: ActionContract, targets: Sequence[str]) -> None:
    """What is still missing before it can work."""
    local = any(not permission.cluster for permission in contract.spec.rbac.permissions)
    if local and not targets:
        terminal.remark("note: it may touch no namespace yet; let it with: --target-namespace NAMESPACE")
    if not contract.spec.fenced:
        terminal.remark(
            "note: it takes no fence: it is never tried again, and workflows with it wait for an approval"
        )
    for missing in await missing_dependencies(cluster, contract.spec, EXECUTION_NAMESPACE):
        place = f"namespace {EXECUTION_NAMESPACE}"
        terminal.remark(f"note: it needs the {missing}, which is not in {place}: runs wait for it")
    terminal.remark(f"next: kubernaut catalog show {contract.metadata.name}")
