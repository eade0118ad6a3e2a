"""`kubernaut action run`."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.inputs import pair, read_inputs
from kubernaut.cli.options import (
    Duration,
    Where,
    cluster_options,
    completed,
    in_namespace,
    namespace_option,
    offered_files,
    timeout_option,
    wait_option,
)
from kubernaut.cli.output import Json
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    from kubernaut.api.definition import ActionDefinition
    from kubernaut.cli.foreign import Foreign
    from kubernaut.cli.linting import Catalogue


class _Given(NamedTuple):
    """What the command line says about the action."""

    action_type: str
    inputs: tuple[str, ...]
    inputs_file: Path | None
    secrets: tuple[str, ...]
    name: str
    seconds: float | None
    image: str = ""
    """Instead of the catalogue's."""


@click.command("run")
@click.argument("action_type", metavar="[TYPE]", default="", shell_complete=completed("action_types"))
@click.option("-i", "--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input. Repeatable.")
@click.option(
    "--inputs-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="YAML or JSON file of inputs by name; --input wins over it.",
)
@click.option(
    "--secret-input", "secrets", multiple=True, metavar="NAME=SECRET/KEY", help="A secret input. Repeatable."
)
@click.option(
    "--image", default="", metavar="NAME@sha256:...", help="Run this image, by the contract that it carries."
)
@click.option("--name", default="", help="Of the ActionExecution. Default: made from TYPE.")
@click.option("--time-limit", type=Duration(), help="Of the action itself. Default: what its contract says.")
@click.option("--dry-run", is_flag=True, help="Let the cluster judge it, but change nothing.")
@click.option(
    "--local",
    "package",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="PATH",
    help="Run the action that is written there, in this process and as you; nothing is installed.",
)
@click.option("--embedded", is_flag=True, help="With --local: at a cluster made for this run only.")
@click.option(
    "-f",
    "--file",
    "objects",
    multiple=True,
    metavar="FILE",
    shell_complete=offered_files,
    help="With --embedded: objects to put into it first. Repeatable.",
)
@namespace_option
@wait_option("Follow it to its end; the exit code tells how it ended.")
@timeout_option
@cluster_options
def command(
    action_type: str,
    inputs: tuple[str, ...],
    inputs_file: Path | None,
    secrets: tuple[str, ...],
    image: str,
    name: str,
    time_limit: float | None,
    dry_run: bool,
    package: Path | None,
    embedded: bool,
    objects: tuple[str, ...],
    namespace: str | None,
    wait: bool,
    timeout: float | None,
    kubeconfig: Path | None,
    context: str | None,
) -> int:
    """Run one action, without a workflow around it.

    TYPE is an action of the cluster's catalogue: kubernetes/scale_deployment, or scale_deployment for short. What
    it takes is told by `kubernaut catalog show TYPE`. Lists and objects are given as JSON. With --image it is the
    action of any image that takes the fence; TYPE may be left out, and `kubernaut action contract show` tells.

    With --local it is an action that you write: checked, run dry and then for real as in its container, but with
    your permissions, without a fence and without a record.
    """
    from kubernaut.cli.session import speak

    given = _Given(action_type, inputs, inputs_file, secrets, name, time_limit, image)
    where = Where(kubeconfig, context, namespace)
    if package is not None:
        _refuse_what_is_recorded(given, dry_run=dry_run, wait=wait)
        return _run_locally(current_terminal(), where, package, given, objects if embedded else None)
    if not (action_type or image) or embedded or objects:
        raise CommandFailed("name the TYPE of an action, or the folder of yours with --local", code=Exit.USAGE)
    return speak(
        _run(current_terminal(), where, given, dry_run=dry_run, wait=wait and not dry_run, seconds=timeout)
    )


async def _run(
    terminal: Terminal, where: Where, given: _Given, *, dry_run: bool, wait: bool, seconds: float | None
) -> int:
    from kubernaut.cli.catalogue import definition_named, made_by, missing_dependencies
    from kubernaut.cli.following import follow
    from kubernaut.cli.foreign import Foreign, read_images
    from kubernaut.cli.linting import catalogue_of, refuse_document
    from kubernaut.cli.session import connected, create, require_installation
    from kubernaut.cluster import AlreadyExists, kinds

    kind, namespace = kinds.ACTION_EXECUTIONS, where.namespace_or_default
    async with connected(where, terminal) as cluster:
        await require_installation(cluster)
        catalogue = await catalogue_of(cluster)
        if catalogue is None:
            raise CommandFailed(
                "you may not look at the catalogue, which says what an action takes",
                mend="Ask for the permission to list actiondefinitions.",
                code=Exit.UNREACHABLE,
            )
        foreign: Foreign | None = None
        if given.image:
            foreign = await read_images(terminal, [given.image])
            definition = _own(given, catalogue, foreign)
            show = f"kubernaut action contract show {given.image}"
        else:
            definition = definition_named(catalogue, given.action_type)
            show = f"kubernaut catalog show {definition.spec.action_type}"
        body = _body(definition, given, namespace)
        refuse_document(body, catalogue, f"What it takes: {show}", foreign)
        try:
            created = await create(cluster, kind, body, namespace, dry_run=dry_run)
        except AlreadyExists:
            raise CommandFailed(
                f"there is an ActionExecution {given.name!r} already",
                mend="Choose another --name, or leave it out.",
                code=Exit.REFUSED,
            ) from None
        name = str(created["metadata"]["name"])
        terminal.say(f"actionexecution/{name} created{' (dry run)' if dry_run else ''}")
        for missing in await missing_dependencies(cluster, definition.spec.contract, namespace):
            terminal.remark(
                f"note: it needs the {missing}, which is not in namespace {namespace}: it waits for it. "
                f"Make it with: {made_by(missing, namespace)}"
            )
        if wait:
            return await follow(terminal, cluster, kind, name, namespace, seconds)
    if not dry_run:
        terminal.remark(f"Follow it with: kubernaut watch ae/{name}{in_namespace(namespace)}")
    return Exit.SUCCEEDED


def _own(given: _Given, catalogue: "Catalogue", foreign: "Foreign") -> "ActionDefinition":
    """The action of an image, as the catalogue would have it. Raises CommandFailed."""
    from kubernaut.admission.pins import DEFAULT_ACCOUNT, IMAGE
    from kubernaut.api.definition import ActionDefinition, DefinitionSpec
    from kubernaut.api.meta import ObjectMeta

    if not IMAGE.fullmatch(given.image):
        raise CommandFailed(
            f"--image {given.image} does not name the image by digest",
            mend="Write NAME@sha256:<64 hex digits>; a tag could change under the run.",
            code=Exit.USAGE,
        )
    if given.image in foreign.unreadable:
        fault = foreign.unreadable[given.image]
        raise CommandFailed(f"--image {given.image}: {fault.message}", mend=fault.mend, code=Exit.REFUSED)
    contract = foreign.contracts[given.image]
    name = given.action_type or contract.metadata.name
    known = catalogue.get(name)
    return ActionDefinition(
        metadata=ObjectMeta(name="own"),
        spec=DefinitionSpec(
            action_type=name,
            image=given.image,
            version=contract.metadata.version,
            service_account_name=known.spec.service_account_name if known else DEFAULT_ACCOUNT,
            contract=contract.spec,
        ),
    )


def _refuse_what_is_recorded(given: _Given, *, dry_run: bool, wait: bool) -> None:
    asked = {
        "TYPE": given.action_type,
        "--image": given.image,
        "--name": given.name,
        "--dry-run": dry_run,
        "--wait": wait,
    }
    for word, is_asked in asked.items():
        if is_asked:
            raise CommandFailed(f"{word} has no meaning with --local", code=Exit.USAGE)


def _run_locally(
    terminal: Terminal, where: Where, folder: Path, given: _Given, objects: tuple[str, ...] | None
) -> int:
    from kubernaut.cli.authoring import refuse_broken
    from kubernaut.cli.local import Asked, run_locally
    from kubernaut.cli.session import speak

    package, contract = refuse_broken(terminal, folder)
    asked = Asked(
        package,
        contract.spec,
        read_inputs(contract.spec, given.inputs, given.inputs_file),
        [_secret(one) for one in given.secrets],
        given.seconds,
    )
    return speak(run_locally(terminal, where, asked, objects))


def _body(definition: "ActionDefinition", given: _Given, namespace: str) -> Json:
    import msgspec

    from kubernaut.api import names
    from kubernaut.api.duration import to_duration

    spec, contract = definition.spec, definition.spec.contract
    action: Json = {
        "actionType": spec.action_type,
        "image": spec.image,
        "inputs": read_inputs(contract, given.inputs, given.inputs_file),
        "secretInputs": [_secret(one) for one in given.secrets],
        "serviceAccountName": spec.service_account_name,
        "timeout": to_duration(given.seconds) if given.seconds else contract.timeout,
        "contract": msgspec.to_builtins(contract),
    }
    named = {"name": given.name} if given.name else {"generateName": f"{names.short_type(spec.action_type)}-"}
    return {
        "apiVersion": names.EXECUTION_API,
        "kind": "ActionExecution",
        "metadata": {**named, "namespace": namespace},
        "spec": {key: value for key, value in action.items() if value},
    }


def _secret(text: str) -> Json:
    form = "NAME=SECRET/KEY"
    name, place = pair(text, "--secret-input", form)
    secret, slash, key = place.partition("/")
    if not (secret and slash and key):
        # The text is not repeated: somebody may have written the secret itself.
        raise CommandFailed(
            f"--secret-input {name} is not {form}", mend="Name the Secret and its key.", code=Exit.USAGE
        )
    return {"input": name, "secretKeyRef": {"name": secret, "key": key}}
