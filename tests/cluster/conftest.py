"""A small API server that says what a test tells it to say."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from kubernaut.cluster import Cluster, Connection
from kubernaut.concurrency import VirtualClock

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def text(body: str | bytes, code: int = 200) -> Answer:
    """A plain answer."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=code)

    return answer


def status(code: int, reason: str = "", message: str = "", **details: Any) -> Answer:
    """A Status body as the API sends it."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message or reason,
    }
    headers = {}
    if "retry_after" in details:
        headers["Retry-After"] = str(details.pop("retry_after"))
    if details:
        body["details"] = details

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=code, headers=headers)

    return answer


@dataclass
class Script:
    """Answers in order; the last one is repeated. Remembers what was asked."""

    answers: list[Answer | dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.raw_path))
        self.bodies.append(await request.read())
        self.headers.append(dict(request.headers))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, dict):
            return web.json_response(answer)
        return await answer(request)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def script() -> Script:
    return Script([{}])


@pytest.fixture
async def server(script: Script) -> AsyncGenerator[TestServer, None]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", script.answer)
    async with TestServer(app) as running:
        yield running


@pytest.fixture
async def cluster(server: TestServer, clock: VirtualClock) -> AsyncGenerator[Cluster, None]:
    connection = Connection(server=str(server.make_url("")).rstrip("/"))
    async with Cluster(connection, user="tester", clock=clock) as made:
        yield made


async def drop_connection(request: web.Request) -> web.StreamResponse:
    """The server takes the request and dies before it answers."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()
