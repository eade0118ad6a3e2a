"""`kubernaut action lint`."""

from pathlib import Path

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.options import output_option, verbose
from kubernaut.cli.terminal import current_terminal


@click.command("lint")
@click.argument("package", metavar="PATH", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--strict", is_flag=True, help="Refuse what is only doubtful, too.")
@output_option("text", "json")
@verbose
def command(package: Path, strict: bool, output: str) -> int:
    """Check an action that you write.

    Makes its contract and judges it as a cluster's catalogue would; warns of wildcards, of permissions that no
    call in the code uses, and of what users would miss. PATH is the folder that `action init` made, or one with
    an action-contract.yaml.
    """
    from kubernaut.cli.contracts import judge
    from kubernaut.cli.packages import open_package

    terminal = current_terminal()
    judged = judge(open_package(package))
    if output == "json":
        import json

        rows = [{"severity": "fault", **one.to_json()} for one in judged.faults]
        rows += [{"severity": "warning", **one.to_json()} for one in judged.warnings]
        terminal.say(json.dumps(rows, indent=2))
    else:
        for one in judged.faults:
            terminal.say(str(one))
        for one in judged.warnings:
            source, line, column, fault = one
            terminal.say(f"{source}:{line}:{column}: warning: {fault}")
    bad = len(judged.faults) + (len(judged.warnings) if strict else 0)
    terminal.remark(f"{len(judged.faults)} faults, {len(judged.warnings)} warnings")
    return Exit.REFUSED if bad else Exit.SUCCEEDED
