"""A real OPA in the place of our engine: whatever it answers but a decision is a denial."""

import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from kubernaut.api.policy import example
from kubernaut.safety.rego import PolicyEngine, RegoEngine, judge, shipped, to_document
from kubernaut.safety.rego.opa import OpaProgram, OpaServer, answers_in
from kubernaut.safety.rego.policy_set import LIBRARY

# Each goes through a process of its own, whose start a busy machine makes slow.
pytestmark = pytest.mark.journey

ALLOWING = {"a": {"allow": True, "deny": [], "x": {"warn": ["careful"]}}, "settings": {"deny": ["no rule"]}}
Serve = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[OpaServer]]


@pytest.fixture
async def serve() -> AsyncGenerator[Serve]:
    """An HTTP server on loopback that answers as the test says."""
    opened: list[Any] = []

    async def start(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> OpaServer:
        application = web.Application()
        application.router.add_post("/v1/data/kubernaut", handler)
        server = TestServer(application)
        await server.start_server()
        opa = OpaServer(str(server.make_url("/")), seconds=0.5, token="secret-token")
        opened.extend([opa, server])
        return opa

    yield start
    for one in opened:
        await (one.aclose() if isinstance(one, OpaServer) else one.close())


async def test_a_server_s_decisions_are_collected_from_every_sub_package(serve: Serve) -> None:
    seen: list[Any] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((await request.json(), request.headers["Authorization"], dict(request.query)))
        denies = {**ALLOWING, "b": {"c": {"d": {"deny": ["deep down"]}}}}
        return web.json_response({"result": denies if seen[-1][0]["input"].get("bad") else ALLOWING})

    opa = await serve(answer)
    verdict = await judge(opa, {"good": 1})
    assert verdict.allowed
    assert [one.rule for one in verdict.warnings] == ["data.kubernaut.a.x.warn"]
    assert seen == [({"input": {"good": 1}}, "Bearer secret-token", {"strict-builtin-errors": "true"})]
    verdict = await judge(opa, {"bad": 1})
    assert [one.rule for one in verdict.denials] == ["data.kubernaut.b.c.d.deny"]
    assert "secret-token" not in repr(opa)


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (200, b"{}", "has no data.kubernaut"),
        (200, b'{"result": true}', "has no data.kubernaut"),
        (200, b'{"result": {}}', "no rule set matches"),
        (200, b'{"result": {"allow": "true"}}', "no rule set matches"),
        (200, b'{"result": {"allow": true, "deny": {"x": true}}}', "it is no set"),
        (200, b'{"result": {"allow": true, "deny": true}}', "it is no set"),
        (200, b"allow", "no JSON"),
        (200, b"[" * 9000, "no JSON"),
        (500, b'{"result": {"allow": true}}', "status 500"),
        (404, b'{"result": {"allow": true}}', "status 404"),
        (302, b"", "status 302"),
    ],
)
async def test_whatever_a_server_says_but_a_decision_is_a_denial(
    serve: Serve, status: int, body: bytes, why: str
) -> None:
    async def answer(_: web.Request) -> web.Response:
        headers = {"Location": "http://127.0.0.1:1/elsewhere"} if status == 302 else {}
        return web.Response(status=status, body=body, headers=headers)

    verdict = await judge(await serve(answer), {})
    assert not verdict.allowed
    assert why in verdict.reason


async def test_a_server_that_is_slow_or_not_there_is_a_denial(serve: Serve) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await request.content.read()
        await response.write(b'{"result": {"allow": true')
        while not request.transport or not request.transport.is_closing():
            await response.write(b" " * 65536)
        return response

    verdict = await judge(await serve(hang), {})
    assert not verdict.allowed
    gone = OpaServer("http://127.0.0.1:1")
    verdict = await judge(gone, {})
    assert "cannot be asked" in verdict.reason
    await gone.aclose()


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 0", "no JSON"),
        ("echo '{}'", "gives no value"),
        ("""echo '{"result":[{"expressions":[{"value":false}]}]}'""", "has no data.kubernaut"),
        ("""echo '{"errors":[{"message":"rego_parse_error"}]}'""", "rego_parse_error"),
        ("""echo '{"result":[{}]}'""", "a form that is not known"),
        ("while :; do :; done", "took longer than 0.5 s"),
    ],
)
async def test_the_program_s_exit_code_is_not_believed(tmp_path: Path, script: str, why: str) -> None:
    """`opa eval` exits with 0 for a decision that is undefined."""
    program = tmp_path / "opa"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    verdict = await judge(OpaProgram(str(program), (tmp_path,), seconds=0.5), {})
    assert not verdict.allowed
    assert why in verdict.reason
    missing = await judge(OpaProgram(str(tmp_path / "none"), ()), {})
    assert "cannot be run" in missing.reason


def test_parameters_are_no_decisions() -> None:
    rules = {(one.package, one.decision) for one in answers_in(ALLOWING)}
    assert rules == {("kubernaut.a", "allow"), ("kubernaut.a", "deny"), ("kubernaut.a.x", "warn")}


@pytest.mark.peer
async def test_the_real_opa_gives_the_verdicts_of_our_engine() -> None:
    program = shutil.which("opa")
    if program is None:
        pytest.skip("opa is not installed; Debian and PyPI have none, so CI does without")
    ours: PolicyEngine = await RegoEngine.load(shipped())
    theirs = OpaProgram(program, (LIBRARY,))
    for document in variations():
        mine, real = await judge(ours, document), await judge(theirs, document)
        assert mine.allowed == real.allowed
        assert [one.message for one in mine.denials] == [one.message for one in real.denials]
    await ours.aclose()


def variations() -> list[dict[str, Any]]:
    """The example with its parts left out one by one, and some that are denied."""
    whole = to_document(example())
    found = [whole, {}, {"action": {"type": "git/revert"}}]
    found += [{key: value for key, value in whole.items() if key != left_out} for left_out in whole]
    for replicas in (0, 2, 21, 111, -1, "3"):
        found.append({**whole, "action": {**whole["action"], "inputs": {"replicas": replicas}}})
    for action in ("delete_pod", "drain_node", "cordon_node", "update_secret", "patch_deployment"):
        found.append({**whole, "action": {"type": f"kubernetes/{action}"}})
    return found
