"""Approvals as people give them: through the API server, with its RBAC and admission policies in force."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from controllers.bench import EXECUTIONS, NAMESPACE, Bench, open_bench, step
from kubernaut.api.approval import ApprovalRequest
from kubernaut.cli.installing import policy_manifests
from kubernaut.cli.installing.controller import controller_manifests
from kubernaut.cluster import Cluster, Forbidden, Invalid, Json, apply_manifests, kinds
from kubernaut.planning.facts import Limits

pytestmark = pytest.mark.timeout(20)

REQUESTS = "approvalrequests.kubernaut.ai"
RBAC = "rbac.authorization.k8s.io"
LIMITS = Limits(approval_groups=("ops",), approval_users=("zoe",))
CONTROLLER = "system:serviceaccount:kubernaut-system:kubernaut-controller"


def bound(user: str, role: str) -> Json:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": f"{user}-{role}", "namespace": NAMESPACE},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user}],
    }


@asynccontextmanager
async def open_place(folder: Path, **limits: Any) -> AsyncGenerator[Bench]:
    async with open_bench(folder, limits=replace(LIMITS, **limits)) as bench:
        system = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kubernaut-system"}}
        people = [
            *(bound(user, "kubernaut-operator") for user in ("ann", "bob", "carl")),
            *(bound(user, "kubernaut-approver") for user in ("ann", "bob", "dora", "zoe")),
        ]
        await apply_manifests(bench.admin, [system, *controller_manifests(), *policy_manifests(), *people])
        bench.identity = (CONTROLLER, ("system:serviceaccounts", "system:serviceaccounts:kubernaut-system"))
        yield bench


@pytest.fixture
async def place(tmp_path: Path) -> AsyncGenerator[Bench]:
    async with open_place(tmp_path) as bench:
        yield bench


async def held(bench: Bench, name: str = "run") -> ApprovalRequest:
    async with as_user(bench, "ann") as ann:
        body = {
            "apiVersion": "workflowexecution.kubernaut.ai/v1alpha1",
            "kind": "WorkflowExecution",
            "metadata": {"name": name},
            "spec": {"steps": [step("only")], "requiresApproval": True, "requester": {"username": "ann"}},
        }
        await ann.create(kinds.WORKFLOW_EXECUTIONS, body, NAMESPACE)
    waiting = await bench.until_phase(name, "WaitingApproval")
    asked = waiting["status"]["approval"]["request"]["name"]
    return msgspec.convert(bench.cluster.store.get(REQUESTS, asked, NAMESPACE), ApprovalRequest)


def word(asked: ApprovalRequest, who: str, *groups: str, decision: str = "approve", **more: Any) -> Json:
    by = {"username": who, **({"groups": list(groups)} if groups else {})}
    return {"decision": decision, "planHash": asked.spec.plan_hash, "by": by, **more}


async def say(bench: Bench, asked: ApprovalRequest, said: Json, user: str, *groups: str) -> None:
    """Appends a word as this user, with these groups besides the one of all users."""
    found = bench.cluster.store.get(REQUESTS, asked.metadata.name, NAMESPACE)
    words = [*found["spec"].get("decisions", []), said]
    async with as_user(bench, user, *groups) as client:
        await client.patch(
            kinds.APPROVAL_REQUESTS, asked.metadata.name, NAMESPACE, {"spec": {"decisions": words}}, "merge"
        )


def as_user(bench: Bench, user: str, *groups: str) -> Cluster:
    return bench.client(user, groups)


async def test_it_runs_once_somebody_else_has_approved(place: Bench) -> None:
    async with place.controller():
        asked = await held(place)
        assert not place.objects(EXECUTIONS)
        assert (asked.spec.requested_by.username, asked.status.phase) == ("ann", "Pending")
        assert [one.name for one in asked.spec.steps] == ["only"]
        await say(place, asked, word(asked, "bob", "ops", message="looks right"), "bob", "ops")
        ended = await place.until_ended("run")
    status = ended["status"]
    assert (status["phase"], status["approvalStatus"]) == ("Completed", "Approved")
    assert status["approval"]["decidedBy"] == ["bob"]
    stored = place.objects(REQUESTS)[0]
    assert (stored["status"]["phase"], stored["status"]["approvals"]) == ("Approved", "1/1")


async def test_it_ends_when_somebody_has_rejected(place: Bench) -> None:
    async with place.controller():
        asked = await held(place)
        await say(place, asked, word(asked, "zoe", decision="reject", message="not on a Friday"), "zoe")
        ended = await place.until_ended("run")
    assert (ended["status"]["phase"], ended["status"]["reason"]) == ("Failed", "Rejected")
    assert "Rejected by zoe: not on a Friday." in ended["status"]["message"]
    assert not place.started


async def test_a_request_that_is_deleted_is_a_rejection(place: Bench) -> None:
    async with place.controller():
        asked = await held(place)
        await place.admin.delete(kinds.APPROVAL_REQUESTS, asked.metadata.name, NAMESPACE)
        ended = await place.until_ended("run")
    assert (ended["status"]["phase"], ended["status"]["reason"]) == ("Failed", "Rejected")
    assert "was deleted" in ended["status"]["message"]


async def test_it_ends_when_nobody_decides_in_time(place: Bench) -> None:
    async with place.controller():
        asked = await held(place)
        left = asked.spec.expires_at - place.clock.now()
        assert timedelta(minutes=14) < left <= timedelta(minutes=15)
        place.clock.skipped = 901
        await place.nudge("run")
        ended = await place.until_ended("run")
    assert (ended["status"]["reason"], ended["status"]["approvalStatus"]) == ("ApprovalExpired", "Expired")
    assert place.objects(REQUESTS)[0]["status"]["phase"] == "Expired"


async def test_a_catalogue_that_changed_asks_anew_and_the_old_word_is_void(place: Bench) -> None:
    async with place.controller():
        first = await held(place)
        change = {"spec": {"contract": {"timeout": "4m"}}}
        await place.admin.patch(kinds.ACTION_DEFINITIONS, "test-script", None, change, "merge")
        await place.nudge("run")
        second = await place.until_object(
            REQUESTS, lambda one: one["metadata"]["name"] != first.metadata.name and one.get("status")
        )
        asked = msgspec.convert(second, ApprovalRequest)
        await place.until("run", lambda one: one["status"]["approval"]["request"]["name"] == asked.metadata.name)
        with pytest.raises(Forbidden, match="decided, or over"):
            await say(place, first, word(first, "bob", "ops"), "bob", "ops")
        with pytest.raises(Forbidden, match="another plan"):
            await say(place, asked, word(first, "bob", "ops"), "bob", "ops")
        assert not place.started
        await say(place, asked, word(asked, "bob", "ops"), "bob", "ops")
        ended = await place.until_ended("run")
    assert ended["status"]["phase"] == "Completed"
    assert ended["status"]["actions"][0]["contract"]["timeout"] == "4m"


async def test_a_quorum_of_two_takes_two_people(tmp_path: Path) -> None:
    async with open_place(tmp_path, approval_quorum=2) as place, place.controller():
        asked = await held(place)
        await say(place, asked, word(asked, "bob", "ops"), "bob", "ops")
        again = word(asked, "bob", "ops", message="again")
        await say(place, asked, again, "bob", "ops")
        await place.until_object(REQUESTS, lambda one: one.get("status", {}).get("approvals") == "1/2")
        assert not place.started
        await say(place, asked, word(asked, "zoe"), "zoe")
        ended = await place.until_ended("run")
        assert ended["status"]["approval"]["decidedBy"] == ["bob", "zoe"]


REFUSED = {
    "his own workflow": (lambda a: word(a, "ann", "ops"), "ann", ("ops",), "cannot decide"),
    "in another's name": (lambda a: word(a, "zoe"), "bob", ("ops",), "must be you"),
    "in nobody's name": (lambda a: word(a, "", "ops"), "bob", ("ops",), "must be you"),
    "with groups of others": (lambda a: word(a, "dora", "ops"), "dora", (), "must be yours"),
    "not asked": (lambda a: word(a, "dora"), "dora", (), "not among the approvers"),
    "without the verb": (lambda a: word(a, "carl", "ops"), "carl", ("ops",), "approvalrequests"),
    "another plan": (
        lambda a: {**word(a, "bob", "ops"), "planHash": "sha256:" + "0" * 64},
        "bob",
        ("ops",),
        "another plan",
    ),
}


@pytest.mark.parametrize("how", REFUSED)
async def test_a_word_that_may_not_be_said_is_refused_by_the_api_server(place: Bench, how: str) -> None:
    said, user, groups, told = REFUSED[how]
    async with place.controller():
        asked = await held(place)
        with pytest.raises((Forbidden, Invalid), match=told):
            await say(place, asked, said(asked), user, *groups)
        assert "decisions" not in place.objects(REQUESTS)[0]["spec"]
    assert not place.started


async def test_nobody_takes_a_word_back_or_rewrites_the_request(place: Bench) -> None:
    async with place.controller():
        asked = await held(place)
        await say(place, asked, word(asked, "zoe", decision="reject"), "zoe")
        await place.until_ended("run")
        name = asked.metadata.name
        for change in (
            {"decisions": []},
            {"quorum": 2},
            {"requestedBy": {"username": "eve"}},
            {"approvers": None},
        ):
            with pytest.raises(Invalid):
                await place.admin.patch(kinds.APPROVAL_REQUESTS, name, NAMESPACE, {"spec": change}, "merge")


async def test_nobody_but_the_controller_asks_or_says_what_came_of_it(place: Bench) -> None:
    async with place.controller():
        asked = await held(place)
        stored = place.objects(REQUESTS)[0]
        stored["status"]["phase"] = "Approved"
        with pytest.raises(Forbidden, match="only the controller"):
            await place.admin.replace(kinds.APPROVAL_REQUESTS, stored, "status")
        forged = {**stored, "metadata": {"name": "forged"}}
        forged.pop("status")
        with pytest.raises(Forbidden, match="only the controller"):
            await place.admin.create(kinds.APPROVAL_REQUESTS, forged, NAMESPACE)
        async with as_user(place, "bob", "ops") as bob:
            with pytest.raises(Forbidden, match="status"):
                await bob.replace(kinds.APPROVAL_REQUESTS, place.objects(REQUESTS)[0], "status")
    assert asked.status.phase == "Pending"
    assert not place.started


async def test_an_approval_costs_at_most_nineteen_writes(place: Bench) -> None:
    async with place.controller():
        asked = await held(place)
        await say(place, asked, word(asked, "bob", "ops"), "bob", "ops")
        await place.until_ended("run")
    # Events are apart; the runner's writes are those of the action.
    ours = [call for user in (CONTROLLER, "ann", "bob", "runner") for call in place.cluster.requests.writes(user)]
    assert 0 < len(ours) <= 19, [(call.user, call.verb, call.resource) for call in ours]
