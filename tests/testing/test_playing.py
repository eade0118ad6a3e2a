"""Scenarios of one's own: what is read, what is refused, what a wrong remedy is told."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster_node.layouts import python_image
from kubernaut.concurrency import SystemClock, VirtualClock
from kubernaut.devcluster import DevCluster
from kubernaut.devcluster.node.machinery import Machinery
from kubernaut.testing.checks import Check
from kubernaut.testing.playing import Result, run_scenario
from kubernaut.testing.scenario import (
    Scenario,
    ScenarioInvalid,
    find_scenario,
    read_scenario,
    shipped_scenarios,
)
from kubernaut.testing.stage import open_stage

pytestmark = pytest.mark.journey

RESTART = {
    "apiVersion": "workflowexecution.kubernaut.ai/v1alpha1",
    "kind": "WorkflowExecution",
    "metadata": {"name": "restart", "namespace": "kubernaut-workflows"},
    "spec": {
        "workflowType": "restart",
        "reason": "Have you tried turning it off and on again?",
        "steps": [
            {
                "name": "restart",
                "actionType": "kubernetes/restart_deployment",
                "inputs": {"namespace": "shop", "deployment": "db"},
            }
        ],
    },
}


def failed_parts(result: Result) -> list[str]:
    return [verdict.part for verdict in result.failures]


async def test_a_wrong_remedy_makes_a_scenario_fail() -> None:
    result = await run_scenario(find_scenario("cascading-failure"), workflows=[RESTART])
    assert not result.is_as_expected
    assert "mended" in failed_parts(result)
    assert result.phases["restart"] == "Failed"


async def test_an_innocent_that_is_changed_makes_a_scenario_fail() -> None:
    orders = yaml.safe_load((shipped_scenarios() / "cascading-failure" / "workflow.yaml").read_text())
    more = {
        "name": "needless",
        "actionType": "kubernetes/restart_deployment",
        "runAfter": ["roll-back"],
        "inputs": {"namespace": "shop", "deployment": "orders"},
    }
    orders["spec"]["steps"].append(more)
    orders["metadata"]["namespace"] = "kubernaut-workflows"
    result = await run_scenario(find_scenario("cascading-failure"), workflows=[orders])
    assert [str(one) for one in result.failures] == [
        "untouched: shop/deployment/orders: it was changed or replaced"
    ]


async def test_what_runs_where_a_person_is_to_be_asked_makes_a_scenario_fail() -> None:
    quick = {**RESTART, "metadata": {**RESTART["metadata"], "name": "too-complex"}}  # type: ignore[dict-item]
    step = {**RESTART["spec"]["steps"][0], "inputs": {"namespace": "shop", "deployment": "web"}}  # type: ignore[index]
    quick["spec"] = {**RESTART["spec"], "steps": [step]}  # type: ignore[dict-item]
    result = await run_scenario(find_scenario("too-complex-waits"), workflows=[quick])
    assert failed_parts(result) == ["workflow", "untouched"]


async def test_a_workflow_that_names_nobody_may_wait_for_a_person() -> None:
    """Its author gives it to `kubernaut run`, which adds who asks."""
    scenario = find_scenario("too-complex-waits")
    [given] = scenario.workflows
    anonymous = {**given, "spec": {key: value for key, value in given["spec"].items() if key != "requester"}}
    result = await run_scenario(scenario, workflows=[anonymous])
    assert result.is_as_expected, "\n".join(map(str, result.failures))


async def test_a_misspelt_field_of_a_workflow_is_told_and_not_passed_over() -> None:
    wrong = {**RESTART, "spec": {**RESTART["spec"], "tiemout": "1m"}}  # type: ignore[dict-item]
    result = await run_scenario(find_scenario("crashloop"), workflows=[wrong])
    assert failed_parts(result) == ["workflow"]
    assert 'unknown field "spec.tiemout"' in str(result.failures[0])


async def test_what_does_not_last_is_told(tmp_path: Path) -> None:
    scenario = write(
        tmp_path,
        expectation={
            "story": "It is well for a while.",
            "ill": [{"object": "deployment/web", "is": {"status.replicas": 1}}],
            "mended": [{"pods": "app=web", "all": {"status.containerStatuses.0.restartCount": {"atMost": 0}}}],
            "quiet": "30m",
        },
        workload=[deployment({"needsMemory": "40Mi", "leaksPerMinute": "2Mi"})],
    )
    result = await run_scenario(scenario)
    assert failed_parts(result) == ["lasting"]
    assert "restartCount is 1" in result.failures[0].found


async def test_what_does_not_fall_ill_is_told_and_nothing_is_submitted(tmp_path: Path) -> None:
    scenario = write(
        tmp_path,
        expectation={
            "story": "Nothing happens.",
            "within": "5m",
            "ill": [{"object": "deployment/web", "is": {"status.availableReplicas": 2}}],
            "workflows": {"restart": {}},
        },
        workload=[deployment({})],
        workflows=[RESTART],
    )
    result = await run_scenario(scenario)
    assert failed_parts(result) == ["ill"]
    assert result.phases == {}


async def test_an_hour_of_the_cluster_takes_seconds() -> None:
    real, began = SystemClock(), 0.0
    began = real.monotonic()
    result = await run_scenario(find_scenario("memory-escalation"), workflows=[])
    assert result.simulated_seconds >= 3600
    assert real.monotonic() - began < 30  # 2 s alone on two cores


async def test_a_play_is_the_same_each_time() -> None:
    first = await run_scenario(find_scenario("crashloop"))
    second = await run_scenario(find_scenario("crashloop"))
    assert first.verdicts == second.verdicts
    assert first.simulated_seconds == second.simulated_seconds


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("expectation.yaml", "{story: x, mendet: []}", "unknown field `mendet`"),
        ("expectation.yaml", "{story: x, quiet: soon}", "soon"),
        ("expectation.yaml", "{story: x, mended: [{object: deployement/web}]}", "no kind 'deployement'"),
        ("expectation.yaml", "{story: x, mended: [{namespace: shop}]}", "one of object, pods, absent"),
        ("expectation.yaml", "{story: x, mended: [{object: pod/a, is: {status.x: {atLest: 1}}}]}", "atLest"),
        ("expectation.yaml", "{story: x, untouched: [web]}", "web is not namespace/kind/name"),
        ("expectation.yaml", "{story: x, workflows: {roll-back: {}}}", "there is no workflow roll-back"),
        ("fault.yaml", "{apiVersion: simulator.kubernaut.ai/v1, kind: Faults, storm: much}", "storm"),
        ("fault.yaml", "{apiVersion: simulator.kubernaut.ai/v1, kind: Fault}", "Fault"),
        ("fault.yaml", "{apiVersion: simulator.kubernaut.ai/v1, kind: Deleted, objects: [a/pot/b]}", "'pot'"),
        ("workload.yaml", "[]\n---\n- 1", "every document is an object"),
        ("workflow.yaml", "{", "workflow.yaml"),
    ],
)
def test_a_scenario_is_refused_before_it_runs(tmp_path: Path, file: str, text: str, complaint: str) -> None:
    write(tmp_path, expectation={"story": "x"}, workload=[])
    (tmp_path / file).write_text(text)
    with pytest.raises(ScenarioInvalid, match=complaint) as told:
        read_scenario(tmp_path)
    assert file in str(told.value)


def test_a_workflow_that_no_expectation_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioInvalid, match="says nothing of workflow restart"):
        write(tmp_path, expectation={"story": "x"}, workload=[], workflows=[RESTART])


def test_ones_own_scenario_goes_before_that_in_the_box(tmp_path: Path) -> None:
    write(tmp_path / "crashloop", expectation={"story": "Mine."}, workload=[])
    assert find_scenario("crashloop", tmp_path).expectation.story == "Mine."
    assert find_scenario("red-herring", tmp_path).name == "red-herring"
    with pytest.raises(ScenarioInvalid, match="there is no scenario no-such"):
        find_scenario("no-such", tmp_path)


async def test_processes_are_refused_where_time_is_virtual(tmp_path: Path) -> None:
    digest = python_image(tmp_path / "images", "print('hello')")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "real"},
        "spec": {
            "containers": [{"name": "app", "image": f"local/action@{digest}"}],
            "restartPolicy": "Never",
        },
    }
    async with open_stage(tmp_path / "stage", actions=[]) as stage:
        stage.register_images(tmp_path / "images")
        await stage.add(pod)
        # Unpacking takes real time, in which the cluster's flies.
        await stage.until(Check(object="pod/real", is_={"status.phase": "Failed"}), seconds=36000)
        found = stage.find("pod", "real", "default")
    assert "processes keep real time: none can run in a cluster whose time is virtual" in str(found)


async def test_a_node_with_images_of_programs_is_refused_where_time_is_virtual(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="processes keep real time"):
        async with DevCluster(clock=VirtualClock(), hooks=[Machinery(tmp_path, images=[tmp_path])]):
            pass


def deployment(model: Mapping[str, object]) -> Mapping[str, Any]:
    labels = {"app": "web"}
    annotations = {"devcluster.kubernaut.ai/model": yaml.safe_dump(dict(model))}
    container = {"name": "app", "image": "registry.example/web:1", "resources": {"limits": {"memory": "64Mi"}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": {"containers": [container]},
            },
        },
    }


def write(
    folder: Path,
    *,
    expectation: Mapping[str, object],
    workload: list[Mapping[str, Any]],
    workflows: list[Mapping[str, Any]] | None = None,
) -> Scenario:
    folder.mkdir(exist_ok=True)
    (folder / "expectation.yaml").write_text(yaml.safe_dump(dict(expectation)))
    (folder / "workload.yaml").write_text(yaml.safe_dump_all(workload))
    (folder / "workflow.yaml").write_text(yaml.safe_dump_all(workflows or []))
    return read_scenario(folder)
