"""The dependency graph of a workflow: explicit edges (`runAfter`) and implicit ones (output references).

`when` expressions refer to steps as `steps.<name>` or `steps['<name>']`; those count as implicit edges too, or
a condition could be asked before its answer exists.
"""

import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from kubernaut.api.references import OutputReference, find
from kubernaut.api.workflow import Step

# A call on all steps, `steps.exists(...)`, names none of them.
_IN_CEL = re.compile(r"\bsteps\s*(?:\.\s*([A-Za-z_][A-Za-z0-9_]*+)(?!\s*\()|\[\s*(['\"])([^'\"]+)\2\s*\])")


@dataclass(frozen=True)
class Graph:
    """Steps in the order of the spec, with what each waits for. Names are unique, edges exist, no cycles."""

    order: tuple[str, ...]
    waits_for: Mapping[str, frozenset[str]]
    """Every dependency of a step."""
    uses_outputs_of: Mapping[str, frozenset[str]]
    """Those of them whose outputs it needs: without the outputs it cannot run."""
    topological: tuple[str, ...]
    """Every step after all that it waits for; steps of equal depth in the order of the spec."""
    steps: Mapping[str, Step]
    """The steps themselves, in the order of the spec."""


def graph_of(steps: Sequence[Step]) -> Graph:
    """The graph of steps that passed the door (`admission`)."""
    order = tuple(step.name for step in steps)
    waits_for = {step.name: frozenset(step.run_after) | frozenset(implicit_edges(step)) for step in steps}
    return Graph(
        order=order,
        waits_for=waits_for,
        uses_outputs_of={step.name: frozenset(outputs_used(step)) for step in steps},
        topological=_topological(order, waits_for),
        steps={step.name: step for step in steps},
    )


def without(graph: Graph, outside: Iterable[str]) -> Graph:
    """The graph less the edges to steps of another list: `finally` steps refer to main steps that have ended."""
    gone = frozenset(outside)
    waits_for = {name: edges - gone for name, edges in graph.waits_for.items()}
    return replace(graph, waits_for=waits_for, topological=_topological(graph.order, waits_for))


def descendants(graph: Graph, root: str) -> set[str]:
    """The step and everything that waits for it, directly or not."""
    found = {root}
    for name in graph.topological:
        if not found.isdisjoint(graph.waits_for[name]):
            found.add(name)
    return found


def _topological(order: Sequence[str], waits_for: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    missing = {name: sum(1 for edge in waits_for[name] if edge in waits_for) for name in order}
    dependents: dict[str, list[str]] = {name: [] for name in order}
    for name in order:
        for edge in waits_for[name]:
            if edge in dependents:
                dependents[edge].append(name)
    ready = deque(name for name in order if not missing[name])
    sorted_names: list[str] = []
    while ready:
        name = ready.popleft()
        sorted_names.append(name)
        for dependent in dependents[name]:
            missing[dependent] -= 1
            if not missing[dependent]:
                ready.append(dependent)
    return tuple(sorted_names)


def outputs_used(step: Step) -> Iterable[str]:
    """Names of the steps whose outputs go into this step's inputs."""
    return {f.reference.step for f in find(step.inputs, "") if isinstance(f.reference, OutputReference)}


def implicit_edges(step: Step) -> set[str]:
    """Names of the steps that inputs and conditions refer to."""
    return set(outputs_used(step)) | {name for condition in step.when for name in steps_in_cel(condition)}


def steps_in_cel(expression: str) -> set[str]:
    """Names of the steps that a CEL expression refers to. Dots allow only names without hyphens."""
    return {match[1] or match[3] for match in _IN_CEL.finditer(expression)}


def find_cycles(waits_for: Mapping[str, Iterable[str]]) -> list[tuple[str, ...]]:
    """One true cycle for each knot of the graph: its steps in the order in which they wait for each other.

    Steps that merely depend on a cycle are not named. Unknown names are passed over. O(V+E), without recursion.
    """
    done: set[str] = set()
    cycles: list[tuple[str, ...]] = []
    for root in waits_for:
        if root in done:
            continue
        path: list[str] = []
        at: dict[str, int] = {}
        stack = [(root, iter(waits_for[root]))]
        path.append(root)
        at[root] = 0
        while stack:
            name, edges = stack[-1]
            for target in edges:
                if target in at:
                    cycles.append(tuple(path[at[target] :]))
                elif target in waits_for and target not in done:
                    at[target] = len(path)
                    path.append(target)
                    stack.append((target, iter(waits_for[target])))
                    break
            else:
                stack.pop()
                path.pop()
                del at[name]
                done.add(name)
    return cycles
