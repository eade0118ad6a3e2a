"""`kubernaut policy test`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import output_option, verbose
from kubernaut.cli.policies import library_option, limit_option
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    from kubernaut.safety.rego import PolicySet
    from kubernaut.safety.rego.testing import FileCoverage, Tested

_COLOURS = {"passed": "green", "failed": "red", "error": "red", "skipped": "yellow"}


@click.command("test")
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--shipped", is_flag=True, help="Run the tests of the shipped policies.")
@click.option("-r", "--run", "wanted", default="", metavar="REGEX", help="Only tests whose full name matches.")
@click.option("-c", "--coverage", is_flag=True, help="Tell which lines no test evaluates.")
@click.option("--threshold", type=click.FloatRange(0, 100), help="Fail below this coverage, in percent.")
@library_option
@limit_option
@output_option("text", "json")
@verbose
def command(
    paths: tuple[Path, ...],
    shipped: bool,
    wanted: str,
    coverage: bool,
    threshold: float | None,
    library: bool,
    timeout: float,
    output: str,
) -> int:
    """Run the tests of policies.

    A test is a rule `test_...` in any .rego file below PATH; it passes when it is true, and `todo_test_...` is
    skipped. YAML and JSON files are data, placed by their folder. Of a test that fails, the line is told that
    does not hold. Exits with 1 when a test fails, or coverage is below the threshold.
    """
    from kubernaut.cli.session import speak

    terminal = current_terminal()
    if bool(paths) == shipped:
        raise CommandFailed("give either paths or --shipped", code=Exit.USAGE)
    coverage = coverage or threshold is not None
    policies = _set(paths, shipped, library, terminal)
    results, files = speak(_run(policies, wanted, timeout, terminal, coverage=coverage))
    if not results:
        raise CommandFailed("there is no test", mend="A test is a rule whose name begins with test_.")
    (_print_json if output == "json" else _print_text)(terminal, results, files)
    return _exit_code(terminal, results, files, threshold)


def _set(paths: tuple[Path, ...], shipped: bool, library: bool, terminal: Terminal) -> "PolicySet":
    from kubernaut.cli.policies import read_set
    from kubernaut.safety.rego import shipped as the_library

    if shipped:
        return the_library(with_tests=True)
    return read_set(paths, library=library, with_tests=True, terminal=terminal)


async def _run(
    policies: "PolicySet", wanted: str, seconds: float, terminal: Terminal, *, coverage: bool
) -> "tuple[list[Tested], list[FileCoverage]]":
    import re

    from kubernaut.cli.policies import compiled
    from kubernaut.safety.rego.testing import coverage_of, listed_tests, run_test

    try:
        re.compile(wanted)
    except re.error as error:
        raise CommandFailed(f"--run: {error}", code=Exit.USAGE) from None
    from kubernaut.safety.rego import EngineFailed

    async with compiled(policies, seconds, terminal) as engine:
        results = [await run_test(engine, test) for test in listed_tests(engine, wanted)]
        try:
            return results, await coverage_of(engine) if coverage else []
        except EngineFailed as failed:
            raise CommandFailed(f"there is no coverage: {failed}") from None


def _print_text(terminal: Terminal, results: "list[Tested]", files: "list[FileCoverage]") -> None:
    from kubernaut.safety.rego.testing import percent

    for one in results:
        if one.outcome != "passed" or terminal.verbose:
            terminal.say(
                f"{one.file}:{one.line}: {one.name}: {terminal.paint(one.outcome, _COLOURS[one.outcome])}"
            )
        if one.message:
            terminal.say(f"    {one.message}: {one.text}" if one.text else f"    {one.message}")
        if one.outcome != "passed" or terminal.verbose:
            for line in one.prints:
                terminal.say(f"    printed {line}")
    for file in files:
        missed = f", not evaluated: {_ranges(file.missed)}" if file.missed else ""
        terminal.say(f"{file.path}: {file.percent:.1f} %{missed}")
    if files:
        terminal.say(f"coverage: {percent(files):.1f} %")


def _print_json(terminal: Terminal, results: "list[Tested]", files: "list[FileCoverage]") -> None:
    import json
    from dataclasses import asdict

    from kubernaut.safety.rego.testing import percent

    document: dict[str, object] = {"tests": [asdict(one) for one in results]}
    if files:
        document["coverage"] = {
            "percent": round(percent(files), 2),
            "files": [{**asdict(one), "percent": round(one.percent, 2)} for one in files],
        }
    terminal.say(json.dumps(document, indent=2))


def _exit_code(
    terminal: Terminal, results: "list[Tested]", files: "list[FileCoverage]", threshold: float | None
) -> Exit:
    from kubernaut.safety.rego.testing import percent

    counts = {outcome: sum(one.outcome == outcome for one in results) for outcome in _COLOURS}
    told = [f"{counts['passed']} passed", *(f"{n} {word}" for word, n in counts.items() if n and word != "passed")]
    terminal.remark(", ".join(told))
    if counts["failed"] or counts["error"]:
        return Exit.FAILED
    if threshold is not None and percent(files) < threshold:
        terminal.remark(f"coverage of {percent(files):.1f} % is below {threshold:g} %")
        return Exit.FAILED
    return Exit.SUCCEEDED


def _ranges(lines: tuple[int, ...]) -> str:
    """3, 5-7 from 3, 5, 6, 7."""
    parts: list[list[int]] = []
    for line in lines:
        if parts and line == parts[-1][-1] + 1:
            parts[-1].append(line)
        else:
            parts.append([line])
    return ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)
