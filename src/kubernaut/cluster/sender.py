"""The one place that sends: HTTP to one API server through one pooled session.

Rules for editors: foreign exceptions end here. A write whose outcome is not known is never sent
again, by us or by the HTTP library. aiohttp is imported when something is first sent, so that
whoever only needs names and errors does not pay for it.
"""

import random
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from kubernaut.cluster.connection import Connection, Login, tls_context
from kubernaut.cluster.errors import (
    ClusterError,
    OutcomeUnknown,
    ServerError,
    TooManyRequests,
    Unauthorized,
    Unreachable,
    error_from_answer,
    shortened,
)
from kubernaut.cluster.requests import Request

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

    from kubernaut.concurrency import Clock

_CONNECT_SECONDS = 10.0
_REPEATS = 4
# A server that asks for a longer pause gets its error passed on: a turn must not sleep.
_LONGEST_PAUSE = 10.0
_READ_PAUSE = 0.1
_MOST_CONNECTIONS = 100
# The API server closes idle connections after minutes; leaving first spares lost requests.
_IDLE_SECONDS = 60.0


class _Session(NamedTuple):
    """What is made once for a login and used for every request."""

    http: "aiohttp.ClientSession"
    login: Login
    headers: dict[str, str]


class Sender:
    """Sends requests to one connection and knows what may be sent twice."""

    def __init__(self, connection: Connection, *, user: str, clock: "Clock | None", timeout: float) -> None:
        self.connection = connection
        self.user = user
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self._given_clock = clock
        self._timeout = timeout
        self._rng = random.Random()
        self._session: _Session | None = None
        self._retired: list[_Session] = []

    @cached_property
    def _clock(self) -> "Clock":
        # Late, for it brings asyncio, which a completion can do without.
        from kubernaut.concurrency import SystemClock

        return self._given_clock or SystemClock()

    async def close(self) -> None:
        open_sessions = [*self._retired, *([self._session] if self._session else [])]
        self._session = None
        self._retired.clear()
        for session in open_sessions:
            await session.http.close()

    async def send(self, request: Request) -> bytes:
        """The answer's body; repeats what may be repeated."""
        repeats = 0
        while True:
            try:
                async with self.stream(request, total=self._timeout) as answer:
                    return await answer.read()
            except ClusterError as error:
                pause = self._pause_before_repeating(request, error, repeats)
                if pause is None:
                    raise
            repeats += 1
            await self._clock.sleep(pause)

    @asynccontextmanager
    async def stream(
        self, request: Request, *, total: float | None = None, silence: float | None = None
    ) -> AsyncGenerator["aiohttp.ClientResponse", None]:
        """A successful answer whose body is still to be read; sent once.

        Seconds: `total` for all of it, `silence` between two pieces of it.
        """
        import aiohttp

        self._count(request)
        login = await self.connection.credentials.login()
        session = self._session_for(login)
        patience = aiohttp.ClientTimeout(total=total, sock_read=silence, sock_connect=_CONNECT_SECONDS)
        try:
            async with session.http.request(
                request.method,
                self._url(request.path),
                data=request.body,
                headers=_headers(session, request),
                timeout=patience,
                allow_redirects=False,  # a redirect would carry the token to another host
                proxy=self.connection.proxy_url or None,
                server_hostname=self.connection.tls_server_name or None,
            ) as answer:
                if answer.status < 300:
                    try:
                        yield answer
                    finally:
                        _drop_unread(answer)
                    return
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as foreign:
            raise self._translated(foreign, request) from foreign
        error = error_from_answer(
            answer.status,
            body,
            asked=request.asked,
            retry_after=answer.headers.get("Retry-After"),
            changes=request.changes,
        )
        if isinstance(error, Unauthorized) and self.connection.credentials.forget():
            error.retry_after = 0.0  # nothing was done, and a fresh login may be good
        raise error

    def _count(self, request: Request) -> None:
        what = request.kind.resource if request.kind else request.path
        if request.subresource:
            what = f"{what}/{request.subresource}"
        self.counts[self.user, request.verb, what] += 1

    def _url(self, path: str) -> "URL":
        from yarl import URL

        return URL(self.connection.server + path, encoded=True)

    def _session_for(self, login: Login) -> _Session:
        import aiohttp

        from kubernaut import __version__

        session = self._session
        if session is not None:
            if session.login is login or session.login == login:
                return session
            if session.login.certificate == login.certificate:  # only the token was renewed
                self._session = _Session(session.http, login, _login_headers(session, login))
                return self._session
            # Requests under way on the old certificate may end in peace.
            self._retired.append(session)
        tls = tls_context(self.connection, login.certificate)
        named = self.connection.impersonation
        http = aiohttp.ClientSession(
            headers=named.headers if named is not None else None,
            connector=aiohttp.TCPConnector(ssl=tls, limit=_MOST_CONNECTIONS, keepalive_timeout=_IDLE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Compressed answers cost more time than they save next to the API server.
            skip_auto_headers=("Accept-Encoding",),
        )
        # aiohttp sends PUT and DELETE a second time when a pooled connection breaks: exactly what
        # a write must never suffer. It has no public switch for that; a test watches over this one.
        http._retry_connection = False  # pyright: ignore[reportPrivateUsage]
        headers = {"Accept": "application/json", "User-Agent": f"kubernaut/{__version__}"}
        if login.authorization:
            headers["Authorization"] = login.authorization
        self._session = _Session(http, login, headers)
        return self._session

    def _pause_before_repeating(self, request: Request, error: ClusterError, repeats: int) -> float | None:
        """Seconds until the request may be sent again; None if it may not."""
        if isinstance(error, Unauthorized):
            return error.retry_after if repeats == 0 else None
        if repeats >= _REPEATS:
            return None
        if isinstance(error, TooManyRequests | ServerError) and error.retry_after is not None:
            return error.retry_after if error.retry_after <= _LONGEST_PAUSE else None
        if request.changes or not isinstance(error, Unreachable | ServerError):
            return None
        if isinstance(error, Unreachable) and error.refused:
            return None  # nobody is there: whoever waits should hear it at once
        return _READ_PAUSE * 2.0**repeats * self._rng.uniform(0.8, 1.2)

    def _translated(self, foreign: Exception, request: Request) -> ClusterError:
        import aiohttp

        server, source = self.connection.server, self.connection.source
        where = f"{server} ({source})" if source else server
        said = shortened(str(foreign) or type(foreign).__name__)
        if isinstance(foreign, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
            return Unreachable(
                f"{request.asked}: the certificate of {where} is not trusted: {said}", refused=True, untrusted=True
            )
        if isinstance(
            foreign,
            aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | aiohttp.InvalidURL,
        ):
            return Unreachable(f"{request.asked}: the API server {where} cannot be reached: {said}", refused=True)
        lost = f"{request.asked}: the connection to {where} was lost: {said}"
        if request.changes:
            return OutcomeUnknown(f"{lost}; whether it was done is not known")
        return Unreachable(lost)


def _login_headers(session: _Session, login: Login) -> dict[str, str]:
    return {**session.headers, "Authorization": login.authorization}


def _drop_unread(answer: "aiohttp.ClientResponse") -> None:
    """Ends the connection of an answer that was not read to its end, such as a watch that is left."""
    # Closing would say goodbye by TLS and wait for the answer, which may take longer than the loop lives.
    if answer.connection is not None and answer.connection.transport is not None:
        answer.connection.transport.abort()


def _headers(session: _Session, request: Request) -> dict[str, str]:
    if request.body is None:
        return session.headers
    return {**session.headers, "Content-Type": request.content_type}
