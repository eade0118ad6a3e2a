"""A scenario: something that is ill, what makes it ill, a workflow, and what is to become of both.

A folder of `workload.yaml`, `fault.yaml` (if anything goes wrong on top), `workflow.yaml`, `expectation.yaml` and
a `README.md`. docs/simulator.md tells of the files. All is read, and complained about, before anything runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import yaml

from kubernaut.api.duration import from_duration
from kubernaut.devcluster.faults import Fault, storm
from kubernaut.testing.checks import Check
from kubernaut.testing.installing import RUNS
from kubernaut.testing.stage import resource_of

Json: TypeAlias = dict[str, Any]
SIMULATOR = "simulator.kubernaut.ai/v1"
"""The apiVersion of what is no object of Kubernetes in fault.yaml."""
_EXPECTATION = "expectation.yaml"
_PACKAGE = Path(__file__).resolve().parent.parent


class ScenarioInvalid(ValueError):
    """A file of a scenario says what there is not, or is not there."""


class WorkflowEnd(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """What is to become of one workflow."""

    phase: str = "Completed"
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

    def __post_init__(self) -> None:
        for text in (self.within, self.quiet):
            from_duration(text)
        for place in self.untouched:
            Place.parse(place)
        for check in (*self.well, *self.ill, *self.mended):
            if not check.pods:
                resource_of((check.object or check.absent).partition("/")[0])


@dataclass(frozen=True, slots=True)
class Place:
    """An object by name."""

    namespace: str
    kind: str
    """In lower case."""
    name: str

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Raises ValueError."""
        parts = text.split("/")
        if len(parts) != 3:
            raise ValueError(f"{text} is not namespace/kind/name")
        resource_of(parts[1])
        return cls(*parts)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.kind}/{self.name}"


class Deletions(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", tag_field="kind", tag="Deleted"
):
    """In fault.yaml: objects that somebody deletes."""

    api_version: str
    objects: tuple[str, ...]
    """`namespace/kind/name`."""

    def __post_init__(self) -> None:
        for place in self.objects:
            Place.parse(place)


class Weather(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", tag_field="kind", tag="Faults"
):
    """In fault.yaml: what goes wrong below kubernaut, from now on."""

    api_version: str
    faults: tuple[Fault, ...] = ()
    storm: int | None = None
    """A mixture of everything that passes by itself, by its seed."""
    users: tuple[str, ...] = ()
    """Whom the storm befalls; empty means everybody."""
    seed: int = 0
    """Of the chances."""

    @property
    def all_faults(self) -> Sequence[Fault]:
        """Those that are named, and those of the storm."""
        if self.storm is None:
            return self.faults
        return (*self.faults, *(msgspec.structs.replace(one, users=self.users) for one in storm(self.storm)))


@dataclass(frozen=True)
class Scenario:
    """What its folder says."""

    name: str
    expectation: Expectation
    workload: Sequence[Json]
    changes: Sequence[Json]
    """Objects of fault.yaml, which are applied over the workload."""
    breaks: Sequence[Deletions | Weather]
    """What else goes wrong, afterwards and in this order."""
    workflows: Sequence[Json]

    @property
    def ends(self) -> str:
        """In which phases its workflows are to end, for people."""
        phases = sorted({end.phase for end in self.expectation.workflows.values()})
        return ", ".join(phases)


def shipped_scenarios() -> Path:
    """The folder of the scenarios in the box: inside the package, or beside the sources in a checkout."""
    installed = _PACKAGE / "scenarios"
    return installed if installed.is_dir() else _PACKAGE.parent.parent / "scenarios"


def find_scenario(name: str, *folders: Path) -> Scenario:
    """By its name in one of the `folders`, or in the box; a path of a folder is taken as it is.

    Raises ScenarioInvalid.
    """
    if "/" in name:
        return read_scenario(Path(name))
    places = [*folders, shipped_scenarios()]
    for place in places:
        if (place / name / _EXPECTATION).is_file():
            return read_scenario(place / name)
    raise ScenarioInvalid(f"there is no scenario {name} in {' or '.join([*map(str, folders), 'the box'])}")


def read_scenarios(folder: Path) -> list[Scenario]:
    """All below a folder, by name. Raises ScenarioInvalid."""
    return [read_scenario(found.parent) for found in sorted(folder.glob(f"*/{_EXPECTATION}"))]


def read_scenario(folder: Path) -> Scenario:
    """A scenario as its `folder` tells it. Raises ScenarioInvalid, naming the file."""
    path = folder / _EXPECTATION
    if not path.is_file():
        raise ScenarioInvalid(f"{folder} is no scenario: it has no {_EXPECTATION}")
    try:
        expectation = msgspec.convert(yaml.safe_load(path.read_text()), Expectation)
    except (yaml.YAMLError, msgspec.ValidationError, UnicodeError) as error:
        raise ScenarioInvalid(f"{path}: {error}") from error
    fault = read_objects(folder / "fault.yaml")
    ours = [one for one in fault if one.get("apiVersion") == SIMULATOR]
    try:
        breaks = msgspec.convert(ours, list[Deletions | Weather])
    except msgspec.ValidationError as error:
        raise ScenarioInvalid(f"{folder / 'fault.yaml'}: {error}") from error
    scenario = Scenario(
        folder.resolve().name,
        expectation,
        read_objects(folder / "workload.yaml"),
        [one for one in fault if one not in ours],
        breaks,
        read_objects(folder / "workflow.yaml"),
    )
    _refuse_strangers(scenario, path)
    return scenario


def read_objects(path: Path) -> list[Json]:
    """The documents of a file, none where there is no such file; workflows in the namespace of executions.

    Raises ScenarioInvalid.
    """
    if not path.is_file():
        return []
    try:
        found: list[Any] = [one for one in yaml.safe_load_all(path.read_text()) if one]
    except (yaml.YAMLError, UnicodeError) as error:
        raise ScenarioInvalid(f"{path}: {error}") from error
    for one in found:
        if not isinstance(one, dict) or not {"apiVersion", "kind"} <= one.keys():
            raise ScenarioInvalid(f"{path}: every document is an object with apiVersion and kind")
    return [placed(one) for one in found]


def name_of(one: Json) -> str:
    """Empty where it has none."""
    metadata: Json = one.get("metadata") or {}
    return str(metadata.get("name", ""))


def placed(one: Json) -> Json:
    """A workflow in the namespace of the executions; anything else as it is."""
    if one["kind"] != "WorkflowExecution":
        return one
    metadata: Json = one.get("metadata") or {}
    return {**one, "metadata": {**metadata, "namespace": RUNS}}


def _refuse_strangers(scenario: Scenario, path: Path) -> None:
    """An expectation of a workflow that nobody submits would never fail."""
    there = {name_of(one) for one in scenario.workflows}
    expected = scenario.expectation
    for name in (*expected.workflows, *expected.refused):
        if name not in there:
            raise ScenarioInvalid(f"{path}: there is no workflow {name} in workflow.yaml")
    for name in sorted(there - {*expected.workflows, *expected.refused}):
        raise ScenarioInvalid(f"{path}: says nothing of workflow {name}")
