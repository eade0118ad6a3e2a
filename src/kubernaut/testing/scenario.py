"""A scenario: something that is ill, what makes it ill, a workflow, and what is to become of both.

A folder of `workload.yaml`, `fault.yaml` (if anything goes wrong on top), `workflow.yaml`, `expectation.yaml` and
a `README.md`. docs/simulator.md tells of the files.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import yaml

from kubernaut.api.duration import from_duration
from kubernaut.cluster import ClusterError, kinds
from kubernaut.concurrency import Clock, SystemClock
from kubernaut.devcluster.errors import AlreadyExists, Invalid
from kubernaut.devcluster.faults import Fault
from kubernaut.sdk.declare import AnyAction
from kubernaut.testing.checks import Check
from kubernaut.testing.installing import RUNS
from kubernaut.testing.stage import WORKFLOWS, NotInTime, Stage, open_stage

Json: TypeAlias = dict[str, Any]
SIMULATOR = "simulator.kubernaut.ai/v1"


class ScenarioInvalid(ValueError):
    """A file of a scenario says what there is not."""


class WorkflowEnd(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """What is to become of one workflow."""

    phase: str
    steps: Mapping[str, str] = {}
    """Phases by step."""
    reason: str = ""
    """Why, in part: of the workflow's status, its conditions, or its steps."""


class Expectation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """`expectation.yaml`."""

    story: str
    """One sentence."""
    within: str = "1h"
    """How long each part may take, in the cluster's time."""
    well: tuple[Check, ...] = ()
    """Before the fault."""
    ill: tuple[Check, ...] = ()
    """Before the workflow is submitted."""
    workflows: Mapping[str, WorkflowEnd] = {}
    """By name. They stay in this phase for `quiet`."""
    refused: Mapping[str, str] = {}
    """Workflows that the API server refuses, and a part of what it says."""
    mended: tuple[Check, ...] = ()
    """Afterwards. What has not come about is a failure of the scenario."""
    untouched: tuple[str, ...] = ()
    """`namespace/deployment/name`: neither changed nor replaced since the fault."""
    out_of_reach: tuple[str, ...] = ()
    """Namespaces in which no action may do anything."""
    quiet: str = "2m"
    """How long all that has to stay so."""


class _Deleted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """In fault.yaml: objects that somebody deletes."""

    api_version: str
    kind: str
    objects: tuple[str, ...]
    """`namespace/kind/name`."""


class _Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """In fault.yaml: what goes wrong below kubernaut."""

    api_version: str
    kind: str
    faults: tuple[Fault, ...]
    seed: int = 0


@dataclass(frozen=True)
class Scenario:
    """What its folder says."""

    name: str
    expectation: Expectation
    workload: Sequence[Json]
    fault: Sequence[Json]
    workflows: Sequence[Json]


@dataclass
class Result:
    """How it went."""

    name: str
    failure: str = ""
    """What was not as expected; empty when all was."""
    phases: dict[str, str] = field(default_factory=dict[str, str])
    """What became of each workflow."""
    simulated_seconds: float = 0.0
    real_seconds: float = 0.0


def read_scenario(folder: Path) -> Scenario:
    """Raises ScenarioInvalid, naming the file."""
    if not (folder / "expectation.yaml").is_file():
        raise ScenarioInvalid(f"{folder} is no scenario: it has no expectation.yaml")
    try:
        expectation = msgspec.convert(yaml.safe_load((folder / "expectation.yaml").read_text()), Expectation)
    except (yaml.YAMLError, msgspec.ValidationError, UnicodeError) as error:
        raise ScenarioInvalid(f"{folder / 'expectation.yaml'}: {error}") from error
    return Scenario(
        folder.name,
        expectation,
        _documents(folder / "workload.yaml"),
        _documents(folder / "fault.yaml"),
        _documents(folder / "workflow.yaml"),
    )


def read_scenarios(folder: Path) -> list[Scenario]:
    """All below a folder, by name. Raises ScenarioInvalid."""
    return [read_scenario(found.parent) for found in sorted(folder.glob("*/expectation.yaml"))]


async def run_scenario(
    scenario: Scenario,
    *,
    workflows: Sequence[Json] | None = None,
    actions: Sequence[AnyAction] | None = None,
    clock: Clock | None = None,
) -> Result:
    """Play it to its end. `workflows` take the place of its own.

    `actions`: by default those in the box. `clock`: by default a virtual one.
    """
    with tempfile.TemporaryDirectory(prefix="scenario-") as folder:
        async with open_stage(Path(folder), actions=actions, clock=clock) as stage:
            return await play(stage, scenario, workflows)


async def play(stage: Stage, scenario: Scenario, workflows: Sequence[Json] | None = None) -> Result:
    """The same on a stage that is open."""
    real = SystemClock()
    result, began, began_for_real = Result(scenario.name), stage.clock.monotonic(), real.monotonic()
    try:
        await _play(stage, scenario, workflows, result)
    except (NotInTime, ClusterError) as error:
        result.failure = str(error)
    result.simulated_seconds = stage.clock.monotonic() - began
    result.real_seconds = real.monotonic() - began_for_real
    return result


async def _play(stage: Stage, scenario: Scenario, workflows: Sequence[Json] | None, result: Result) -> None:
    expected = scenario.expectation
    seconds = from_duration(expected.within)
    await stage.add(*scenario.workload, out_of_reach=expected.out_of_reach)
    await stage.until(*expected.well, seconds=seconds)
    await _befall(stage, scenario.fault)
    await stage.until(*expected.ill, seconds=seconds)
    before = {name: _identity(stage, name) for name in expected.untouched}
    given = scenario.workflows if workflows is None else workflows
    submitted = _submit(stage, given, expected if workflows is None else None)
    ends = {name: expected.workflows.get(name) for name in submitted}
    for name, end in ends.items():
        phases = [end.phase] if end is not None else ["Completed"]
        await stage.until_phase(name, *phases, seconds=seconds)
    await stage.until(*expected.mended, seconds=seconds)
    await stage.clock.sleep(from_duration(expected.quiet))
    for name, end in ends.items():
        found = stage.workflow(name)
        result.phases[name] = found["status"]["phase"]
        _compare(name, found, end or WorkflowEnd(phase="Completed"))
    for check in expected.mended:
        if said := stage.missing(check):
            raise NotInTime(f"it did not last {expected.quiet}: {said}")
    for name, identity in before.items():
        if _identity(stage, name) != identity:
            raise NotInTime(f"{name} was changed, and was not to be")


async def _befall(stage: Stage, fault: Sequence[Json]) -> None:
    """Changes first, then what breaks the cluster itself."""
    ours = [one for one in fault if one.get("apiVersion") == SIMULATOR]
    await stage.add(*(one for one in fault if one not in ours))
    for one in ours:
        if one["kind"] == "Deleted":
            for place in msgspec.convert(one, _Deleted).objects:
                namespace, kind, name = place.split("/")
                await stage.cluster.delete(_kind(kind), name, namespace)
        else:
            wanted = msgspec.convert(one, _Faults)
            stage.dev.faults.reseed(wanted.seed)
            for single in wanted.faults:
                await stage.dev.faults.add(single)


def _submit(stage: Stage, workflows: Sequence[Json], expected: Expectation | None) -> list[str]:
    submitted: list[str] = []
    refused = dict(expected.refused) if expected is not None else {}
    for workflow in workflows:
        name = str(workflow["metadata"].get("name", ""))
        try:
            # In process: a server that is away is the controller's trouble, and none of whoever watches.
            stage.dev.store.create(WORKFLOWS, workflow, RUNS)
            submitted.append(name)
        except (AlreadyExists, Invalid) as error:
            if refused.get(name, "\0") not in str(error):
                raise NotInTime(f"workflow {name} was refused: {error}") from error
            del refused[name]
    if refused:
        raise NotInTime(f"workflow {next(iter(refused))} was to be refused, and was not")
    return submitted


def _compare(name: str, found: Json, end: WorkflowEnd) -> None:
    status = found["status"]
    if status["phase"] != end.phase:
        raise NotInTime(f"workflow {name} went on to {status['phase']}")
    steps = {step["name"]: step.get("phase", "") for step in status.get("steps", [])}
    for step, phase in end.steps.items():
        if steps.get(step) != phase:
            raise NotInTime(f"step {step} of {name} is {steps.get(step, 'not there')}, not {phase}")
    if end.reason and end.reason not in str(status):
        raise NotInTime(f"workflow {name} does not say {end.reason!r}: {status.get('message', '')}")


def _identity(stage: Stage, place: str) -> tuple[str, int]:
    namespace, kind, name = place.split("/")
    found = stage.find(kind, name, namespace)
    if found is None:
        raise NotInTime(f"{place} is gone")
    return found["metadata"]["uid"], found["metadata"].get("generation", 0)


def _kind(word: str) -> Any:
    return next(
        one for one in vars(kinds).values() if isinstance(one, kinds.ResourceKind) and one.kind.lower() == word
    )


def _documents(path: Path) -> list[Json]:
    if not path.is_file():
        return []
    try:
        found: list[Any] = [one for one in yaml.safe_load_all(path.read_text()) if one]
    except (yaml.YAMLError, UnicodeError) as error:
        raise ScenarioInvalid(f"{path}: {error}") from error
    if not all(isinstance(one, dict) and "kind" in one for one in found):
        raise ScenarioInvalid(f"{path}: every document is an object with a kind")
    return [_placed(one) for one in found]


def _placed(one: Json) -> Json:
    if one["kind"] != "WorkflowExecution":
        return one
    metadata: Json = one.get("metadata") or {}
    return {**one, "metadata": {**metadata, "namespace": RUNS}}
