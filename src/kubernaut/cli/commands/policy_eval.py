"""`kubernaut policy eval`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import output_option, verbose
from kubernaut.cli.policies import library_option, limit_option
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    from kubernaut.planning.policies import Finding, PolicyVerdict
    from kubernaut.safety.rego import PolicySet

_COLOURS = {"deny": "red", "require_approval": "yellow", "require_dry_run": "yellow", "min_autonomy": "yellow"}


@click.command("eval")
@click.argument("query", required=False)
@click.option(
    "-i", "--input", "source", required=True, metavar="FILE", help="The input, YAML or JSON; - reads stdin."
)
@click.option(
    "-p",
    "--policy",
    "paths",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="File or folder of policies. Repeatable.",
)
@library_option
@limit_option
@output_option("text", "json")
@verbose
def command(
    query: str | None, source: str, paths: tuple[Path, ...], library: bool, timeout: float, output: str
) -> int:
    """Judge an input document, and tell which rule decides.

    Without QUERY the whole decision is made as a cluster makes it: an action may run if some package below
    data.kubernaut allows it and none denies. With QUERY, such as data.kubernaut.lib.environment, its values are
    printed. Exits with 3 for a denial, and for a query that is undefined or false.
    """
    from kubernaut.cli.policies import read_set
    from kubernaut.cli.session import speak

    terminal = current_terminal()
    if not paths and not library:
        raise CommandFailed("there are no policies to ask", mend="Name some with -p.", code=Exit.USAGE)
    document = _read_input(source)
    policies = read_set(paths, library=library, terminal=terminal)
    if query:
        return speak(_answer(policies, query, document, timeout, output, terminal))
    _doubt_input(document, terminal)
    verdict = speak(_judge(policies, document, timeout, terminal))
    if output == "json":
        _print_json(terminal, verdict, policies, document)
    else:
        _print_verdict(terminal, verdict)
    return Exit.SUCCEEDED if verdict.allowed else Exit.REFUSED


def _read_input(source: str) -> dict[str, Any]:
    from kubernaut.cli.manifests import read_manifests

    documents = read_manifests((source,))
    if len(documents) != 1:
        raise CommandFailed(f"{source} holds {len(documents)} documents: one is judged at a time", code=Exit.USAGE)
    return documents[0].document


def _doubt_input(document: dict[str, Any], terminal: Terminal) -> None:
    import msgspec

    from kubernaut.api.policy import PolicyInput

    try:
        msgspec.convert(document, PolicyInput)
    except msgspec.ValidationError as error:
        terminal.remark(f"warning: kubernaut would send no such input: {error}")


async def _judge(
    policies: "PolicySet", document: dict[str, Any], seconds: float, terminal: Terminal
) -> "PolicyVerdict":
    from kubernaut.cli.policies import compiled
    from kubernaut.safety.rego import judge

    async with compiled(policies, seconds, terminal) as engine:
        return await judge(engine, document)


async def _answer(
    policies: "PolicySet", query: str, document: dict[str, Any], seconds: float, output: str, terminal: Terminal
) -> Exit:
    import json

    from kubernaut.cli.policies import compiled
    from kubernaut.safety.rego import EngineFailed

    async with compiled(policies, seconds, terminal) as engine:
        try:
            found = await engine.query(query, document)
        except EngineFailed as failed:
            raise CommandFailed(str(failed)) from None
    if found.error:
        raise CommandFailed(f"{query}: {found.error}")
    for line in found.prints:
        terminal.remark(f"printed {line}")
    if output == "json":
        answer = {"defined": found.is_defined, "values": found.values, "bindings": found.bindings}
        terminal.say(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        for value in found.values:
            terminal.say(json.dumps(value, indent=2, ensure_ascii=False))
    if not found.is_defined:
        terminal.remark(f"{query} is undefined")
    return Exit.SUCCEEDED if found.holds else Exit.REFUSED


def _print_verdict(terminal: Terminal, verdict: "PolicyVerdict") -> None:
    word = terminal.paint("allowed", "green") if verdict.allowed else terminal.paint("denied", "red")
    terminal.say(word)
    for finding in _findings(verdict):
        terminal.say(
            f"  {terminal.paint(finding.decision, _COLOURS.get(finding.decision, ''))}: {finding.message}"
        )
        if mend := finding.details.get("mend"):
            terminal.say(f"    mend: {mend}")
        if finding.where:
            terminal.say(f"    by {finding.where}")
    for package in verdict.allowed_by:
        terminal.say(f"  allow: data.{package}.allow")


def _findings(verdict: "PolicyVerdict") -> "list[Finding]":
    return [*verdict.denials, *verdict.approvals, *verdict.dry_runs, *verdict.autonomy, *verdict.warnings]


def _print_json(
    terminal: Terminal, verdict: "PolicyVerdict", policies: "PolicySet", document: dict[str, Any]
) -> None:
    import json
    from dataclasses import asdict

    from kubernaut.safety.rego import digest_of

    answer = {
        "allowed": verdict.allowed,
        "reason": verdict.reason,
        "requiresApproval": verdict.requires_approval,
        "requiresDryRun": verdict.requires_dry_run,
        "minAutonomy": verdict.min_autonomy,
        "allowedBy": list(verdict.allowed_by),
        "findings": [asdict(finding) for finding in _findings(verdict)],
        "policies": policies.digest,
        "input": digest_of(document),
    }
    terminal.say(json.dumps(answer, indent=2, ensure_ascii=False))
