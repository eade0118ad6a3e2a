"""The order of steps: `runAfter`, what conditions refer to, and cycles."""

import re
from collections.abc import Iterable, Iterator

from kubernaut.admission.inputs import output_fault, step_fault
from kubernaut.admission.survey import Placed, Survey
from kubernaut.api.faults import Fault
from kubernaut.api.graph import find_cycles, implicit_edges, steps_in_cel
from kubernaut.api.workflow import StepPhase

_STEPS = re.compile(r"\bsteps\b")
_REFERENCE = re.compile(
    r"\bsteps\s*(?:\.\s*([A-Za-z_]\w*)|\[\s*(['\"])([^'\"]+)\2\s*\])\s*\.\s*(\w+)"
    r"(?:\s*\.\s*(\w++)(?!\s*\())?(?:\s*[!=]=\s*(['\"])([^'\"]*)\6)?"
)
_NAMED = re.compile(r"\bsteps\s*(?:\.\s*[A-Za-z_]\w*+(?!\s*\()|\[\s*(['\"])[^'\"]+\1\s*\])")
_TEXT = re.compile(r"'[^'\\\n]*'|\"[^\"\\\n]*\"")
_PARAMETER = re.compile(r"\bparams\s*\.\s*([A-Za-z_]\w*)")
_SAFE = re.compile(r"\bhas\s*\(|\.\s*\?|\[\s*\?")
_PHASES = frozenset(phase.value for phase in StepPhase)
_OLDER_PHASES = {"Completed": "Succeeded", "Success": "Succeeded", "Executing": "Running", "Error": "Failed"}
_MOST_SHOWN = 12


def order_faults(survey: Survey) -> Iterator[Fault]:
    """Unknown and impossible dependencies in `runAfter`, and cycles of all dependencies."""
    for placed in survey.placed:
        for index, name in enumerate(placed.step.run_after):
            fault = step_fault(survey, placed, name, f"{placed.path}.runAfter[{index}]")
            if fault is not None:
                yield fault
    yield from _cycles(survey, survey.main)
    yield from _cycles(survey, survey.last)


def condition_faults(survey: Survey) -> Iterator[Fault]:
    """Conditions that do not compile, or that ask about what will never be there."""
    compiled: dict[str, str | None] = {}
    for placed in survey.placed:
        for index, expression in enumerate(placed.step.when):
            path = f"{placed.path}.when[{index}]"
            if expression not in compiled:
                compiled[expression] = survey.door.cel_error(expression)
            error = compiled[expression]
            if error is not None:
                yield Fault(path, f"is no condition that can be asked: {error}")
            yield from _subject_faults(survey, placed, expression, path)


def _cycles(survey: Survey, placed: Iterable[Placed]) -> Iterator[Fault]:
    """One fault for each knot; a step that waits for itself is told elsewhere."""
    waits_for: dict[str, list[str]] = {}
    for one in placed:
        step = one.step
        edges = dict.fromkeys((*step.run_after, *sorted(implicit_edges(step))))
        # Of two steps of one name the first counts: the second is refused for its name.
        waits_for.setdefault(step.name, [name for name in edges if name != step.name])
    told: set[str] = set()
    for cycle in find_cycles(waits_for):
        if told.issuperset(cycle):
            continue
        told.update(cycle)
        names = [name[:63] for name in (*cycle, cycle[0])]
        if len(names) > _MOST_SHOWN:
            names = [*names[: _MOST_SHOWN - 2], f"({len(names) - _MOST_SHOWN} more)", *names[-2:]]
        text = " -> ".join(names)
        mend = "Each waits for the next: take one dependency out."
        yield Fault(survey.by_name[cycle[0]].path, f"these steps wait for each other: {text}", mend)


def _subject_faults(survey: Survey, placed: Placed, expression: str, path: str) -> Iterator[Fault]:
    named = steps_in_cel(expression)
    for name in sorted(named):
        fault = step_fault(survey, placed, name, path)
        if fault is not None:
            yield fault
    matches = list(_REFERENCE.finditer(expression))
    if not placed.is_last and _is_open(expression):
        mend = "Name each: steps.a or steps['a-b']. Only steps of finally may look at all."
        yield Fault(path, "it must be seen from the condition which steps it asks about", mend)
    if not _SAFE.search(expression):
        for match in matches:
            yield from _use_faults(survey, match, path)
        for name in dict.fromkeys(match[1] for match in _PARAMETER.finditer(expression)):
            if name not in survey.workflow.spec.parameters:
                mend = f"{survey.parameters_nearest.mend(name)} Or ask has(params.{name[:63]}) first."
                yield Fault(path, f"no parameter {name[:63]} is given in spec.parameters", mend)


def _is_open(expression: str) -> bool:
    """Whether `steps` stands somewhere without the name of a step behind it."""
    code = _TEXT.sub(lambda found: found[0].replace("steps", "....."), expression)
    return len(_STEPS.findall(code)) > len(_NAMED.findall(code))


def _use_faults(survey: Survey, match: re.Match[str], path: str) -> Iterator[Fault]:
    """One `steps.<name>.<field>...`: fields that steps have, outputs that are declared, phases that there are."""
    name, field, key, phase = match[1] or match[3], match[4], match[5], match[7]
    if name not in survey.by_name:
        return
    if field not in ("phase", "outputs"):
        yield Fault(path, f"a step has phase and outputs here, not {field[:63]}")
    elif field == "outputs" and key is not None:
        fault = output_fault(survey, name, key, path)
        if fault is not None:
            yield fault
    elif field == "phase" and phase is not None and phase not in _PHASES:
        near = _OLDER_PHASES.get(phase, "")
        hint = f"Did you mean {near}? " if near else ""
        phases = ", ".join(sorted(_PHASES))
        yield Fault(path, "compares with a phase that there is not", f"{hint}Phases: {phases}.")
