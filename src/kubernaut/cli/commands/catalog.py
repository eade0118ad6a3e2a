"""`kubernaut catalog`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubernaut.cli.options import Where, cluster_options, completed, output_option
from kubernaut.cli.output import Json, format_table, print_data
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    from kubernaut.api.definition import ActionDefinition

_shipped_option = click.option("--shipped", is_flag=True, help="Those in the box; no cluster is asked.")


@click.group("catalog")
def command() -> None:
    """List and show the actions that there are."""


@command.command("list")
@_shipped_option
@output_option("table", "wide", "json", "yaml", "name")
@cluster_options
def list_(shipped: bool, output: str, kubeconfig: Path | None, context: str | None) -> None:
    """List the actions of the cluster, or those in the box."""
    from kubernaut.cli.session import speak

    speak(_list(current_terminal(), Where(kubeconfig, context), output, shipped=shipped))


@command.command("show")
@click.argument("action_type", metavar="TYPE", shell_complete=completed("action_types"))
@_shipped_option
@output_option("text", "json", "yaml")
@cluster_options
def show(action_type: str, shipped: bool, output: str, kubeconfig: Path | None, context: str | None) -> None:
    """Show what an action takes, gives, may touch and promises.

    TYPE is kubernetes/scale_deployment, or scale_deployment where no other domain has one of that name.
    """
    from kubernaut.cli.session import speak

    speak(_show(current_terminal(), Where(kubeconfig, context), action_type, output, shipped=shipped))


async def _list(terminal: Terminal, where: Where, output: str, *, shipped: bool) -> None:
    from kubernaut.cli.catalogue import definitions, first_sentence

    found = await definitions(terminal, where, shipped=shipped)
    if output in ("json", "yaml"):
        items = [_plain(one) for one in found.values()]
        print_data(terminal, {"apiVersion": "v1", "kind": "List", "items": items}, output)
    elif output == "name":
        for name in found:
            terminal.say(name)
    elif not found:
        terminal.remark("the catalogue is empty; fill it with: kubernaut install --apply")
    else:
        wide = output == "wide"
        titles = ["Action", "Version", *(["Account", "Image"] if wide else []), "What it does"]
        rows = [
            [
                one.spec.action_type,
                one.spec.version,
                *([one.spec.service_account_name, one.spec.image] if wide else []),
                first_sentence(one.spec.contract.description),
            ]
            for one in found.values()
        ]
        terminal.say(format_table(terminal, titles, rows))


async def _show(terminal: Terminal, where: Where, action_type: str, output: str, *, shipped: bool) -> None:
    from kubernaut.cli.catalogue import definition_named, definitions, described

    found = definition_named(await definitions(terminal, where, shipped=shipped), action_type)
    if output != "text":
        print_data(terminal, _plain(found), output)
        return
    for line in described(found):
        terminal.say(line)
    needed = [one for one in found.spec.contract.inputs if one.required and one.default is None]
    inputs = "".join(
        f" --secret-input {one.name}=SECRET/KEY" if one.secret else f" --input {one.name}=..." for one in needed
    )
    terminal.say()
    terminal.say(f"  kubernaut action run {found.spec.action_type}{inputs} --wait")


def _plain(definition: "ActionDefinition") -> Json:
    import msgspec

    plain: Json = msgspec.to_builtins(definition)
    return plain
