"""HTTP probes at real servers on the loopback, with their bounds."""

import base64
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from kubernaut.cluster import Cluster, Connection, FixedLogin, Login, kinds
from kubernaut.devcluster import DevCluster
from kubernaut.planning.probes import Observation
from kubernaut.safety.probes import Matter
from kubernaut.safety.probes.addresses import Fence, FencedResolver, RefusedAddress
from kubernaut.safety.probes.asking import CannotAsk
from kubernaut.safety.probes.http import MOST_BYTES, HttpEvaluator, next_address

from .asking import ask, faults_of, read

HERE = ("127.0.0.1/32",)


@asynccontextmanager
async def serving(*routes: web.RouteDef) -> AsyncGenerator[str]:
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def answering(status: int = 200, text: str = "", **headers: str) -> Any:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers=headers)

    return answer


async def look(
    url: str, allowed: Sequence[str] = HERE, inputs: dict[str, Any] | None = None, **fields: Any
) -> Observation:
    evaluators = {"http": HttpEvaluator(None, Fence(allowed), 1.5)}
    return await ask(evaluators, read(http={"url": url, **fields}), Matter(inputs or {}))


async def test_status_and_body_are_what_is_asked() -> None:
    routes = (
        web.get("/ok", answering(text='{"ready": true, "password": "hunter22"}')),
        web.get("/bad", answering(503)),
    )
    async with serving(*routes) as url:
        fine = await look(f"{url}/ok", contains='"ready"', expression="json.ready && status == 200")
        assert fine.outcome == "passed"
        assert "hunter22" not in repr(fine)
        assert (await look(f"{url}/ok", expression="body.matches('^.*ready.*$')")).outcome == "passed"
        wrong = await look(f"{url}/bad")
        assert (wrong.outcome, wrong.reason, wrong.message) == (
            "failed",
            "WrongStatus",
            "it answers 503, not 200 to 299",
        )
        assert (await look(f"{url}/bad", status=[503])).outcome == "passed"
        assert (await look(f"{url}/ok", contains="absent")).reason == "WrongBody"
        assert (await look(f"{url}/ok", method="HEAD")).outcome == "passed"
        unread = await look(f"{url}/ok", expression="json.missing == 1")
        assert (unread.outcome, unread.reason) == ("inconclusive", "Unanswerable")


async def test_an_input_stays_in_its_place() -> None:
    asked: list[str] = []

    async def note(request: web.Request) -> web.Response:
        asked.append(request.raw_path)
        return web.Response()

    async with serving(web.get("/{rest:.*}", note)) as url:
        given = {"path": "../admin?x=1#y", "app": "web"}
        assert (await look(f"{url}/a/$(inputs.path)/$(inputs.app)", inputs=given)).outcome == "passed"
    assert asked == ["/a/..%2Fadmin%3Fx%3D1%23y/web"]
    for host in ("evil.example.com/", "web@evil", "a.b", "", "127.0.0.1:80"):
        seen = await look("http://$(inputs.host).shop.svc/", inputs={"host": host})
        assert (seen.outcome, seen.reason) == ("inconclusive", "Unknown"), host


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:7f00:0001::]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "0.0.0.0",
        "[::]",
        "255.255.255.255",
        "224.0.0.1",
    ],
)
async def test_neither_this_machine_nor_what_gives_out_credentials_is_asked(host: str) -> None:
    async with serving(web.get("/", answering())) as url:
        port = url.rpartition(":")[2]
        seen = await look(f"http://{host}:{port}/", allowed=())
    # Addresses that are not written as everybody writes them are none.
    reason = "BadAddress" if host in ("127.1", "2130706433") else "RefusedAddress"
    assert (seen.outcome, seen.reason) == ("inconclusive", reason), seen


def test_the_services_of_a_cluster_may_be_asked() -> None:
    for address in ("10.96.0.1", "172.20.3.4", "192.168.1.1", "8.8.8.8", "fd12::1", "2606:4700::1111"):
        Fence().refuse(address, address)
    with pytest.raises(RefusedAddress):
        Fence(["10.0.0.0/8"]).refuse("127.0.0.1", "it")
    with pytest.raises(ValueError, match="nowhere"):
        Fence(["nowhere"])


async def test_a_name_is_refused_for_any_of_its_addresses() -> None:
    with pytest.raises(RefusedAddress, match="localhost"):
        await FencedResolver(Fence()).resolve("localhost", 80, socket.AF_UNSPEC)


async def test_redirects_are_few_and_lead_nowhere_that_may_not_be_asked() -> None:
    routes = (
        web.get("/1", answering(302, Location="/2")),
        web.get("/2", answering(302, Location="/end")),
        web.get("/end", answering()),
        web.get("/ring", answering(302, Location="/ring")),
        web.get("/meta", answering(302, Location="http://169.254.169.254/latest/")),
        web.get("/file", answering(302, Location="file:///etc/passwd")),
    )
    async with serving(*routes) as url:
        assert (await look(f"{url}/1")).outcome == "passed"
        for path, reason in (("ring", "TooManyRedirects"), ("meta", "RefusedAddress"), ("file", "BadRedirect")):
            seen = await look(f"{url}/{path}")
            assert (seen.outcome, seen.reason) == ("inconclusive", reason)


def test_what_was_asked_in_secret_is_not_asked_in_clear() -> None:
    assert next_address("http://a/x", "https://a/y") == "https://a/y"
    assert next_address("https://a/x/", "../y") == "https://a/y"
    with pytest.raises(CannotAsk, match="from https to http"):
        next_address("https://a/", "http://a/")


async def test_large_and_endless_answers_end() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b"x" * 65_536)

    large = "a" * MOST_BYTES + "needle"
    async with serving(web.get("/", endless), web.get("/large", answering(text=large))) as url:
        assert (await look(f"{url}/")).outcome == "passed"
        seen = await look(f"{url}/large", contains="needle")
        assert (seen.outcome, seen.reason) == ("inconclusive", "TooLarge")
        assert (await look(f"{url}/", expression="body != ''")).reason == "TooLarge"


async def test_who_does_not_answer_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        evaluators = {"http": HttpEvaluator(None, Fence(HERE), 0.2)}
        probe = read(http={"url": f"http://127.0.0.1:{deaf.getsockname()[1]}/"})
        seen = await ask(evaluators, probe)
        assert seen.outcome == "inconclusive"
        assert seen.reason in ("TooSlow", "Unreachable")
        closed = deaf.getsockname()[1]
    nobody = await look(f"http://127.0.0.1:{closed}/")
    assert (nobody.outcome, nobody.reason) == ("inconclusive", "Unreachable")


@pytest.fixture
async def cluster() -> AsyncGenerator[Cluster]:
    async with DevCluster() as dev:
        login = FixedLogin(Login(f"Bearer {dev.admin_token}"))
        connection = Connection(dev.url, certificate_authority=dev.certificate_authority, credentials=login)
        async with Cluster(connection, user="admin") as made:
            await made.create(kinds.NAMESPACES, {"metadata": {"name": "runs"}})
            yield made


async def test_secrets_go_to_the_host_that_is_named_and_nowhere_else(cluster: Cluster) -> None:
    secret = "Basic c3VyZWx5LXNlY3JldA=="
    data = {"login": base64.b64encode(secret.encode()).decode(), "two": base64.b64encode(b"a\nb").decode()}
    await cluster.create(kinds.SECRETS, {"metadata": {"name": "shop"}, "data": data}, "runs")
    got: list[str] = []

    async def echo(request: web.Request) -> web.Response:
        got.append(request.headers.get("Authorization", ""))
        return web.Response(text=f"you said {got[-1]}")

    async def away(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": f"{other}/"})

    def named(key: str, name: str = "shop") -> list[Any]:
        return [{"name": "Authorization", "secretKeyRef": {"name": name, "key": key}}]

    evaluators = {"http": HttpEvaluator(cluster, Fence(HERE), 1.5)}
    matter = Matter(namespace="runs")
    async with serving(web.get("/", echo)) as other, serving(web.get("/", echo), web.get("/away", away)) as url:
        seen = await ask(evaluators, read(http={"url": f"{url}/", "headers": named("login")}), matter)
        assert (seen.outcome, got) == ("passed", [secret])
        assert secret not in repr(seen)
        await ask(evaluators, read(http={"url": f"{url}/away", "headers": named("login")}), matter)
        assert got == [secret, ""]
        for headers, reason in (
            (named("two"), "BadSecret"),
            (named("none"), "NotThere"),
            (named("a", "b"), "NotThere"),
        ):
            seen = await ask(evaluators, read(http={"url": f"{url}/", "headers": headers}), matter)
            assert (seen.outcome, seen.reason) == ("inconclusive", reason)
            assert seen.mend


def test_what_no_address_can_be_is_refused_beforehand() -> None:
    for url, told in (
        ("ftp://a/", "must begin with"),
        ("http:///x", "must begin with"),
        ("http://user:secret@a/", "password in clear"),
        ("$(inputs.scheme)://a/", "must begin with"),
        ("http://a:b/", "no address"),
        ("http://a/$(params.x)", "means nothing"),
    ):
        found = faults_of(http={"url": url})
        assert told in found, (url, found)
        assert "secret" not in found.replace("Secret", "")
    host = [{"name": "Host", "secretKeyRef": {"name": "a", "key": "b"}}]
    assert "not yours" in faults_of(http={"url": "http://a/", "headers": host})
    assert "brings no body" in faults_of(http={"url": "http://a/", "method": "HEAD", "contains": "x"})
