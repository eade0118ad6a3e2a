"""Simulated programs: the laws of the model, and what a user sees of one in a cluster with virtual time."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubernaut.concurrency import VirtualClock
from kubernaut.devcluster.node import Plain
from kubernaut.devcluster.resources import CONFIG_MAPS, DEPLOYMENTS, PODS
from kubernaut.devcluster.simulation.model import Facts, Model, ModelInvalid, parse_model, show, written

from .worlds import NAMESPACE, World, make_world, state_of, waiting_reason

MODEL = "devcluster.kubernaut.ai/model"
MEBI = 1 << 20

amounts = st.integers(0, 4096)
models = st.builds(
    lambda start, needs, leak, holds, writes: parse_model(
        f"{{startSeconds: {start}, needsMemory: {needs}Mi, leaksPerMinute: {leak}Mi, "
        f"disk: {{volume: v, holds: {holds}Mi, writesPerMinute: {writes}Mi}}}}"
    ),
    st.integers(0, 60),
    amounts,
    amounts,
    amounts,
    amounts,
)
facts = st.builds(
    lambda age, memory, room, before: Facts(
        age, memory and memory * MEBI, disk_room=room and room * MEBI, disk_before=before * MEBI
    ),
    st.floats(0, 10_000),
    st.none() | st.integers(1, 8192),
    st.none() | st.integers(1, 8192),
    amounts,
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    async with make_world(tmp_path, VirtualClock(), Plain()) as made:
        yield made


@given(models, facts, amounts)
def test_more_memory_never_kills(model: Model, found: Facts, more: int) -> None:
    if found.memory_limit is None or show(model, found).is_out_of_memory:
        return
    assert not show(model, replace(found, memory_limit=found.memory_limit + more * MEBI)).is_out_of_memory


@given(models, facts)
def test_what_ends_by_itself_stays_ended_as_time_goes_on(model: Model, found: Facts) -> None:
    if show(model, found).state == "ended":
        assert show(model, replace(found, running_seconds=found.running_seconds + 60)).state == "ended"


@given(models, facts)
def test_it_shows_nothing_new_before_it_says_so(model: Model, found: Facts) -> None:
    now = show(model, found)
    if now.changes_in is None:
        assert show(model, replace(found, running_seconds=found.running_seconds + 1e6)).state == now.state
    elif now.changes_in > 0.01:
        soon = show(model, replace(found, running_seconds=found.running_seconds + now.changes_in * 0.99))
        assert (soon.state, soon.is_ready) == (now.state, now.is_ready)


@given(models, facts)
def test_a_restart_forgets_a_leak_and_keeps_the_disk(model: Model, found: Facts) -> None:
    again = replace(found, running_seconds=0.0, disk_before=written(model, found))
    assert written(model, again) == written(model, found)
    if found.disk_room is None and model.needs_memory != "0" and show(model, found).is_out_of_memory:
        needs = int(model.needs_memory.removesuffix("Mi")) * MEBI
        fits = found.memory_limit is None or needs < found.memory_limit
        fresh = show(model, replace(again, running_seconds=1.0))
        assert fresh.is_out_of_memory is False or not fits or model.leaks_per_minute != "0Mi"


@pytest.mark.parametrize(
    "text",
    [
        "needsMemory: lots",
        "needMemory: 1Mi",
        "crashes: [{when: {configMap: a}}]",
        "crashes: [{when: {env: A}}]",
        "unreadyWhile: [{down: job/x}]",
        "unreadyWhile: [{image: a, env: B, is: c}]",
        "[",
    ],
)
def test_a_model_that_says_what_there_is_not_is_refused(text: str) -> None:
    with pytest.raises(ModelInvalid, match="the model cannot be read"):
        parse_model(text)


def deploy(
    world: World, name: str, model: str, memory: str = "64Mi", image: str = "app:1", **spec: object
) -> None:
    labels = {"app": name}
    container = {"name": "app", "image": image, "resources": {"limits": {"memory": memory}}}
    template = {
        "metadata": {"labels": labels, "annotations": {MODEL: model}},
        "spec": {"containers": [container], **spec},
    }
    body = {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": labels}, "template": template}}
    world.create(DEPLOYMENTS, body)


def status_of(pod: dict[str, object]) -> dict[str, object]:
    return pod["status"].get("containerStatuses", [{}])[0]  # type: ignore[attr-defined]


async def until_available(world: World, name: str) -> None:
    await world.until(DEPLOYMENTS, name, lambda found: found.get("status", {}).get("availableReplicas"))


async def until_a_pod(world: World, name: str, reason: str) -> dict[str, object]:
    async with world.store.watch(PODS, namespace=NAMESPACE, initial=True) as changes:
        async for change in changes:
            pod = change.object
            last = status_of(pod).get("lastState", {}).get("terminated", {})  # type: ignore[attr-defined]
            if pod["metadata"]["name"].startswith(name) and reason in {last.get("reason"), waiting_reason(pod)}:
                return pod
    raise AssertionError("the watch ended")


async def test_too_little_memory_kills_again_and_again_until_there_is_enough(world: World) -> None:
    deploy(world, "web", "needsMemory: 96Mi")
    pod = await until_a_pod(world, "web", "OOMKilled")
    assert status_of(pod)["lastState"]["terminated"]["exitCode"] == 137  # type: ignore[index]
    await until_a_pod(world, "web", "CrashLoopBackOff")
    enough = {"name": "app", "image": "app:1", "resources": {"limits": {"memory": "128Mi"}}}
    world.store.patch(DEPLOYMENTS, "web", NAMESPACE, {"spec": {"template": {"spec": {"containers": [enough]}}}})
    await until_available(world, "web")


async def test_a_bad_value_crashes_it_until_the_configmap_is_mended(world: World) -> None:
    world.create(CONFIG_MAPS, {"metadata": {"name": "settings"}, "data": {"mode": "broken"}})
    when = "{configMap: settings, key: mode, is: broken}"
    deploy(world, "web", f"crashes: [{{when: {when}, exitCode: 3, says: 'cannot parse mode'}}]")
    pod = await until_a_pod(world, "web", "CrashLoopBackOff")
    assert "cannot parse mode" in await world.log(pod["metadata"]["name"])  # type: ignore[index]
    world.store.patch(CONFIG_MAPS, "settings", NAMESPACE, {"data": {"mode": "fine"}})
    await until_available(world, "web")


async def test_it_is_ready_only_while_what_it_needs_is(world: World) -> None:
    deploy(world, "web", "unreadyWhile: [{down: deployment/db}]")
    await world.until(DEPLOYMENTS, "web", lambda found: found.get("status", {}).get("unavailableReplicas"))
    deploy(world, "db", "startSeconds: 90")
    began = world.clock.monotonic()
    await until_available(world, "web")
    assert world.clock.monotonic() - began >= 90
    world.store.patch(DEPLOYMENTS, "db", NAMESPACE, {"spec": {"replicas": 0}})
    await world.until(DEPLOYMENTS, "web", lambda found: found["status"].get("unavailableReplicas"))


async def test_a_leak_ends_in_a_kill_after_the_time_that_it_takes(world: World) -> None:
    deploy(world, "web", "{needsMemory: 32Mi, leaksPerMinute: 1Mi}")
    await until_available(world, "web")
    began = world.clock.monotonic()
    await until_a_pod(world, "web", "OOMKilled")
    assert 31 * 60 < world.clock.monotonic() - began < 33 * 60
    await until_available(world, "web")  # the restart has healed it, for a while


async def test_a_full_disk_stays_full_when_the_container_restarts_and_is_empty_in_a_new_pod(world: World) -> None:
    volumes = [{"name": "data", "emptyDir": {"sizeLimit": "100Mi"}}]
    deploy(world, "db", "disk: {volume: data, holds: 40Mi, writesPerMinute: 10Mi}", volumes=volumes)
    await until_available(world, "db")
    began = world.clock.monotonic()
    pod = await until_a_pod(world, "db", "CrashLoopBackOff")
    assert 5.5 * 60 < world.clock.monotonic() - began < 7 * 60
    name = str(pod["metadata"]["name"])  # type: ignore[index]
    assert "no space left" in await world.log(name)
    world.store.delete(PODS, name, NAMESPACE)
    await world.until_gone(PODS, name)
    await until_available(world, "db")


async def test_a_tag_cannot_be_pulled_while_the_model_says_so(world: World) -> None:
    deploy(world, "web", "pullFails: [{image: ':bad'}]", image="app:bad")
    await until_a_pod(world, "web", "ImagePullBackOff")
    world.store.patch(
        DEPLOYMENTS,
        "web",
        NAMESPACE,
        {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "app:good"}]}}}},
    )
    await until_available(world, "web")


async def test_a_model_that_cannot_be_read_is_told_as_why_nothing_starts(world: World) -> None:
    world.create_pod("web", metadata={"annotations": {MODEL: "needMemory: 1Mi"}})
    pod = await world.until_phase("web", "Failed")
    assert "needMemory" in state_of(pod)["terminated"]["message"]
