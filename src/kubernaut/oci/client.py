"""A client of image registries: pull by digest, push, and say clearly what went wrong.

Source of the protocol: OCI distribution specification 1.1 (spec.md). Two rules hold everywhere: bytes are
used only after their digest is checked, and credentials go to the registry's own origin only, never along a
redirect.
"""

import ipaddress
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import aiohttp
import msgspec
from multidict import CIMultiDictProxy
from yarl import URL

from kubernaut.oci.credentials import Anonymous, Credentials
from kubernaut.oci.errors import (
    ContentInvalid,
    NotInRegistry,
    RegistryRefused,
    RegistryUnauthorised,
    RegistryUnreachable,
)
from kubernaut.oci.media import MANIFEST_TYPES, OCI_MANIFEST, Descriptor, check_digest, sha256
from kubernaut.oci.reference import Reference
from kubernaut.oci.tokens import Challenge, TokenStore, read_limited

MANIFEST_LIMIT = 4 << 20
"""Bytes of a manifest at most; the specification asks registries to accept this much."""
BLOB_LIMIT = 8 << 30
_ERROR_LIMIT = 64 << 10
_REDIRECTS = 5
_REDIRECT_STATUS = frozenset({301, 302, 303, 307, 308})

Content = bytes | Path
_Body = Callable[[], bytes | BinaryIO | None]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A manifest and what names it; its digest has been checked."""

    descriptor: Descriptor
    content: bytes


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: URL
    reference: Reference
    scope: str
    headers: Mapping[str, str]
    body: _Body


class _Error(msgspec.Struct, frozen=True):
    code: str = ""
    message: str = ""


class _Errors(msgspec.Struct, frozen=True):
    errors: tuple[_Error, ...] = ()


class _TagList(msgspec.Struct, frozen=True):
    tags: tuple[str, ...] | None = None


class RegistryClient:
    """Speaks to any number of registries; use with `async with`.

    https is used, except for loopback hosts and those in `plain_http` (`host:port` as in references).
    `timeout_seconds` is the longest silence of a registry that is waited out, not the length of a transfer.
    Every method raises RegistryUnreachable, RegistryUnauthorised, NotInRegistry, RegistryRefused (all of them
    RegistryError) and, for what came in, ContentInvalid.
    """

    def __init__(
        self,
        credentials: Credentials | None = None,
        *,
        plain_http: Collection[str] = (),
        timeout_seconds: float = 30.0,
        tls: ssl.SSLContext | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._credentials: Credentials = credentials or Anonymous()
        self._plain_http = frozenset(plain_http)
        self._timeout = aiohttp.ClientTimeout(total=None, connect=timeout_seconds, sock_read=timeout_seconds)
        self._tls = tls
        self._tokens = TokenStore(monotonic)
        self._challenges: dict[str, Challenge] = {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # Layers are gzip files, not gzip-encoded bodies: they must arrive as they were pushed.
        connector = aiohttp.TCPConnector(ssl=self._tls or True)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            auto_decompress=False,
            headers={"Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def resolve(self, reference: Reference) -> Descriptor:
        """What the reference names now, asked with HEAD: no content is moved.

        The digest is the registry's word; what is fetched by it later is checked.
        """
        request = self._pull("HEAD", reference, f"manifests/{reference.target}", _ACCEPT_MANIFEST)
        async with self._answered(request) as response:
            digest = response.headers.get("Docker-Content-Digest", reference.digest or "")
            size = response.content_length
            media_type = response.headers.get("Content-Type", "")
        if not digest or size is None:
            return (await self.fetch_manifest(reference)).descriptor
        return Descriptor(media_type=media_type.partition(";")[0], digest=digest, size=size)

    async def fetch_manifest(self, reference: Reference) -> Fetched:
        """A manifest or index, by digest when the reference is pinned, else by tag."""
        request = self._pull("GET", reference, f"manifests/{reference.target}", _ACCEPT_MANIFEST)
        async with self._answered(request) as response:
            content = await read_limited(response, MANIFEST_LIMIT)
            media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
            told = response.headers.get("Docker-Content-Digest")
        if (expected := reference.digest or told) is not None:
            check_digest(content, expected)
        digest = reference.digest or sha256(content)
        return Fetched(Descriptor(media_type=media_type, digest=digest, size=len(content)), content)

    async def fetch_blob(self, reference: Reference, blob: Descriptor, limit: int = MANIFEST_LIMIT) -> bytes:
        """A small blob, as a configuration; refused before transfer when described as larger than `limit`."""
        if blob.size > limit:
            raise ContentInvalid(f"{blob.digest} has {blob.size} bytes; at most {limit} are read here")
        async with self._answered(self._pull("GET", reference, f"blobs/{blob.digest}")) as response:
            content = await read_limited(response, blob.size)
        check_digest(content, blob.digest)
        return content

    async def stream_blob(self, reference: Reference, blob: Descriptor) -> AsyncGenerator[bytes]:
        """A blob in parts. NOT checked: the caller hashes what it keeps (`ImageLayout.receive` does)."""
        async with self._answered(self._pull("GET", reference, f"blobs/{blob.digest}")) as response:
            async for part in response.content.iter_chunked(1 << 18):
                yield part

    async def has_blob(self, reference: Reference, digest: str) -> bool:
        """Is the blob in this repository?"""
        try:
            async with self._answered(self._pull("HEAD", reference, f"blobs/{digest}")):
                return True
        except NotInRegistry:
            return False

    async def push_blob(
        self,
        reference: Reference,
        blob: Descriptor,
        content: Content,
        *,
        mount_from: str | None = None,
        chunk_bytes: int | None = None,
    ) -> bool:
        """Bring a blob into the repository; True when bytes were moved, False when it was there already.

        `mount_from` names another repository of the registry to take it from when possible. `chunk_bytes`
        sends it in pieces of that many bytes, for registries behind proxies that limit the size of a request.
        """
        if await self.has_blob(reference, blob.digest):
            return False
        query = {"mount": blob.digest, "from": mount_from} if mount_from else {}
        extra = f" repository:{mount_from}:pull" if mount_from else ""
        start = self._push("POST", reference, self._url(reference, "blobs/uploads/").with_query(query), extra)
        async with self._answered(start) as response:
            if response.status == 201:
                return False
            location = _location(response)
        if chunk_bytes:
            location = await self._push_chunks(reference, location, content, blob.size, chunk_bytes)
            content = b""
        done = URL(f"{location}{'&' if location.query_string else '?'}digest={blob.digest}", encoded=True)
        async with self._answered(self._push("PUT", reference, done, body=_body(content))):
            return True

    async def push_manifest(
        self, reference: Reference, content: bytes, media_type: str = OCI_MANIFEST
    ) -> Descriptor:
        """Store a manifest under the reference's tag, or under its digest when it has no tag."""
        digest = sha256(content)
        if reference.digest is not None and reference.digest != digest:
            raise ContentInvalid(f"manifest has digest {digest}, not {reference.digest}")
        url = self._url(reference, f"manifests/{reference.tag or digest}")
        request = self._push("PUT", reference, url, body=_body(content), headers={"Content-Type": media_type})
        async with self._answered(request) as response:
            told = response.headers.get("Docker-Content-Digest", digest)
        if told != digest:
            raise ContentInvalid(f"the registry stored the manifest as {told}, sent was {digest}")
        return Descriptor(media_type=media_type, digest=digest, size=len(content))

    async def list_tags(self, reference: Reference) -> list[str]:
        """All tags of the repository, page by page."""
        tags: list[str] = []
        url = self._url(reference, "tags/list").with_query(n="1000")
        while True:
            request = _Request("GET", url, reference, _scope(reference, "pull"), {}, _no_body)
            async with self._answered(request) as response:
                body = await read_limited(response, MANIFEST_LIMIT)
                following = response.links.get("next")
            try:
                tags += msgspec.json.decode(body, type=_TagList).tags or ()
            except msgspec.DecodeError as error:
                raise ContentInvalid(f"{reference.registry} gave no list of tags: {error}") from error
            if following is None or (link := following.get("url")) is None or URL(link) == url:
                return tags
            url = url.join(URL(str(link)))

    def _url(self, reference: Reference, path: str) -> URL:
        host = reference.api_host
        plain = host in self._plain_http or reference.registry in self._plain_http or _is_loopback(host)
        return URL(f"{'http' if plain else 'https'}://{host}/v2/{reference.repository}/{path}")

    def _pull(
        self, method: str, reference: Reference, path: str, headers: Mapping[str, str] | None = None
    ) -> _Request:
        url = self._url(reference, path)
        return _Request(method, url, reference, _scope(reference, "pull"), headers or {}, _no_body)

    def _push(
        self,
        method: str,
        reference: Reference,
        url: URL,
        extra_scope: str = "",
        *,
        body: _Body | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> _Request:
        scope = _scope(reference, "pull,push") + extra_scope
        return _Request(method, url, reference, scope, headers or {}, body or _no_body)

    async def _push_chunks(
        self, reference: Reference, location: URL, content: Content, size: int, chunk_bytes: int
    ) -> URL:
        for start in range(0, size, chunk_bytes):
            end = min(start + chunk_bytes, size)
            headers = {"Content-Range": f"{start}-{end - 1}", "Content-Type": "application/octet-stream"}
            body = _body(_slice(content, start, end))
            request = self._push("PATCH", reference, location, body=body, headers=headers)
            async with self._answered(request) as response:
                location = _location(response)
        return location

    @asynccontextmanager
    async def _answered(self, request: _Request) -> AsyncGenerator[aiohttp.ClientResponse]:
        """The answer, if it is a success; every other end is one of our errors."""
        try:
            response = await self._send_authorised(request)
            try:
                await _raise_for_status(response, request.reference)
                yield response
            finally:
                response.release()
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            what = str(error) or type(error).__name__
            raise RegistryUnreachable(f"registry {request.reference.registry}: {what}") from error

    async def _send_authorised(self, request: _Request) -> aiohttp.ClientResponse:
        home = self._url(request.reference, "").origin()
        response = await self._send(request, home, await self._authorization(request, home))
        if response.status != 401:
            return response
        challenge = Challenge.parse(response.headers.getall("WWW-Authenticate", []))
        response.release()
        if challenge is None:
            raise RegistryUnauthorised(f"registry {home.host} answers 401 and names no way to log in")
        self._challenges[str(home)] = challenge
        self._tokens.forget(str(home), request.scope)
        authorization = await self._authorization(request, home)
        if authorization is None:
            raise RegistryUnauthorised(f"registry {request.reference.registry} wants a login; none is known")
        return await self._send(request, home, authorization)

    async def _authorization(self, request: _Request, home: URL) -> str | None:
        challenge = self._challenges.get(str(home))
        if challenge is None:
            return None
        credential = await self._credentials.find(request.reference.registry)
        if challenge.scheme == "basic":
            return credential.to_basic() if credential is not None else None
        token = self._tokens.find(str(home), request.scope)
        if token is None:
            session = self._open_session()
            token = await self._tokens.fetch(session, str(home), request.scope, challenge, credential)
        return f"Bearer {token}"

    async def _send(self, request: _Request, home: URL, authorization: str | None) -> aiohttp.ClientResponse:
        """Send, following redirects of reads by hand: credentials stay at home, https stays https."""
        url = request.url
        for _ in range(_REDIRECTS):
            headers = dict(request.headers)
            if authorization is not None and url.origin() == home:
                headers["Authorization"] = authorization
            body = request.body()
            try:
                response = await self._open_session().request(
                    request.method, url, headers=headers, data=body, allow_redirects=False
                )
            finally:
                if body is not None and not isinstance(body, bytes):
                    body.close()
            if response.status not in _REDIRECT_STATUS or request.method not in {"GET", "HEAD"}:
                return response
            target = _location(response)
            response.release()
            if url.scheme == "https" and target.scheme != "https":
                raise RegistryRefused(f"{url.host} redirects to {target.scheme}: refused", response.status)
            url = target
        raise RegistryRefused(f"{home.host} redirects more than {_REDIRECTS} times", 310)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("use RegistryClient with `async with`")
        return self._session


_ACCEPT_MANIFEST = {"Accept": ", ".join(MANIFEST_TYPES)}


def _scope(reference: Reference, verbs: str) -> str:
    return f"repository:{reference.repository}:{verbs}"


def _no_body() -> None:
    return None


def _body(content: Content) -> _Body:
    # Opened at each sending: an upload refused with 401 is sent again from its start.
    return (lambda: content.open("rb")) if isinstance(content, Path) else (lambda: content)


def _slice(content: Content, start: int, end: int) -> bytes:
    if isinstance(content, bytes):
        return content[start:end]
    with content.open("rb") as file:
        file.seek(start)
        return file.read(end - start)


def _is_loopback(host: str) -> bool:
    name = URL(f"http://{host}").host or ""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _location(response: aiohttp.ClientResponse) -> URL:
    location = response.headers.get("Location")
    if not location:
        raise RegistryRefused(f"{response.url.host} gave no Location", response.status)
    # Upload states are opaque: their encoding is kept as it came.
    return response.url.join(URL(location, encoded=True))


def _retry_after(headers: CIMultiDictProxy[str]) -> float | None:
    try:
        return float(headers.get("Retry-After", ""))
    except ValueError:
        return None


async def _raise_for_status(response: aiohttp.ClientResponse, reference: Reference) -> None:
    if response.status < 300:
        return
    body = await response.content.read(_ERROR_LIMIT)
    try:
        errors = msgspec.json.decode(body, type=_Errors).errors
    except msgspec.DecodeError:
        errors = ()
    told = "; ".join(f"{e.code} {e.message}".strip()[:300] for e in errors[:3])
    detail = f" ({told})" if told else ""
    if response.status == 404:
        raise NotInRegistry(f"{reference}: not in registry {reference.registry}{detail}")
    if response.status in {401, 403}:
        raise RegistryUnauthorised(
            f"{reference}: registry {reference.registry} refuses access, HTTP {response.status}{detail}"
        )
    raise RegistryRefused(
        f"{reference}: registry {reference.registry} answers HTTP {response.status}{detail}",
        response.status,
        _retry_after(response.headers),
    )
