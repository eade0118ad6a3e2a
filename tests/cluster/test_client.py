"""What a caller of the client may rely on, against a server that says what it is told."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest
from aiohttp import web
from tests.cluster.conftest import Script, drop_connection, status, text

from kubernaut.cluster import (
    AlreadyExists,
    CannotConnect,
    Cluster,
    ClusterError,
    Conflict,
    Connection,
    Event,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    OutcomeUnknown,
    ServerError,
    TooManyRequests,
    Unauthorized,
    Unreachable,
    Write,
    kinds,
)
from kubernaut.concurrency import VirtualClock

POD: dict[str, Any] = {"metadata": {"name": "p", "namespace": "n"}}


async def test_paths_follow_group_scope_and_subresource(cluster: Cluster, script: Script) -> None:
    await cluster.get(kinds.PODS, "p", "n")
    await cluster.get(kinds.NODES, "node-1")
    await cluster.get(kinds.WORKFLOW_EXECUTIONS, "w", "n", "status")
    await cluster.get(kinds.CLUSTER_ROLES, "system:node")
    assert script.asked == [
        ("GET", "/api/v1/namespaces/n/pods/p"),
        ("GET", "/api/v1/nodes/node-1"),
        (
            "GET",
            "/apis/workflowexecution.kubernaut.ai/v1alpha1/namespaces/n/workflowexecutions/w/status",
        ),
        ("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node"),
    ]


@pytest.mark.parametrize("name", ["..", ".", "a/b", "a%2fb"])
async def test_a_name_cannot_lead_to_another_path(cluster: Cluster, name: str) -> None:
    with pytest.raises(ValueError, match="path"):
        await cluster.get(kinds.PODS, name, "n")


async def test_a_namespaced_object_is_not_sought_without_a_namespace(cluster: Cluster) -> None:
    with pytest.raises(ValueError, match="needs a namespace"):
        await cluster.get(kinds.PODS, "p")
    with pytest.raises(ValueError, match="empty"):
        await cluster.delete(kinds.PODS, "", "n")


async def test_create_fills_in_kind_and_takes_the_namespace_from_the_object(
    cluster: Cluster, script: Script
) -> None:
    await cluster.create(kinds.PODS, POD, dry_run=True)
    assert script.asked == [("POST", "/api/v1/namespaces/n/pods?dryRun=All&fieldManager=kubernaut")]
    assert json.loads(script.bodies[0]) == {"apiVersion": "v1", "kind": "Pod", **POD}


async def test_patches_say_their_type_and_apply_may_force(cluster: Cluster, script: Script) -> None:
    await cluster.patch(kinds.PODS, "p", "n", {"a": 1})
    await cluster.patch(kinds.PODS, "p", "n", [{"op": "test"}], "json")
    await cluster.patch(kinds.PODS, "p", "n", {}, "strategic", subresource="status")
    await cluster.patch(kinds.PODS, "p", "n", {}, "apply", force=True, field_manager="me")
    sent = [headers["Content-Type"] for headers in script.headers]
    assert sent == [
        "application/merge-patch+json",
        "application/json-patch+json",
        "application/strategic-merge-patch+json",
        "application/apply-patch+yaml",
    ]
    assert script.asked[2][1] == "/api/v1/namespaces/n/pods/p/status?fieldManager=kubernaut"
    assert script.asked[3][1] == "/api/v1/namespaces/n/pods/p?fieldManager=me&force=true"


async def test_delete_carries_propagation_and_preconditions(cluster: Cluster, script: Script) -> None:
    await cluster.delete(kinds.PODS, "p", "n", uid="u-1", grace_period_seconds=0)
    assert json.loads(script.bodies[0]) == {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "propagationPolicy": "Background",
        "preconditions": {"uid": "u-1"},
        "gracePeriodSeconds": 0,
    }


async def test_a_subresource_is_created_under_its_object(cluster: Cluster, script: Script) -> None:
    await cluster.create(kinds.PODS, {"kind": "Eviction"}, "n", name="p", subresource="eviction")
    assert script.asked[0][1].startswith("/api/v1/namespaces/n/pods/p/eviction")


async def test_lists_are_whole_and_their_items_say_what_they_are(cluster: Cluster, script: Script) -> None:
    script.answers = [
        {"items": [POD], "metadata": {"continue": "more", "resourceVersion": "7"}},
        {"items": [POD], "metadata": {"resourceVersion": "7"}},
    ]
    found = await cluster.list(kinds.PODS, "n", label_selector="app in (a,b)", limit=1)
    assert (len(found.items), found.resource_version) == (2, "7")
    assert found.items[0]["kind"] == "Pod"
    query = "labelSelector=app+in+%28a%2Cb%29&limit=1"
    assert [path for _, path in script.asked] == [
        f"/api/v1/namespaces/n/pods?{query}",
        f"/api/v1/namespaces/n/pods?{query}&continue=more",
    ]


async def test_a_list_whose_pages_expire_is_taken_again_at_once(cluster: Cluster, script: Script) -> None:
    script.answers = [
        {"items": [POD], "metadata": {"continue": "more"}},
        status(410, "Expired"),
        {"items": [POD, POD], "metadata": {"resourceVersion": "9"}},
    ]
    found = await cluster.list(kinds.PODS)
    assert (len(found.items), found.resource_version) == (2, "9")
    assert script.asked[2][1] == "/api/v1/pods"


@pytest.mark.parametrize(
    ("code", "reason", "error"),
    [
        (401, "Unauthorized", Unauthorized),
        (403, "Forbidden", Forbidden),
        (404, "NotFound", NotFound),
        (409, "AlreadyExists", AlreadyExists),
        (409, "Conflict", Conflict),
        (410, "Expired", Gone),
        (422, "Invalid", Invalid),
        (429, "TooManyRequests", TooManyRequests),
        (500, "InternalError", OutcomeUnknown),
        (504, "Timeout", OutcomeUnknown),
    ],
)
async def test_a_refusal_is_named_and_the_write_is_sent_once(
    cluster: Cluster, script: Script, code: int, reason: str, error: type[ClusterError]
) -> None:
    script.answers = [status(code, reason, "pods is wrong")]
    with pytest.raises(error, match="create pods p in namespace n: pods is wrong") as caught:
        await cluster.create(kinds.PODS, POD)
    assert type(caught.value) is error
    assert (caught.value.status, caught.value.reason) == (code, reason)
    assert len(script.asked) == 1


async def test_a_refused_object_says_field_by_field_why(cluster: Cluster, script: Script) -> None:
    fault = {"field": "spec.replicas", "message": "must be positive", "reason": "FieldValueInvalid"}
    script.answers = [status(422, "Invalid", "no", causes=[fault])]
    with pytest.raises(Invalid) as caught:
        await cluster.create(kinds.PODS, POD)
    assert caught.value.causes[0]._asdict() == fault


async def test_error_text_is_cut_and_a_proxys_page_is_no_crash(cluster: Cluster, script: Script) -> None:
    script.answers = [text("<html>" + "x" * 100_000, 403)]
    with pytest.raises(Forbidden) as caught:
        await cluster.get(kinds.PODS, "p", "n")
    assert len(str(caught.value)) == 1000


@pytest.mark.parametrize("code", [500, 503, 504])
async def test_reads_survive_a_server_in_trouble(
    cluster: Cluster, script: Script, clock: VirtualClock, code: int
) -> None:
    script.answers = [status(code), drop_connection, {"ok": True}]
    assert await cluster.get(kinds.PODS, "p", "n") == {"ok": True}
    assert 0 < clock.monotonic() < 1


async def test_reads_give_up_in_the_end(cluster: Cluster, script: Script) -> None:
    script.answers = [status(500, "InternalError")]
    with pytest.raises(ServerError):
        await cluster.get(kinds.PODS, "p", "n")
    assert len(script.asked) == 5


@pytest.mark.parametrize("code", [429, 503])
async def test_a_write_is_sent_again_when_the_server_says_when(
    cluster: Cluster, script: Script, clock: VirtualClock, code: int
) -> None:
    script.answers = [status(code, retry_after=3), {"ok": True}]
    assert await cluster.create(kinds.PODS, POD) == {"ok": True}
    assert clock.monotonic() == 3


async def test_a_turn_never_sleeps_as_long_as_a_server_may_ask(cluster: Cluster, script: Script) -> None:
    script.answers = [status(429, retry_after=600)]
    with pytest.raises(TooManyRequests) as caught:
        await cluster.create(kinds.PODS, POD)
    assert caught.value.retry_after == 600


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("verb", ["create", "replace", "patch", "delete"])
async def test_a_write_whose_answer_was_lost_is_unknown_and_never_sent_again(
    cluster: Cluster, script: Script, verb: str, warm: bool
) -> None:
    script.answers = [drop_connection]
    if warm:  # on a pooled connection aiohttp would repeat PUT and DELETE by itself
        script.answers = [{}, drop_connection]
        await cluster.version()
    script.asked.clear()
    writes = {
        "create": lambda: cluster.create(kinds.PODS, POD),
        "replace": lambda: cluster.replace(kinds.PODS, POD),
        "patch": lambda: cluster.patch(kinds.PODS, "p", "n", {}),
        "delete": lambda: cluster.delete(kinds.PODS, "p", "n"),
    }
    with pytest.raises(OutcomeUnknown, match="not known"):
        await writes[verb]()
    assert len(script.asked) == 1


async def test_a_dry_run_whose_answer_was_lost_is_asked_again(cluster: Cluster, script: Script) -> None:
    script.answers = [drop_connection, {"ok": True}]
    assert await cluster.create(kinds.PODS, POD, dry_run=True) == {"ok": True}
    assert cluster.writes == 0


async def test_a_write_to_a_server_that_is_not_there_was_certainly_not_done() -> None:
    connection = Connection(server="http://127.0.0.1:1", source="context dev of /k")
    async with Cluster(connection) as cluster:
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1 \(context dev of /k\)") as caught:
            await cluster.create(kinds.PODS, POD)
    assert caught.value.refused


async def test_a_hanging_server_is_given_up(cluster: Cluster, script: Script) -> None:
    forever = asyncio.Event()

    async def hang(_: web.Request) -> web.StreamResponse:
        await forever.wait()
        return web.Response()

    script.answers = [hang]
    async with Cluster(cluster.connection, timeout=0.05) as impatient:
        with pytest.raises(OutcomeUnknown):
            await impatient.replace(kinds.PODS, POD)
    forever.set()


async def test_hooks_see_every_write_before_and_after_and_may_stop_it(cluster: Cluster, script: Script) -> None:
    seen: list[tuple[str, int, str, str]] = []

    def note(moment: str, write: Write) -> None:
        assert write.kind is not None
        seen.append((moment, write.number, write.verb, f"{write.kind.plural}/{write.name}"))

    async def crash(moment: str, write: Write) -> None:
        if moment == "before" and write.number == 2:
            raise ConnectionAbortedError

    cluster.on_write(note)
    remove = cluster.on_write(crash)
    await cluster.get(kinds.PODS, "p", "n")
    await cluster.create(kinds.PODS, POD)
    with pytest.raises(ConnectionAbortedError):
        await cluster.delete(kinds.PODS, "p", "n")
    remove()
    await cluster.patch(kinds.PODS, "p", "n", {}, subresource="status")
    assert seen == [
        ("before", 1, "create", "pods/p"),
        ("after", 1, "create", "pods/p"),
        ("before", 2, "delete", "pods/p"),
        ("before", 3, "patch", "pods/p"),
        ("after", 3, "patch", "pods/p"),
    ]
    assert [method for method, _ in script.asked] == ["GET", "POST", "PATCH"]
    assert cluster.counts == {
        ("tester", "get", "pods"): 1,
        ("tester", "create", "pods"): 1,
        ("tester", "patch", "pods/status"): 1,
    }


def frames(*lines: dict[str, Any], cut: int = 0) -> Any:
    """A watch answer; with `cut`, in pieces of so many bytes."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        whole = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        for start in range(0, len(whole), cut or len(whole)):
            await response.write(whole[start : start + (cut or len(whole))])
        await response.write_eof()
        return response

    return answer


async def drain(cluster: Cluster, into: list[Event]) -> None:
    async for event in cluster.watch(kinds.PODS):
        into.append(event)


async def test_watch_yields_frames_however_they_are_cut(cluster: Cluster, script: Script) -> None:
    big = {"metadata": {"name": "x" * 200_000}}
    script.answers = [
        frames(
            {"type": "ADDED", "object": POD},
            {"type": "MODIFIED", "object": big},
            {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}},
            cut=7_001,
        )
    ]
    seen = [event async for event in cluster.watch(kinds.PODS, "n", resource_version="5")]
    assert seen[:2] == [Event("ADDED", POD), Event("MODIFIED", big)]
    assert seen[2].type == "BOOKMARK"
    assert "allowWatchBookmarks=true&resourceVersion=5" in script.asked[0][1]


async def test_watch_says_when_it_must_begin_anew(cluster: Cluster, script: Script) -> None:
    body = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    script.answers = [frames({"type": "ERROR", "object": body}), status(410, "Expired")]
    for _ in range(2):  # once as a frame, once as the whole answer
        with pytest.raises(Gone):
            await drain(cluster, [])


async def test_a_watch_that_breaks_is_unreachable_and_one_left_early_is_closed(
    cluster: Cluster, script: Script
) -> None:
    async def breaking(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(b'{"type":"ADDED","object":{}}\n')
        assert request.transport is not None
        request.transport.close()
        return response

    script.answers = [breaking]
    seen: list[Event] = []
    with pytest.raises(Unreachable):
        await drain(cluster, seen)
    assert len(seen) == 1
    script.answers = [frames({"type": "ADDED", "object": POD})]
    async with aclosing(cluster.watch(kinds.PODS)) as events:
        async for _ in events:
            break


async def test_logs_come_whole_or_as_they_are_written(cluster: Cluster, script: Script) -> None:
    script.answers = [text("grüße\n".encode() + b"\xff")]
    written = await cluster.logs("n", "p", "main", tail_lines=5, limit_bytes=100)
    assert written == "grüße\n�"
    assert script.asked[0][1] == ("/api/v1/namespaces/n/pods/p/log?container=main&tailLines=5&limitBytes=100")

    async def writing(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for byte in "grüße".encode():
            await response.write(bytes([byte]))
        await response.write_eof()
        return response

    script.answers = [writing]
    assert "".join([piece async for piece in cluster.follow_logs("n", "p")]) == "grüße"


async def test_a_redirect_is_not_followed_because_the_token_would_go_with_it(
    cluster: Cluster, script: Script
) -> None:
    async def elsewhere(request: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": "/other"})

    script.answers = [elsewhere]
    with pytest.raises(ServerError, match="307"):
        await cluster.create(kinds.PODS, POD, dry_run=True)
    assert {path for _, path in script.asked} == {"/api/v1/namespaces/n/pods?dryRun=All&fieldManager=kubernaut"}


async def test_an_answer_that_is_no_json_object_is_the_servers_error(cluster: Cluster, script: Script) -> None:
    for body in ("<html>", "[1]"):
        script.answers = [text(body)]
        with pytest.raises(ServerError):
            await cluster.get(kinds.PODS, "p", "n")


async def test_without_any_cluster_the_error_says_where_was_looked(tmp_path: Any) -> None:
    with pytest.raises(CannotConnect, match=r"KUBECONFIG is not set.*\.kube/config does not exist"):
        Cluster.connect(environment={"HOME": str(tmp_path)})
