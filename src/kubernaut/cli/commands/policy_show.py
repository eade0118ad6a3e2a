"""`kubernaut policy show`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import SYSTEM_NAMESPACE, Where, cluster_options, output_option
from kubernaut.cli.policies import EVALUATION_SECONDS, library_option
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    from kubernaut.safety.rego import PolicySet
    from kubernaut.safety.rego.listing import Package


@click.command("show")
@click.argument("package", required=False)
@click.option("--cluster", "in_cluster", is_flag=True, help="Those in force in a cluster, from its ConfigMaps.")
@click.option("--settings", is_flag=True, help="Print the parameters of policies.")
@click.option("--example", is_flag=True, help="Print an input document, to try policies on.")
@click.option(
    "-n", "--namespace", default=SYSTEM_NAMESPACE, show_default=True, help="Where the cluster's ConfigMaps stand."
)
@library_option
@output_option("text", "json")
@cluster_options
def command(
    package: str | None,
    in_cluster: bool,
    settings: bool,
    example: bool,
    namespace: str,
    library: bool,
    output: str,
    kubeconfig: Path | None,
    context: str | None,
) -> int:
    """Show the shipped policies, or those of a cluster.

    Lists every package with what it decides; with PACKAGE prints its text. With --cluster, policies are read
    from ConfigMaps that have the label kubernaut.ai/policy=true, compiled together with the shipped ones.
    """
    from kubernaut.cli.session import speak
    from kubernaut.safety.rego import shipped

    terminal = current_terminal()
    if example:
        return _print_example(terminal)
    if in_cluster:
        policies = speak(_of_cluster(Where(kubeconfig, context), namespace, library, terminal))
    else:
        policies = shipped()
    if settings:
        from kubernaut.cli.output import print_data

        print_data(terminal, policies.data, "json" if output == "json" else "yaml")
        return Exit.SUCCEEDED
    packages = speak(_packages(policies, terminal))
    if package:
        return _print_package(terminal, package, packages, policies)
    if output == "json":
        _print_json(terminal, packages, policies)
    else:
        _print_list(terminal, packages)
        terminal.remark(f"{len(policies.sources)} modules, {policies.digest}")
    return Exit.SUCCEEDED


async def _of_cluster(where: Where, namespace: str, library: bool, terminal: Terminal) -> "PolicySet":
    from kubernaut.api.policy import LABEL_POLICY
    from kubernaut.cli.policies import told
    from kubernaut.cli.session import connected, fetch_all
    from kubernaut.cluster import kinds
    from kubernaut.safety.rego import UnreadableSet, from_config_maps, with_library

    async with connected(where, terminal) as cluster:
        found = await fetch_all(cluster, kinds.CONFIG_MAPS, namespace, f"{LABEL_POLICY}=true")
    if not found:
        terminal.remark(f"there is no ConfigMap with the label {LABEL_POLICY}=true in namespace {namespace}")
    try:
        own = from_config_maps(found)
    except UnreadableSet as refused:
        raise told(refused, terminal) from None
    return with_library(own) if library else own


async def _packages(policies: "PolicySet", terminal: Terminal) -> "list[Package]":
    from kubernaut.cli.policies import compiled
    from kubernaut.safety.rego.listing import packages_of

    async with compiled(policies, EVALUATION_SECONDS, terminal) as engine:
        return packages_of(engine)


def _print_list(terminal: Terminal, packages: "list[Package]") -> None:
    from kubernaut.cli.output import format_table

    rows = [(one.name, one.title, ", ".join(one.decisions) or "-", ", ".join(one.files)) for one in packages]
    terminal.say(format_table(terminal, ["package", "title", "decides", "files"], rows))


def _print_package(terminal: Terminal, name: str, packages: "list[Package]", policies: "PolicySet") -> Exit:
    from difflib import get_close_matches

    wanted = name.removeprefix("data.")
    found = [one for one in packages if wanted in (one.name, one.name.rpartition(".")[2])]
    if not found:
        near = get_close_matches(wanted, [one.name.rpartition(".")[2] for one in packages], n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise CommandFailed(
            f"there is no package {name!r}", mend=f"{hint}List them with: kubernaut policy show", code=Exit.USAGE
        )
    for one in found:
        for path in one.files:
            terminal.say(f"# {path}")
            terminal.say(policies.text_of(path).rstrip())
    return Exit.SUCCEEDED


def _print_json(terminal: Terminal, packages: "list[Package]", policies: "PolicySet") -> None:
    import json
    from dataclasses import asdict

    answer = {"digest": policies.digest, "packages": [asdict(one) for one in packages]}
    terminal.say(json.dumps(answer, indent=2, ensure_ascii=False))


def _print_example(terminal: Terminal) -> Exit:
    from kubernaut.api.policy import example
    from kubernaut.cli.output import print_data
    from kubernaut.safety.rego import to_document

    print_data(terminal, to_document(example()), "yaml")
    return Exit.SUCCEEDED
