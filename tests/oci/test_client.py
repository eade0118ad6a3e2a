"""The client against a small registry with tokens: what a real one does only when it goes wrong."""

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from kubernaut.oci import (
    ContentInvalid,
    Credential,
    Descriptor,
    NotInRegistry,
    Reference,
    RegistryClient,
    RegistryRefused,
    RegistryUnauthorised,
    RegistryUnreachable,
    StaticCredentials,
    sha256,
)

BLOB = b"layer bytes"
DESCRIBED = Descriptor(media_type="text/plain", digest=sha256(BLOB), size=len(BLOB))


@dataclass
class TokenRegistry:
    """Bearer tokens that last `lifetime` seconds of `clock`, one scope each; blobs lie on another host."""

    lifetime: float = 300.0
    clock: float = 0.0
    issued: dict[str, tuple[str, float]] = field(default_factory=dict[str, tuple[str, float]])
    tokens_asked: int = 0
    refusals: int = 0
    seen_elsewhere: list[str | None] = field(default_factory=list[str | None])
    blob: bytes = BLOB
    redirect_to: str = ""
    origin: str = ""

    def monotonic(self) -> float:
        return self.clock

    async def token(self, request: web.Request) -> web.Response:
        self.tokens_asked += 1
        if request.headers.get("Authorization") != Credential("user", "pa:ss").to_basic():
            return web.json_response({"errors": [{"code": "UNAUTHORIZED"}]}, status=401)
        name = f"t{self.tokens_asked}"
        self.issued[name] = (" ".join(request.query.getall("scope")), self.clock + self.lifetime)
        return web.json_response({"token": name, "expires_in": self.lifetime})

    def refused(self, request: web.Request) -> web.Response | None:
        name = request.headers.get("Authorization", "").removeprefix("Bearer ")
        scope, expires = self.issued.get(name, ("", 0.0))
        repository = request.match_info["repository"]
        if f"repository:{repository}:" in scope and self.clock < expires:
            return None
        self.refusals += 1
        challenge = f'Bearer realm="{self.origin}/token",service="test",scope="repository:{repository}:pull"'
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    async def get_blob(self, request: web.Request) -> web.StreamResponse:
        if (refusal := self.refused(request)) is not None:
            return refusal
        if self.redirect_to:
            return web.Response(status=307, headers={"Location": self.redirect_to})
        return web.Response(body=self.blob)

    async def elsewhere(self, request: web.Request) -> web.Response:
        self.seen_elsewhere.append(request.headers.get("Authorization"))
        return web.Response(body=self.blob)


@pytest.fixture
async def registry() -> AsyncGenerator[TokenRegistry]:
    state = TokenRegistry()
    app = web.Application()
    app.router.add_get("/token", state.token)
    app.router.add_get("/elsewhere", state.elsewhere)
    app.router.add_get("/v2/{repository:[a-z/]+}/blobs/{digest}", state.get_blob)
    async with TestServer(app, host="127.0.0.1") as server:
        state.origin = str(server.make_url("")).rstrip("/")
        yield state


def connect(registry: TokenRegistry, password: str = "pa:ss") -> tuple[RegistryClient, Reference]:
    host = registry.origin.removeprefix("http://")
    known = StaticCredentials({host: Credential("user", password)})
    return RegistryClient(known, monotonic=registry.monotonic), Reference(host, "a/b")


async def test_one_token_serves_many_requests_and_each_repository_has_its_own(registry: TokenRegistry) -> None:
    client, reference = connect(registry)
    async with client:
        for _ in range(3):
            assert await client.fetch_blob(reference, DESCRIBED) == BLOB
        assert registry.tokens_asked == 1
        await client.fetch_blob(Reference(reference.registry, "c/d"), DESCRIBED)
        assert registry.tokens_asked == 2
        await client.fetch_blob(reference, DESCRIBED)
        assert registry.tokens_asked == 2


async def test_an_expired_token_is_replaced_before_and_after_the_registry_says_so(
    registry: TokenRegistry,
) -> None:
    client, reference = connect(registry)
    async with client:
        await client.fetch_blob(reference, DESCRIBED)
        registry.clock += registry.lifetime
        await client.fetch_blob(reference, DESCRIBED)
        assert (registry.tokens_asked, registry.refusals) == (2, 1)
        registry.issued.clear()  # revoked: only the registry knows
        await client.fetch_blob(reference, DESCRIBED)
        assert registry.tokens_asked == 3


async def test_credentials_never_follow_a_redirect_to_another_host(registry: TokenRegistry) -> None:
    registry.redirect_to = registry.origin.replace("127.0.0.1", "localhost") + "/elsewhere"
    client, reference = connect(registry)
    async with client:
        assert await client.fetch_blob(reference, DESCRIBED) == BLOB
    assert registry.seen_elsewhere == [None]


async def test_wrong_credentials_are_told_as_such_and_not_tried_again(registry: TokenRegistry) -> None:
    client, reference = connect(registry, password="wrong")
    async with client:
        with pytest.raises(RegistryUnauthorised, match="refused these credentials"):
            await client.fetch_blob(reference, DESCRIBED)
    assert registry.tokens_asked == 1


@pytest.mark.parametrize("bad", [b"other bytes", b"layer bytes and more", b""])
async def test_bytes_other_than_the_digest_are_never_handed_out(registry: TokenRegistry, bad: bytes) -> None:
    registry.blob = bad
    client, reference = connect(registry)
    async with client:
        with pytest.raises(ContentInvalid):
            await client.fetch_blob(reference, DESCRIBED)


async def test_a_blob_over_the_limit_is_refused_before_it_is_moved(registry: TokenRegistry) -> None:
    client, reference = connect(registry)
    async with client:
        with pytest.raises(ContentInvalid, match="at most 5"):
            await client.fetch_blob(reference, DESCRIBED, limit=5)
    assert registry.tokens_asked == 0


async def test_a_registry_that_is_not_there_is_told_as_unreachable(unused_tcp_port: int) -> None:
    async with RegistryClient() as client:
        with pytest.raises(RegistryUnreachable, match="localhost"):
            await client.resolve(Reference(f"localhost:{unused_tcp_port}", "a/b"))


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, NotInRegistry), (403, RegistryUnauthorised), (401, RegistryUnauthorised), (429, RegistryRefused)],
)
async def test_refusals_name_the_image_and_the_registrys_own_words(status: int, error: type[Exception]) -> None:
    async def answer(_: web.Request) -> web.Response:
        body = {"errors": [{"code": "SAD", "message": "because"}]}
        return web.Response(status=status, text=json.dumps(body), headers={"Retry-After": "7"})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app, host="127.0.0.1") as server, RegistryClient() as client:
        with pytest.raises(error, match="a/b" if status != 401 else "no way to log in") as caught:
            await client.fetch_manifest(Reference(f"127.0.0.1:{server.port}", "a/b", "v1"))
    if isinstance(caught.value, RegistryRefused):
        assert (caught.value.status, caught.value.retry_after) == (429, 7.0)
        assert "SAD because" in str(caught.value)
