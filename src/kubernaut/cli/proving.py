"""`kubernaut action prove`: which actions and scenarios are meant, and how what was found is told."""

import ast
import importlib.util
import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.output import format_table
from kubernaut.cli.packages import AuthorsFault, PlainPackage, open_package
from kubernaut.cli.terminal import Terminal
from kubernaut.sdk.declare import AnyAction
from kubernaut.testing.proof import Proof, Rule
from kubernaut.testing.scenario import Scenario, ScenarioInvalid, read_scenarios, shipped_scenarios
from kubernaut.testing.stage import shipped_actions

PROOFS = "proofs"
"""The folder of scenarios that exist for this only."""
OWN = "scenarios"
"""Beside an action of one's own."""


class Subject(NamedTuple):
    """An action that is to be proved."""

    action: AnyAction
    file: Path | None
    """Where it is declared."""
    scenarios: Sequence[Scenario]
    """Those that come with it."""
    is_shipped: bool = False


def subject_named(name: str) -> Subject:
    """A folder of somebody's, or an action in the box by its type or the end of it. Raises CommandFailed."""
    folder = Path(name)
    if folder.is_dir() and (
        name.startswith((".", "/")) or any(folder.glob("*.toml")) or any(folder.glob("*.yaml"))
    ):
        return _in_folder(folder)
    shipped = {action.name: action for action in shipped_actions()}
    found = shipped.get(name) or next((one for one in shipped.values() if one.name.endswith(f"/{name}")), None)
    if found is None:
        raise CommandFailed(
            f"there is no folder {name}, and no action {name} in the box",
            mend="See them: kubernaut images list",
            code=Exit.USAGE,
        )
    return _in_box(found)


def all_shipped() -> list[Subject]:
    """All in the box."""
    return [_in_box(action) for action in shipped_actions()]


def _in_box(action: AnyAction) -> Subject:
    spec = importlib.util.find_spec(action.module)
    return Subject(action, Path(spec.origin) if spec is not None and spec.origin else None, (), is_shipped=True)


def _in_folder(folder: Path) -> Subject:
    package = open_package(folder)
    if isinstance(package, PlainPackage):
        raise CommandFailed(
            f"{folder} holds an action in another language; only those written with the sdk can be proved",
            mend="Run it on a cluster with its own account: kubernaut action install, then kubernaut action run.",
            code=Exit.REFUSED,
        )
    try:
        return Subject(package.load(), package.file, scenarios_below(folder / OWN))
    except AuthorsFault as error:
        raise CommandFailed(f"{error.file}:{error.line}: {error.message}", code=Exit.REFUSED) from error


def scenarios_below(*folders: Path) -> list[Scenario]:
    """Those of the folders; of the same name the first. Raises CommandFailed."""
    found: dict[str, Scenario] = {}
    try:
        for folder in folders:
            for scenario in read_scenarios(folder):
                found.setdefault(scenario.name, scenario)
    except ScenarioInvalid as error:
        raise CommandFailed(str(error), mend="See docs/simulator.md.", code=Exit.REFUSED) from None
    return list(found.values())


def in_the_box() -> list[Scenario]:
    """The stories and the proofs. Raises CommandFailed."""
    return scenarios_below(shipped_scenarios() / PROOFS, shipped_scenarios())


@contextmanager
def quiet(terminal: Terminal) -> Generator[None]:
    """What the controller says of a scenario's bad weather is no news here, unless more is asked for."""
    if terminal.verbose:
        yield
        return
    logging.disable()
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


# -- telling ---------------------------------------------------------------------------------------


def tell(terminal: Terminal, subject: Subject, proof: Proof) -> None:
    """What was found of one action."""
    if not proof.scenarios:
        terminal.say(f"{proof.action}: {terminal.paint('no scenario', 'red')}")
        place = "scenarios/proofs" if subject.is_shipped else "scenarios/ beside it"
        terminal.say(f"  mend:  write one in whose workflow it is a step, in {place}; see docs/simulator.md")
        return
    many = len(proof.scenarios)
    played = f"{many} scenario{'s' if many > 1 else ''}"
    if proof.is_exact and not proof.failures:
        terminal.say(f"{proof.action}: {terminal.paint('proven', 'green')} in {played}")
    else:
        terminal.say(f"{proof.action}: {terminal.paint('not proven', 'red')} in {played}")
    if terminal.verbose:
        rows = [[f"  {rule}", ", ".join(names)] for rule, names in proof.used.items()]
        terminal.say(format_table(terminal, ["  Used", "In"], rows))
    for use, where in proof.undeclared.items():
        terminal.say(f"  undeclared: {use}  (scenario {', '.join(where)})")
    if proof.undeclared:
        terminal.say("  mend:  add to the permissions of the contract")
        text = yaml.safe_dump(proof.to_add(), sort_keys=False, default_flow_style=None)
        for line in text.rstrip().splitlines():
            terminal.say(f"    {line}")
    for rule in proof.unused:
        terminal.say(f"  unused: {rule}  ({place_of(subject, rule)})")
    if proof.unused:
        terminal.say("  mend:  delete them, or write a scenario in which they are needed")
    for said in proof.failures:
        terminal.say(f"  scenario {said}")


def place_of(subject: Subject, rule: Rule) -> str:
    """`file:line` of the permission that declares it; what it is part of where that cannot be found."""
    whole = f"permissions[{rule.number}]"
    if subject.file is None:
        return whole
    shown = subject.file
    here = Path.cwd()
    if shown.is_relative_to(here):
        shown = shown.relative_to(here)
    line = _line_of(subject.file, rule.number)
    return f"{shown}:{line}" if line else f"{shown}, {whole}"


def _line_of(file: Path, index: int) -> int:
    """0 where the permissions are not written as a list."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg == "permissions":
            if isinstance(node.value, ast.List | ast.Tuple) and index < len(node.value.elts):
                return node.value.elts[index].lineno
            return node.value.lineno
    return 0


def to_json(subject: Subject, proof: Proof) -> dict[str, Any]:
    """For programs."""
    return {
        "action": proof.action,
        "proven": bool(proof.scenarios) and proof.is_exact and not proof.failures,
        "scenarios": list(proof.scenarios),
        "used": [{"permission": str(rule), "scenarios": list(where)} for rule, where in proof.used.items()],
        "undeclared": [
            {**{key: value for key, value in use._asdict().items() if value}, "scenarios": list(where)}
            for use, where in proof.undeclared.items()
        ],
        "add": proof.to_add(),
        "unused": [{"permission": str(rule), "at": place_of(subject, rule)} for rule in proof.unused],
        "failures": list(proof.failures),
    }
