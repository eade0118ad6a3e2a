"""`kubernaut action prove`."""

from pathlib import Path

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import output_option, verbose
from kubernaut.cli.terminal import current_terminal


@click.command("prove")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="All actions in the box.")
@click.option(
    "--from",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="FOLDER",
    help="Play only the scenarios of this folder.",
)
@output_option("text", "json")
@verbose
def command(names: tuple[str, ...], everything: bool, folder: Path | None, output: str) -> int:
    """Show that an action declares just the permissions it uses.

    NAME is an action in the box (kubernetes/drain_node, or drain_node), or the folder of one that you write. It is
    run in every scenario in whose workflow it is a step: those in the box, and those in scenarios/ of its folder.
    What the API server refuses it beyond its contract is noted, granted, and the scenario played again. Exit code
    0: used is what is declared; 9: something is used and not declared, or declared and not used; 1: there is no
    scenario, or one does not go as it expects.
    """
    from kubernaut.cli import proving
    from kubernaut.cli.session import speak
    from kubernaut.testing.proof import prove
    from kubernaut.testing.stage import shipped_actions

    terminal = current_terminal()
    if everything == bool(names):
        raise CommandFailed("name an action, or say --all", mend="See: kubernaut images list", code=Exit.USAGE)
    subjects = proving.all_shipped() if everything else [proving.subject_named(name) for name in names]
    if folder is not None:
        scenarios = proving.scenarios_below(folder)
    else:
        own = [scenario for subject in subjects for scenario in subject.scenarios]
        scenarios = [*own, *proving.in_the_box()]
    actions = [subject.action for subject in subjects]
    with proving.quiet(terminal):
        proofs = speak(
            prove(actions, scenarios, shipped_actions(), lambda name: terminal.remark(f"playing {name}"))
        )
    pairs = list(zip(subjects, proofs, strict=True))
    if output == "json":
        import json

        terminal.say(json.dumps([proving.to_json(*pair) for pair in pairs], indent=2))
    else:
        for pair in pairs:
            proving.tell(terminal, *pair)
    if any(not proof.is_exact and proof.scenarios for proof in proofs):
        return Exit.DIFFERENT
    return Exit.FAILED if any(proof.failures or not proof.scenarios for proof in proofs) else Exit.SUCCEEDED
