"""What people ask of a run, or do to its parts: cancel, abort, suspend, delete, resolve; and time running out."""

import pytest

from controllers.bench import EXECUTIONS, NAMESPACE, WORKFLOWS, Bench, step, steps_of
from kubernaut.cluster import Json, Write, kinds

pytestmark = pytest.mark.timeout(20)

FINALLY = {"finally": [step("evidence")]}


def phases(workflow: Json) -> dict[str, str]:
    return {name: record["phase"] for name, record in steps_of(workflow).items()}


async def test_cancel_stops_running_steps_and_runs_finally(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("run", [step("long", "linger"), step("next", "succeed", "long")], **FINALLY)
        await bench.until_acting("long")
        await bench.ask("run", "cancel", reason="wrong target")
        ended = await bench.until_ended("run")
    assert ended["status"]["phase"] == "Cancelled"
    assert phases(ended) == {"long": "Cancelled", "next": "Cancelled", "evidence": "Succeeded"}
    assert "wrong target" in ended["status"]["message"]


async def test_cancel_before_a_step_took_its_fence_proves_that_it_changed_nothing(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("run", [step("long", "wait")])
        await bench.until_acting("long")
        await bench.ask("run", "cancel")
        ended = await bench.until_ended("run")
    assert steps_of(ended)["long"]["executed"] == "no"
    assert not bench.effects


async def test_abort_stops_running_steps_and_runs_nothing_more(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("run", [step("long", "linger"), step("next", "succeed", "long")], **FINALLY)
        await bench.until_acting("long")
        await bench.ask("run", "abort")
        ended = await bench.until_ended("run")
    assert ended["status"]["phase"] == "Aborted"
    assert phases(ended) == {"long": "Cancelled", "next": "Cancelled", "evidence": "Cancelled"}
    assert len(bench.started) == 1


async def test_a_suspended_run_starts_nothing_new_until_it_is_resumed(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("run", [step("first", "hold"), step("second", "succeed", "first")])
        await bench.until_acting("first")
        await bench.ask("run", "suspend")
        await bench.until("run", lambda w: w["status"].get("suspended"))
        bench.go.set()
        held = await bench.until_step("run", "first", "Succeeded")
        assert (phases(held)["second"], held["status"]["reason"]) == ("Pending", "Suspended")
        assert set(bench.executions("run")) == {"first"}
        await bench.ask("run", "resume")
        ended = await bench.until_ended("run")
    assert ended["status"]["phase"] == "Completed"


async def test_a_workflow_that_takes_too_long_is_stopped_and_runs_finally(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("run", [step("long", "linger")], timeout="1m", **FINALLY)
        await bench.until_acting("long")
        bench.clock.skipped += 61
        await bench.nudge("run")
        ended = await bench.until_ended("run")
    assert ended["status"]["phase"] == "TimedOut"
    assert phases(ended) == {"long": "TimedOut", "evidence": "Succeeded"}


@pytest.mark.parametrize(("does", "executed"), [("wait", "no"), ("linger", "unknown")])
async def test_a_step_that_takes_too_long_is_ended_and_says_what_was_done(
    bench: Bench, does: str, executed: str
) -> None:
    async with bench.controller():
        await bench.submit("run", [step("slow", does, timeout="1s")])
        ended = await bench.until_ended("run")
    record = steps_of(ended)["slow"]
    assert (record["phase"], record["reason"], record["executed"]) == ("TimedOut", "DeadlineExceeded", executed)
    assert ended["status"]["phase"] == "Failed"


async def test_deleting_a_run_stops_it_runs_finally_and_leaves_nothing_behind(bench: Bench) -> None:
    async with bench.controller():
        steps = [step("long", "linger", usesWorkspace=True)]
        await bench.submit("run", steps, **FINALLY)
        await bench.until_acting("long")
        await bench.admin.delete(kinds.WORKFLOW_EXECUTIONS, "run", NAMESPACE)
        last = await bench.until_ended("run")
        assert phases(last) == {"long": "Cancelled", "evidence": "Succeeded"}
        for kind in (WORKFLOWS, EXECUTIONS, "jobs.batch", "leases.coordination.k8s.io", "pods"):
            await bench.until_none(kind)
        await bench.until_none("persistentvolumeclaims")


async def test_a_deleted_run_whose_action_does_not_end_is_let_go_in_the_end(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("run", [step("long", "hold")])
        await bench.until_acting("long")
        await bench.admin.delete(kinds.WORKFLOW_EXECUTIONS, "run", NAMESPACE)
        await bench.until_object(EXECUTIONS, lambda e: e["spec"].get("stop"))
        bench.clock.skipped += 125
        await bench.nudge("run")
        await bench.until_none(WORKFLOWS)
    bench.go.set()


async def test_a_job_deleted_after_the_action_began_waits_for_a_persons_word(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("run", [step("lost", "linger"), step("next", "succeed", "lost")])
        await bench.until_acting("lost")
        await bench.until_object("leases.coordination.k8s.io", lambda lease: lease["spec"].get("holderIdentity"))
        [job] = bench.objects("jobs.batch")
        await bench.admin.delete(kinds.JOBS, job["metadata"]["name"], NAMESPACE)
        held = await bench.until_phase("run", "Indeterminate")
        assert (steps_of(held)["lost"]["phase"], steps_of(held)["lost"]["reason"]) == ("Indeterminate", "JobLost")
        assert set(bench.executions("run")) == {"lost"}
        await bench.ask("run", "resolve", step="lost", outcome="succeeded")
        ended = await bench.until_ended("run")
    assert ended["status"]["phase"] == "Completed"
    assert phases(ended) == {"lost": "Succeeded", "next": "Succeeded"}


async def test_a_lost_execution_is_never_made_again(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("run", [step("lost", "linger")])
        await bench.until_acting("lost")
        name = bench.executions("run")["lost"]["metadata"]["name"]
        await bench.admin.delete(kinds.ACTION_EXECUTIONS, name, NAMESPACE)
        held = await bench.until_phase("run", "Indeterminate")
        assert steps_of(held)["lost"]["reason"] == "ExecutionLost"
        await bench.ask("run", "resolve", step="lost", outcome="failed", reason="nothing had changed")
        ended = await bench.until_ended("run")
    assert ended["status"]["phase"] == "Failed"
    assert len(bench.started) == 1


async def test_a_job_deleted_before_the_action_began_is_made_again(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("run", [step("lost", "wait-first")])
        await bench.until_acting("lost")
        [job] = bench.objects("jobs.batch")
        await bench.admin.delete(kinds.JOBS, job["metadata"]["name"], NAMESPACE)
        ended = await bench.until_ended("run")
    assert ended["status"]["phase"] == "Completed"
    assert len(bench.started) == 2
    assert list(bench.effects.values()) == [1]


async def test_a_start_is_decided_again_on_what_the_cluster_says_at_that_moment(bench: Bench) -> None:
    def stop_behind_its_back(moment: str, write: Write) -> None:
        """Between the record of the start and the Job, before any watch can have told of it."""
        if moment == "after" and write.kind is kinds.WORKFLOW_EXECUTIONS and write.subresource == "status":
            for execution in bench.objects(EXECUTIONS):
                stop = {"reason": "Cancelled", "at": "2026-01-01T00:00:00Z"}
                bench.cluster.store.edit(
                    EXECUTIONS,
                    execution["metadata"]["name"],
                    NAMESPACE,
                    lambda found, stop=stop: found["spec"].setdefault("stop", stop),
                )

    async with bench.controller(stop_behind_its_back):
        await bench.submit("run", [step("only")])
        ended = await bench.until_step("run", "only", "Cancelled")
    assert steps_of(ended)["only"]["executed"] == "no"
    assert not [c for c in bench.cluster.requests.writes("controller") if c.kind.startswith("jobs")]
