"""Bearer tokens of registries: reading the challenge, getting a token, keeping it while it lasts.

Source: distribution.github.io/distribution/spec/auth/token and .../oauth.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
import msgspec
from yarl import URL

from kubernaut.oci.credentials import Credential
from kubernaut.oci.errors import ContentInvalid, RegistryUnauthorised, RegistryUnreachable

# The specification: a token without `expires_in` lasts 60 s.
_DEFAULT_SECONDS = 60.0
_EARLY_SECONDS = 10.0
_ANSWER_LIMIT = 1 << 20
_PARAMETER = re.compile(r'([a-zA-Z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a `WWW-Authenticate` header asks for."""

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""

    @classmethod
    def parse(cls, headers: list[str]) -> "Challenge | None":
        """The challenge we can answer, Bearer before Basic; None when there is none."""
        found: dict[str, Challenge] = {}
        for header in headers:
            scheme, _, rest = header.strip().partition(" ")
            values = {m[1].lower(): m[2] if m[2] is not None else m[3] for m in _PARAMETER.finditer(rest)}
            found[scheme.lower()] = cls(
                scheme.lower(), values.get("realm", ""), values.get("service", ""), values.get("scope", "")
            )
        return found.get("bearer") or found.get("basic")


class _TokenAnswer(msgspec.Struct, frozen=True):
    token: str = ""
    access_token: str = ""
    expires_in: float | None = None


async def read_limited(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The whole body. Raises ContentInvalid when it has more than `limit` bytes."""
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > limit:
            raise ContentInvalid(f"{response.url.host} sends more than the {limit} bytes expected")
    return bytes(body)


class TokenStore:
    """Tokens by registry and scope, each until shortly before it expires."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._tokens: dict[tuple[str, str], tuple[str, float]] = {}

    def find(self, origin: str, scope: str) -> str | None:
        """The token, unless it is about to expire."""
        token, expires = self._tokens.get((origin, scope), ("", 0.0))
        return token if token and self._monotonic() < expires else None

    def forget(self, origin: str, scope: str) -> None:
        """The registry did not take it."""
        self._tokens.pop((origin, scope), None)

    async def fetch(
        self,
        session: aiohttp.ClientSession,
        origin: str,
        scope: str,
        challenge: Challenge,
        credential: Credential | None,
    ) -> str:
        """Get a token from the challenge's realm and keep it.

        Raises RegistryUnauthorised when refused, RegistryUnreachable without an answer.
        """
        realm = URL(challenge.realm)
        if realm.scheme != "https" and URL(origin).scheme == "https":
            raise RegistryUnauthorised(
                f"{origin} sends us for a token to {challenge.realm!r}, which is not https: refused"
            )
        answer = await _ask(session, realm, scope or challenge.scope, challenge.service, credential)
        token = answer.token or answer.access_token
        if not token:
            raise RegistryUnauthorised(f"the token server {realm.host} answered without a token")
        seconds = answer.expires_in if answer.expires_in is not None else _DEFAULT_SECONDS
        lasting = max(0.0, seconds - min(_EARLY_SECONDS, seconds / 2))
        self._tokens[(origin, scope)] = (token, self._monotonic() + lasting)
        return token


async def _ask(
    session: aiohttp.ClientSession, realm: URL, scope: str, service: str, credential: Credential | None
) -> _TokenAnswer:
    headers: dict[str, str] = {}
    try:
        if credential is not None and credential.identity_token:
            form = {
                "scope": scope,
                "service": service,
                "grant_type": "refresh_token",
                "refresh_token": credential.identity_token,
                "client_id": "kubernaut",
            }
            request = session.post(realm, data=form, allow_redirects=False)
        else:
            if credential is not None:
                headers["Authorization"] = credential.to_basic()
            # Several scopes are several `scope` parameters in a GET, one spaced text in a POST.
            query = [*realm.query.items(), *(("scope", part) for part in scope.split())]
            if service:
                query.append(("service", service))
            request = session.get(realm.with_query(query), headers=headers, allow_redirects=False)
        async with request as response:
            body = await read_limited(response, _ANSWER_LIMIT)
            if response.status != 200:
                who = "these credentials" if credential else "anonymous access"
                raise RegistryUnauthorised(
                    f"the token server {realm.host} refused {who} for {scope!r} (HTTP {response.status})"
                )
            return msgspec.json.decode(body, type=_TokenAnswer)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise RegistryUnreachable(f"token server {realm.host}: {str(error) or type(error).__name__}") from error
    except msgspec.DecodeError as error:
        raise RegistryUnauthorised(f"the token server {realm.host} gave no JSON token") from error
