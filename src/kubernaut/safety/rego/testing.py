"""Running the tests of policies, as `opa test` does: every rule `test_...` must be true; `todo_test_...` waits."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from kubernaut.safety.rego.engine import EngineFailed, RegoEngine
from kubernaut.safety.rego.reading import COMPLETE, Rule

Outcome = Literal["passed", "failed", "error", "skipped"]


@dataclass(frozen=True)
class Tested:
    """What one test came to."""

    name: str
    outcome: Outcome
    file: str
    line: int
    """Where it begins; of one that failed, the last line that was reached."""
    message: str = ""
    text: str = ""
    """What stands on the line where it ended."""
    prints: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileCoverage:
    """Lines of one file that tests evaluated, and those that they did not."""

    path: str
    covered: tuple[int, ...]
    missed: tuple[int, ...]

    @property
    def percent(self) -> float:
        return percent([self])


def percent(files: Iterable[FileCoverage]) -> float:
    """Of all lines with something to evaluate, those that were; 100 where there are none."""
    listed = list(files)
    covered, missed = (sum(len(part) for part in parts) for parts in _columns(listed))
    return 100.0 * covered / (covered + missed) if covered + missed else 100.0


def _columns(files: list[FileCoverage]) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    return [one.covered for one in files], [one.missed for one in files]


def listed_tests(engine: RegoEngine, wanted: str = "") -> list[Rule]:
    """Every test of a set by place, the first definition of each; `wanted` is a pattern on full names."""
    found: dict[str, Rule] = {}
    for rule in sorted(engine.rules, key=lambda rule: (rule.place.path, rule.place.line)):
        name = rule.name.rpartition(".")[2]
        is_test = rule.kind == COMPLETE and name.startswith(("test_", "todo_test_"))
        if is_test and re.search(wanted, rule.full_name):
            found.setdefault(rule.full_name, rule)
    return list(found.values())


async def run_test(engine: RegoEngine, rule: Rule) -> Tested:
    """Runs one test; one that never ends fails, and the next one works."""
    name, file, line = rule.full_name, rule.place.path, rule.place.line
    if rule.name.rpartition(".")[2].startswith("todo_"):
        return Tested(name, "skipped", file, line)
    try:
        answer = await engine.test(name)
    except EngineFailed as failed:
        return Tested(name, "error", file, line, str(failed))
    prints = tuple(answer.get("prints", ()))
    if answer.get("passed"):
        return Tested(name, "passed", file, line, prints=prints)
    if error := answer.get("error"):
        return Tested(name, "error", answer.get("file", file), answer.get("line", line), error, prints=prints)
    reached = int(answer["line"])
    lines = engine.policies.text_of(file).splitlines()
    text = lines[reached - 1].strip() if 0 < reached <= len(lines) else ""
    return Tested(name, "failed", file, reached, "this does not hold", text, prints)


async def coverage_of(engine: RegoEngine) -> list[FileCoverage]:
    """What the tests that ran evaluated, of all files that are no tests themselves. Raises EngineFailed."""
    files = await engine.coverage()
    known = dict(engine.policies.sources)
    return [
        FileCoverage(path, tuple(lines["covered"]), tuple(lines["missed"]))
        for path, lines in sorted(files.items())
        if path in known and not path.endswith("_test.rego")
    ]
