"""Reading without the HTTP library and without an event loop, for programs that ask once and are gone.

Importing those two takes longer than everything else that a completion does. What this cannot do (proxies,
another TLS name, logins that have to be fetched) is asked for the usual way: `is_simple` tells.
"""

import http.client
from collections.abc import Coroutine
from time import monotonic
from typing import Any, TypeVar
from urllib.parse import urlsplit

from kubernaut.cluster.connection import Connection, FixedLogin, Login, tls_context
from kubernaut.cluster.errors import Unreachable, error_from_answer, shortened
from kubernaut.cluster.requests import Request
from kubernaut.cluster.sender import Sender

T = TypeVar("T")

_PIECE = 65536


def is_simple(connection: Connection) -> bool:
    """Whether `QuickSender` can speak to it."""
    return isinstance(connection.credentials, FixedLogin) and not (
        connection.proxy_url or connection.tls_server_name
    )


def without_loop(work: Coroutine[Any, Any, T]) -> T:
    """What becomes of work that never waits for an event loop, such as reads by a `QuickSender`."""
    try:
        work.send(None)
    except StopIteration as ended:
        value: T = ended.value
        return value
    work.close()
    raise RuntimeError("this work needs an event loop")


class QuickSender(Sender):
    """Sends each read once, on a connection of its own; a longer one than `timeout` seconds is Unreachable.

    It blocks: nothing else of the program goes on meanwhile. For simple connections (`is_simple`).
    """

    async def send(self, request: Request) -> bytes:
        assert not request.changes, "a write whose answer is lost needs more care"
        self._count(request)
        login = await self.connection.credentials.login()
        try:
            status, body = _exchanged(self.connection, login, request, _Left(self._timeout))
        except (OSError, http.client.HTTPException) as foreign:
            said = shortened(str(foreign) or type(foreign).__name__)
            raise Unreachable(f"{request.asked}: {self.connection.server} did not answer: {said}") from foreign
        if status >= 300:
            raise error_from_answer(status, body, asked=request.asked)
        return body


class _Left:
    """Seconds until one's patience ends."""

    def __init__(self, patience: float) -> None:
        self._until = monotonic() + patience

    def seconds(self) -> float:
        """Above 0. Raises TimeoutError."""
        seconds = self._until - monotonic()
        if seconds <= 0:
            raise TimeoutError("it took too long")
        return seconds


def _exchanged(connection: Connection, login: Login, request: Request, left: _Left) -> tuple[int, bytes]:
    """Status and body. Raises OSError and HTTPException, TimeoutError among them."""
    place = urlsplit(connection.server)
    if not place.hostname:
        raise OSError("its address has no host")
    line: http.client.HTTPConnection
    if place.scheme == "https":
        tls = tls_context(connection, login.certificate)
        line = http.client.HTTPSConnection(place.hostname, place.port, timeout=left.seconds(), context=tls)
    else:
        line = http.client.HTTPConnection(place.hostname, place.port, timeout=left.seconds())
    headers = {"Accept": "application/json", "Connection": "close"}
    if login.authorization:
        headers["Authorization"] = login.authorization
    try:
        line.request(request.method, place.path + request.path, headers=headers)
        answer = line.getresponse()
        pieces: list[bytes] = []
        while piece := answer.read1(_PIECE):
            pieces.append(piece)
            left.seconds()  # the socket's own limit is for each piece alone
        return answer.status, b"".join(pieces)
    finally:
        line.close()
