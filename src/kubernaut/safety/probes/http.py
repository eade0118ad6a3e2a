"""HTTP requests with bounds: on addresses, redirects, size and time."""

import base64
import ssl
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import aiohttp
import msgspec
from yarl import URL

from kubernaut.api.placeholders import fill_url
from kubernaut.api.probes import HttpProbe, Probe
from kubernaut.cluster import Cluster, ClusterError, NotFound, kinds
from kubernaut.safety.probes.addresses import Fence, FencedResolver, RefusedAddress
from kubernaut.safety.probes.asking import CannotAsk, Finding, Matter, finding_of
from kubernaut.safety.probes.evidence import hash_of
from kubernaut.safety.probes.expressions import ask
from kubernaut.telemetry.redaction import Redactor

MOST_BYTES = 65_536
MOST_REDIRECTS = 3
_REDIRECTS = (301, 302, 303, 307, 308)
_SHOWN = 200


class _Answered(NamedTuple):
    url: str
    status: int
    body: bytes
    is_whole: bool


@dataclass(frozen=True)
class _Asked:
    """One probe's request, made ready."""

    method: str
    headers: dict[str, str]
    trusted: ssl.SSLContext | bool


class HttpEvaluator:
    """Asks `http` probes."""

    def __init__(self, cluster: Cluster | None, fence: Fence, seconds: float = 10.0) -> None:
        self._cluster = cluster
        self._fence = fence
        self._seconds = seconds

    async def look(self, probe: Probe, matter: Matter, redactor: Redactor) -> Finding:
        """Raises NotFillable, CannotAsk."""
        http = probe.http
        assert http is not None
        url = fill_url(http.url, matter.values)
        variables = matter.variables(http.expression)
        asked = _Asked(http.method, await self._headers(http, matter, redactor), await self._trusted(http, matter))
        try:
            answered = await self._follow(url, asked)
        except RefusedAddress as error:
            raise _refused(error) from error
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, RefusedAddress):
                raise _refused(error.os_error) from error
            return _unreachable(url, error)
        except aiohttp.InvalidURL as error:
            raise CannotAsk("BadAddress", f"{url}: {error.description or 'no address'}") from error
        except (aiohttp.ClientError, OSError) as error:
            return _unreachable(url, error)
        return _judged(http, answered, variables)

    async def _follow(self, url: str, asked: _Asked) -> _Answered:
        limit = aiohttp.ClientTimeout(total=self._seconds)
        connector = aiohttp.TCPConnector(
            resolver=FencedResolver(self._fence), use_dns_cache=False, ssl=asked.trusted
        )
        async with aiohttp.ClientSession(
            connector=connector, timeout=limit, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            headers = asked.headers
            for _ in range(MOST_REDIRECTS + 1):
                self._fence.refuse_literal(urlsplit(url).hostname or "")
                # As it is written: what stands for `/` or `&` in a value stays that.
                address = URL(url, encoded=True)
                async with session.request(
                    asked.method, address, headers=headers, allow_redirects=False
                ) as answer:
                    location = answer.headers.get("Location", "")
                    if answer.status not in _REDIRECTS or not location:
                        body, is_whole = await _body(answer)
                        return _Answered(url, answer.status, body, is_whole)
                following = next_address(url, location)
                if _origin(following) != _origin(url):
                    headers = {}  # secrets are for the host that the probe names
                url = following
        raise CannotAsk("TooManyRedirects", f"more than {MOST_REDIRECTS} redirects", "Ask where they lead to.")

    async def _headers(self, http: HttpProbe, matter: Matter, redactor: Redactor) -> dict[str, str]:
        headers = {"User-Agent": "kubernaut-probe"}
        for header in http.headers:
            reference = header.secret_key_ref
            encoded = await self._key("Secret", reference.name, reference.key, matter)
            value = base64.b64decode(encoded).decode(errors="replace").strip()
            redactor.add(value)
            if "\n" in value or "\r" in value or not value.isprintable():
                told = f"key {reference.key} of Secret {reference.name} cannot stand in a header"
                raise CannotAsk("BadSecret", told, "It must be one line of text.")
            headers[header.name] = value
        return headers

    async def _trusted(self, http: HttpProbe, matter: Matter) -> ssl.SSLContext | bool:
        if http.ca is None:
            return True  # this machine's authorities, which take long to load, are loaded once
        text = await self._key("ConfigMap", http.ca.name, http.ca.key, matter)
        try:
            return ssl.create_default_context(cadata=text)
        except (ssl.SSLError, ValueError) as error:
            told = f"key {http.ca.key} of ConfigMap {http.ca.name} holds no certificates: {error}"
            raise CannotAsk("BadCertificates", told, "Put PEM certificates there.") from error

    async def _key(self, kind: str, name: str, key: str, matter: Matter) -> str:
        if self._cluster is None:
            raise CannotAsk("NoCluster", f"{kind} {name} cannot be read without a cluster")
        place = matter.namespace
        try:
            found = await self._cluster.get(kinds.SECRETS if kind == "Secret" else kinds.CONFIG_MAPS, name, place)
        except NotFound as error:
            raise CannotAsk("NotThere", f"there is no {kind} {place}/{name}", "Make it there.") from error
        except ClusterError as error:
            raise CannotAsk("ClusterError", f"{kind} {place}/{name}: {error.message}") from error
        data: dict[str, str] = found.get("data") or {}
        if key not in data:
            raise CannotAsk("NotThere", f"{kind} {place}/{name} has no key {key}", "Look at its keys.")
        return data[key]


async def _body(answer: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    body = bytearray()
    async for chunk in answer.content.iter_chunked(16_384):
        body += chunk
        if len(body) > MOST_BYTES:
            return bytes(body[:MOST_BYTES]), False
    return bytes(body), True


def next_address(url: str, location: str) -> str:
    """Where a redirect leads. Raises CannotAsk where that is not followed: to another protocol, or in clear."""
    following = urljoin(url, location)
    old, new = urlsplit(url).scheme, urlsplit(following).scheme
    if new not in ("http", "https") or (old, new) == ("https", "http"):
        raise CannotAsk("BadRedirect", f"it leads from {old} to {new or 'nowhere'}, which is not followed")
    return following


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _judged(http: HttpProbe, answered: _Answered, variables: dict[str, Any]) -> Finding:
    body = answered.body.decode(errors="replace")
    evidence = {"url": answered.url, "status": answered.status, "body": body[:_SHOWN]}
    whole = hash_of({"url": answered.url, "status": answered.status, "body": body})
    wanted = http.status or range(200, 300)
    if answered.status not in wanted:
        expected = ", ".join(map(str, http.status)) or "200 to 299"
        told = f"it answers {answered.status}, not {expected}"
        return Finding("failed", "WrongStatus", told, "", evidence, whole)
    is_cut = f"its first {MOST_BYTES} bytes do not tell, and no more are read"
    if http.contains and http.contains not in body:
        if not answered.is_whole:
            return Finding("inconclusive", "TooLarge", is_cut, "Ask for something smaller.", evidence, whole)
        return Finding("failed", "WrongBody", f"its body does not hold {http.contains!r}", "", evidence, whole)
    if not http.expression:
        return Finding("passed", "Answers", "", "", evidence, whole)
    if not answered.is_whole:
        return Finding("inconclusive", "TooLarge", is_cut, "Ask for something smaller.", evidence, whole)
    variables |= {"status": answered.status, "body": body, "json": _json(answered.body)}
    said = ask(http.expression, "http", variables)
    return finding_of(said.holds, said.error, "what it answers is not as wanted", evidence, whole)


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None


def _refused(error: RefusedAddress) -> CannotAsk:
    mend = "If it is meant: let the settings allow it, --set probes.allowedAddresses=ADDRESS/32"
    return CannotAsk("RefusedAddress", str(error), mend)


def _unreachable(url: str, error: Exception) -> Finding:
    """That nobody answers is an answer only where it was asked from the right place: nobody knows that here."""
    mend = "Does it listen there, and may it be reached from here?"
    return Finding("inconclusive", "Unreachable", f"{url} cannot be asked: {error}", mend, {"url": url})
