"""What an earlier version left on the API server, this one reads, and brings to the end it would have had."""

import json
from collections.abc import AsyncGenerator
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from controllers.bench import Bench, open_bench
from controllers.test_crashes import essence
from kubernaut.api.action import ActionExecution
from kubernaut.api.crd import custom_resource_definitions
from kubernaut.api.workflow import WorkflowExecution
from kubernaut.cluster import Json
from kubernaut.devcluster.schema.structural import SchemaValidator, root_node
from kubernaut.devcluster.schema.walk import prune

HERE = Path(__file__).parent
WORLDS = sorted(HERE.glob("v*/*.json"))
TYPES = {
    "workflowexecutions.workflowexecution.kubernaut.ai": WorkflowExecution,
    "actionexecutions.execution.kubernaut.ai": ActionExecution,
}
SCHEMAS = {
    crd["metadata"]["name"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for crd in custom_resource_definitions()
}
NODES = {name: root_node(schema, name) for name, schema in SCHEMAS.items()}


def _read(path: Path) -> Json:
    found: Json = json.loads(path.read_text())
    return found


def _named(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncGenerator[Bench]:
    async with open_bench(tmp_path) as bench:
        yield bench


def test_there_are_worlds_of_every_version_and_none_is_empty() -> None:
    assert (HERE / "v0.1.0").is_dir()
    assert all(json.loads(path.read_text())["objects"] for path in WORLDS)


@pytest.mark.parametrize("path", WORLDS, ids=_named)
def test_every_object_is_read_and_nothing_of_it_is_lost(path: Path) -> None:
    for resource, objects in _read(path)["objects"].items():
        for found in objects if resource in TYPES else ():
            msgspec.convert(found, TYPES[resource])
            # A server with today's definitions would drop what they do not name at the next write.
            assert prune(json.loads(json.dumps(found)), NODES[resource]) == []
            assert list(SchemaValidator(SCHEMAS[resource], NODES[resource]).faults(found)) == []


@pytest.mark.timeout(20)
@pytest.mark.parametrize("path", WORLDS, ids=_named)
async def test_a_run_under_way_comes_to_the_end_it_would_have_had(bench: Bench, path: Path) -> None:
    world = _read(path)
    away = datetime.fromisoformat(world["capturedAt"]) - bench.clock.real.now()
    bench.clock.skipped = away.total_seconds()
    _restore(bench, world["objects"])
    async with bench.controller():
        await bench.until_ended(world["name"])
    phase, records, effects = json.loads(json.dumps(essence(bench, bench.get(world["name"]))))
    for step, count in world["effects"].items():
        effects[step] = effects.get(step, 0) + count
    assert [phase, records, effects] == world["expected"]


def _restore(bench: Bench, objects: dict[str, list[Json]]) -> None:
    """As they were, with their UIDs, which no request could ask for: owners and fences are known by them."""
    for resource, stored in objects.items():
        for found in stored:
            if resource == "persistentvolumeclaims":  # its volume was on another machine
                found = {
                    **found,
                    "spec": {k: v for k, v in found["spec"].items() if k != "volumeName"},
                    "status": {},
                }
                found["metadata"].pop("annotations", None)
            bench.cluster.store.ledger.commit(bench.cluster.store.resource(resource).storage, found)
