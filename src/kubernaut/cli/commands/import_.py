"""`kubernaut import`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import offered_files, output_option, verbose
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    from kubernaut.api.contract import ActionContract
    from kubernaut.cli.importing import Translation
    from kubernaut.cli.manifests import Manifest

_PATIENCE_SECONDS = 10.0


@click.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", shell_complete=offered_files)
@click.option("--strict", is_flag=True, help="Exit with 1 when a field has no home today.")
@click.option(
    "--offline", is_flag=True, help="Ask no registry for the contracts of a registry ConfigMap's images."
)
@output_option("yaml", "json")
@verbose
def command(files: tuple[str, ...], strict: bool, offline: bool, output: str) -> int:
    """Write older objects in today's shape.

    FILE is YAML or JSON, a folder of such, or - for standard input: KubernetesExecution, WorkflowExecution with
    numbered steps, ActionExecution without a contract, the action registry ConfigMap. Today's objects are
    printed; every field that has no home today, or is written differently, is named on standard error.
    Nothing is submitted.
    """
    from kubernaut.cli.importing import NotOlder, translate
    from kubernaut.cli.installing import shipped_contracts
    from kubernaut.cli.manifests import read_manifests

    terminal = current_terminal()
    manifests = read_manifests(files)
    contracts = {contract.metadata.name: contract for contract in shipped_contracts()}
    by_image: Mapping[str, ActionContract] = {} if offline else _contracts_of_images(terminal, manifests)
    done: list[Translation] = []
    for manifest in manifests:
        try:
            translation = translate(manifest.document, contracts, by_image)
        except NotOlder as error:
            line, column = manifest.locate("")
            terminal.remark(f"{manifest.source}:{line}:{column}: passed over: {error}")
            continue
        done.append(translation)
        for remark in translation.remarks:
            line, column = manifest.locate(remark.path)
            word = "lost" if remark.is_loss else "note"
            terminal.remark(f"{manifest.source}:{line}:{column}: {word}: {remark.path}: {remark.message}")
    if not done:
        raise CommandFailed("nothing here has an older shape", code=Exit.USAGE)
    _print(terminal, [document for item in done for document in item.documents], output)
    losses = sum(remark.is_loss for item in done for remark in item.remarks)
    if losses:
        terminal.remark(f"{losses} field{'s' * (losses != 1)} with no home today")
    return Exit.FAILED if losses and strict else Exit.SUCCEEDED


def _print(terminal: Terminal, documents: list[dict[str, object]], output: str) -> None:
    import json

    import yaml

    if output == "json":
        terminal.say(json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}, indent=2))
    elif documents:
        text = yaml.dump_all(documents, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=110)
        terminal.say(text.rstrip())


def _contracts_of_images(terminal: Terminal, manifests: "list[Manifest]") -> "Mapping[str, ActionContract]":
    from kubernaut.cli.importing import needed_contracts

    images = {image for manifest in manifests for image in needed_contracts(manifest.document)}
    if not images:
        return {}
    from kubernaut.cli.session import speak

    return speak(_ask(terminal, sorted(images)))


async def _ask(terminal: Terminal, images: list[str]) -> "dict[str, ActionContract]":
    """Those that answer; for the others a remark."""
    from kubernaut.cli.building import credentials_of
    from kubernaut.oci import ImageError, Reference, RegistryClient, RegistryImages, read_contract

    found: dict[str, ActionContract] = {}
    async with RegistryClient(credentials_of(terminal), timeout_seconds=_PATIENCE_SECONDS) as client:
        for image in images:
            try:
                reference = Reference.parse(image)
                found[image] = await read_contract(RegistryImages(client, reference), image.partition("@")[2])
            except ImageError as error:
                terminal.remark(f"note: the contract of {image} was not read: {error}")
    return found
