"""What a run promises, whatever happens to it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from action_worlds import LEASE, OVERFLOW, RUNS, TARGETS, ActionWorld, Ran
from kubernaut.cluster import kinds
from kubernaut.devcluster.rest.server import Handler, drop_connection

from .acting import ON_CONFIG_MAPS, delete_it, set_value

# A whole cluster for each: on a busy machine two seconds are not enough.
pytestmark = pytest.mark.journey


async def make(world: ActionWorld, *names: str) -> None:
    for name in names:
        body = {"metadata": {"name": name}, "data": {"value": "old", "other": "kept"}}
        await world.admin.create(kinds.CONFIG_MAPS, body, TARGETS)


async def value(world: ActionWorld, name: str = "a") -> str:
    found = await world.admin.get(kinds.CONFIG_MAPS, name, TARGETS)
    return str(found["data"]["value"])


async def test_the_dry_run_pass_changes_nothing_and_the_fence_is_taken_between_the_passes(
    world: ActionWorld,
) -> None:
    await make(world, "a")
    await world.arm()
    ran = await world.run(set_value, {"name": "a", "value": "new"})
    assert ran.code == 0, ran.err
    calls = [c for c in world.dev.requests.calls if c.user == "runner-1" and c.verb in {"patch", "update"}]
    seen = [(c.verb, c.resource, c.is_dry_run) for c in calls]
    assert seen == [("patch", "configmaps", True), ("update", "leases", False), ("patch", "configmaps", False)]


async def test_when_the_dry_run_of_any_change_is_refused_no_change_is_made(world: ActionWorld) -> None:
    await make(world, "a", "a-1")
    body = {"metadata": {"name": "a-2"}, "data": {"value": "x"}, "immutable": True}
    await world.admin.create(kinds.CONFIG_MAPS, body, TARGETS)
    await world.arm()
    ran = await world.run(set_value, {"name": "a", "value": "new", "times": 3})
    assert (ran.code, ran.message["executed"], ran.message["outcome"]) == (65, "no", "failed")
    assert world.writes() == []
    assert await value(world) == "old"
    assert await world.holder() == ""


async def test_of_many_racing_runners_exactly_one_changes_anything(world: ActionWorld) -> None:
    await make(world, "a")
    await world.arm()
    all_have_read = asyncio.Barrier(6)
    reading: list[str] = []

    async def read_together(http: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        answer = await handler(http)
        if http.method == "GET" and "/leases/" in http.path and len(reading) < 6:
            reading.append(http.path)
            await all_have_read.wait()
        return answer

    world.dev.middlewares.append(read_together)
    async with asyncio.TaskGroup() as group:
        runs = [group.create_task(world.run(set_value, {"name": "a", "value": f"new{n}"})) for n in range(6)]
    ended = [task.result() for task in runs]
    assert sorted(r.code for r in ended) == [0, 75, 75, 75, 75, 75]
    assert world.writes() == [("patch", "configmaps")]
    assert all(r.message["executed"] == "no" for r in ended if r.code == 75)
    assert all(r.message["reason"] == "AlreadyRunning" for r in ended if r.code == 75)


@pytest.mark.parametrize("state", ["held", "void", "own earlier start", "other attempt", "gone"])
async def test_a_fence_that_is_not_free_for_this_attempt_stops_the_run(world: ActionWorld, state: str) -> None:
    await make(world, "a")
    if state != "gone":
        await world.arm(2 if state == "other attempt" else 1)
    holder = {"held": "other/1", "void": "void", "own earlier start": "pod-1/0123"}.get(state)
    if holder is not None:
        await world.admin.patch(kinds.LEASES, LEASE, RUNS, {"spec": {"holderIdentity": holder}})
    ran = await world.run(set_value, {"name": "a", "value": "new"})
    assert (ran.code, ran.message["executed"]) == (75, "no")
    assert world.writes() == []


async def test_a_lost_answer_to_taking_the_fence_is_read_again_and_not_taken_for_no(world: ActionWorld) -> None:
    await make(world, "a")
    await world.arm()
    lost: list[str] = []

    async def lose(http: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        answer = await handler(http)
        if http.method == "PUT" and "/leases/" in http.path and not lost:
            lost.append(http.path)
            drop_connection(http)
        return answer

    world.dev.middlewares.append(lose)
    ran = await world.run(set_value, {"name": "a", "value": "new"})
    assert lost
    assert ran.code == 0, ran.err
    assert await value(world) == "new"


@pytest.mark.parametrize("carried_out", [True, False])
async def test_a_lost_answer_to_a_change_neither_doubles_nor_forgets_it(
    world: ActionWorld, carried_out: bool
) -> None:
    await make(world, "a")
    await world.arm()
    lost: list[str] = []

    async def lose(http: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        is_change = http.method == "PATCH" and "dryRun" not in http.query_string
        if not is_change or lost:
            return await handler(http)
        lost.append(http.path)
        answer = await handler(http) if carried_out else web.Response(status=502)
        drop_connection(http)
        return answer

    world.dev.middlewares.append(lose)
    ran = await world.run(set_value, {"name": "a", "value": "new"})
    assert lost
    assert ran.code == 0, ran.err
    assert await value(world) == "new"
    assert world.writes() == [("patch", "configmaps")]
    assert ran.message["executed"] == "yes"


async def test_somebody_elses_change_is_never_taken_for_ours_whose_answer_was_lost(world: ActionWorld) -> None:
    await make(world, "a")
    await world.arm()

    async def lose(http: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        ours = http.method == "PATCH" and "dryRun" not in http.query_string
        if not ours or world.dev.admin_token in http.headers["Authorization"]:
            return await handler(http)
        await world.admin.patch(kinds.CONFIG_MAPS, "a", TARGETS, {"data": {"value": "theirs"}})
        drop_connection(http)
        return web.Response(status=502)

    world.dev.middlewares.append(lose)
    ran = await world.run(set_value, {"name": "a", "value": "new"})
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (70, "OutcomeUnknown", "unknown")
    assert await value(world) == "theirs"


async def test_a_change_by_somebody_else_after_the_read_is_never_overwritten(world: ActionWorld) -> None:
    await make(world, "a")
    await world.arm()
    reads: list[int] = []

    async def meddle(http: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        answer = await handler(http)
        if http.method == "GET" and http.path.endswith("/configmaps/a") and http.headers["User-Agent"]:
            reads.append(1)
            if len(reads) == 2:  # the read of the real pass
                await world.admin.patch(kinds.CONFIG_MAPS, "a", TARGETS, {"data": {"value": "theirs"}})
        return answer

    world.dev.middlewares.append(meddle)
    ran = await world.run(set_value, {"name": "a", "value": "new"})
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (66, "Conflict", "no")
    assert await value(world) == "theirs"


async def test_what_stands_in_a_deleted_objects_place_is_left_alone(world: ActionWorld) -> None:
    await make(world, "a")

    async def replace(http: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        ours = http.method == "DELETE" and world.dev.admin_token not in http.headers["Authorization"]
        if ours and "dryRun" not in http.query_string:
            await world.admin.delete(kinds.CONFIG_MAPS, "a", TARGETS)
            await make(world, "a")
        return await handler(http)

    world.dev.middlewares.append(replace)
    ran = await world.run(delete_it, {"name": "a"}, fenced=False)
    assert ran.code == 0, ran.err
    assert await value(world) == "old"


async def test_a_failure_after_the_first_change_keeps_the_way_back(world: ActionWorld) -> None:
    await make(world, "a")
    await world.arm()
    ran = await world.run(set_value, {"name": "a", "value": "new", "then": "fail"})
    assert (ran.code, ran.message["executed"], ran.message["reason"]) == (70, "yes", "Sad")
    (undo,) = ran.message["rollback"]["objects"]
    await world.admin.patch(kinds.CONFIG_MAPS, undo["name"], undo["namespace"], undo["patch"], "json")
    found = await world.admin.get(kinds.CONFIG_MAPS, "a", TARGETS)
    assert found["data"] == {"value": "old", "other": "kept"}


async def test_a_bug_of_the_author_is_told_with_its_traceback_and_the_truth_about_changes(
    world: ActionWorld,
) -> None:
    await make(world, "a")
    await world.arm()
    ran = await world.run(set_value, {"name": "a", "value": "new", "then": "break"})
    assert (ran.code, ran.message["executed"], ran.message["reason"]) == (70, "yes", "ActionBroken")
    assert "Traceback" in ran.err
    assert "RuntimeError" in ran.message["message"]


async def test_a_run_that_is_told_to_end_reports_what_it_has_done(world: ActionWorld) -> None:
    await make(world, "a")
    await world.arm()
    waiting = asyncio.Event()

    async def watch(http: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        answer = await handler(http)
        if http.method == "PATCH" and "dryRun" not in http.query_string:
            waiting.set()
        return answer

    world.dev.middlewares.append(watch)
    async with asyncio.TaskGroup() as group:
        run = group.create_task(world.run(set_value, {"name": "a", "value": "new", "then": "wait"}))
        await waiting.wait()
        await world.dev.clock.sleep(0.05)
        run.cancel()
    ran = run.result()
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (70, "Terminated", "yes")
    assert ran.message["rollback"]["available"] is True


async def test_a_run_ends_by_its_own_deadline(world: ActionWorld) -> None:
    await make(world, "a")
    await world.arm()
    ran = await world.run(
        set_value, {"name": "a", "value": "new", "then": "wait"}, KUBERNAUT_DEADLINE_SECONDS="2.3"
    )
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (70, "NotInTime", "yes")


async def test_a_killed_process_leaves_behind_what_it_was_about_to_do(world: ActionWorld) -> None:
    await make(world, "a")
    seen: list[bytes] = []

    async def look(http: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        if http.method == "PATCH" and "dryRun" not in http.query_string:
            seen.append((world.folder / "termination-1").read_bytes())
        return await handler(http)

    world.dev.middlewares.append(look)
    await world.run(set_value, {"name": "a", "value": "new"}, fenced=False)
    (left,) = seen
    assert b'"executed":"yes","outcome":"failed","reason":"Interrupted"' in left
    assert b'"patch":[' in left


async def test_without_a_fence_it_says_so_and_runs(world: ActionWorld) -> None:
    await make(world, "a")
    ran = await world.run(set_value, {"name": "a", "value": "new"}, fenced=False)
    assert ran.code == 0
    assert "no fence was given" in ran.err


async def test_results_too_large_for_the_message_go_to_an_owned_config_map(world: ActionWorld) -> None:
    await make(world, "a")
    uid = await world.execute()
    inputs = {"name": "a", "value": "new", "then": "big 9000"}
    ran = await world.run(set_value, inputs, fenced=False, KUBERNAUT_EXECUTION_UID=uid)
    assert ran.code == 0, ran.err
    assert ran.message["overflow"] == OVERFLOW
    stored = await world.admin.get(kinds.CONFIG_MAPS, OVERFLOW, RUNS)
    assert '"told":"xxx' in stored["data"]["outputs.json"]
    (owner,) = stored["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("ActionExecution", "run", uid)
    # A later attempt replaces it.
    inputs["then"] = "big 9001"
    again = await world.run(set_value, inputs, fenced=False, KUBERNAUT_EXECUTION_UID=uid)
    assert again.code == 0, again.err
    later = await world.admin.get(kinds.CONFIG_MAPS, OVERFLOW, RUNS)
    assert len(later["data"]["outputs.json"]) == len(stored["data"]["outputs.json"]) + 1


async def test_results_too_large_for_everything_are_a_clear_failure(world: ActionWorld) -> None:
    await make(world, "a")
    ran = await world.run(set_value, {"name": "a", "value": "new", "then": "big 300000"}, fenced=False)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (70, "ResultsTooLarge", "yes")
    assert ran.message["rollback"]["available"] is True


def leaks(ran: Ran, secret: str) -> bool:
    return secret in ran.out + ran.err + repr(ran.message)


@pytest.mark.parametrize("then", ["", "fail", "break", "print"])
async def test_a_secret_input_comes_from_its_file_and_never_leaves(
    world: ActionWorld, tmp_path: Path, then: str
) -> None:
    await make(world, "a")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "password").write_text("hunter2-and-more\n")
    inputs = {"name": "a", "value": "new", "then": then}
    ran = await world.run(set_value, inputs, fenced=False, KUBERNAUT_SECRETS_DIR=str(secrets))
    assert ran.code in {0, 70}
    assert not leaks(ran, "hunter2")
    if then == "":
        assert ran.outputs["told"].startswith("[REDACTED]")
    if then == "print":
        assert "chatter [REDACTED]" in ran.err
        assert ran.outputs["was"] == "old"


async def test_a_secret_given_in_clear_is_refused_and_not_repeated(world: ActionWorld) -> None:
    ran = await world.run(set_value, {"name": "a", "value": "b", "password": "hunter2-and-more"}, fenced=False)
    assert ran.code == 64
    assert "inputs.password" in ran.message["message"]
    assert not leaks(ran, "hunter2")


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({}, ["inputs.name", "inputs.value"]),
        ({"name": 5, "value": "x" * 101, "times": 9}, ["inputs.name", "inputs.value", "inputs.times"]),
        ({"name": "a", "value": "b", "mystery": 1}, ["inputs.mystery"]),
    ],
)
async def test_every_fault_of_the_inputs_is_told_with_its_path(
    world: ActionWorld, inputs: dict[str, Any], told: list[str]
) -> None:
    ran = await world.run(set_value, inputs, fenced=False)
    assert (ran.code, ran.message["executed"]) == (64, "no")
    assert all(path in ran.err and path in ran.message["message"] for path in told)
    assert [c for c in world.dev.requests.calls if c.user == "runner-1"] == []


async def test_inputs_come_from_a_file_when_the_environment_names_one(world: ActionWorld, tmp_path: Path) -> None:
    await make(world, "a")
    path = tmp_path / "inputs.json"
    path.write_text('{"name": "a", "value": "new", "times": 1.0}')
    ran = await world.run(set_value, fenced=False, ACTION_INPUTS_FILE=str(path))
    assert ran.code == 0, ran.err


async def test_without_inputs_it_says_so_and_does_nothing(world: ActionWorld) -> None:
    ran = await world.run(set_value, fenced=False)
    assert ran.code == 64
    assert "no inputs" in ran.err


async def test_an_unreachable_cluster_changes_nothing_and_says_so(world: ActionWorld) -> None:
    async def refuse(http: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        drop_connection(http)
        return web.Response(status=503)

    world.dev.middlewares.append(
        lambda http, handler: (
            refuse(http, handler) if "/shop/" in http.path and "configmaps" in http.path else handler(http)
        )
    )
    ran = await world.run(
        set_value,
        {"name": "a", "value": "new"},
        permissions=ON_CONFIG_MAPS,
        fenced=False,
        KUBERNAUT_DEADLINE_SECONDS="1",
    )
    assert (ran.code, ran.message["executed"]) == (66, "no")
