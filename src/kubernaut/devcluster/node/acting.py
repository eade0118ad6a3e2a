"""What probes and lifecycle hooks do to a running container: a command in it, a request, a connection.

Pods have no network of their own here: their programs listen on this machine, so requests go to 127.0.0.1
unless the probe names a host. Source of the words: k8s.io/kubernetes pkg/probe (http, tcp, exec).
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from kubernaut.concurrency import Clock, within
from kubernaut.devcluster.node.probing import port_of
from kubernaut.devcluster.node.runtime import Running
from kubernaut.devcluster.objects import Object
from kubernaut.devcluster.workloads.reading import part, parts

OUTPUT_LIMIT = 10 * 2**10
_HOST = "127.0.0.1"
_REDIRECTS = 10


class ActionBroken(Exception):
    """It could not be tried; kubelets count neither for nor against the container."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of it; `said` is for people."""

    result: Literal["success", "warning", "failure"]
    said: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """A container that something is done to."""

    container: Object
    running: Running
    clock: Clock


async def act(action: Object, target: Target, limit: float | None, agent: str) -> Answer:
    """Do it: `action` holds exec, httpGet, tcpSocket or sleep; `limit` in seconds, None waits for ever.

    Raises ActionBroken.
    """
    if (wanted := action.get("exec")) is not None:
        return await _execute(tuple(map(str, wanted.get("command") or ())), target, limit)
    if (wanted := action.get("sleep")) is not None:
        await target.clock.sleep(float(wanted.get("seconds") or 0))
        return Answer("success")
    try:
        port = port_of(target.container, (part(action, "httpGet") or part(action, "tcpSocket"))["port"])
    except (ValueError, KeyError) as error:
        raise ActionBroken(str(error)) from error
    if (wanted := action.get("httpGet")) is not None:
        return await _get(wanted, port, limit, agent)
    return await _connect(str(action["tcpSocket"].get("host") or _HOST), port, limit)


async def _execute(argv: tuple[str, ...], target: Target, limit: float | None) -> Answer:
    executing = target.running.execute(argv)
    try:
        code, output = await (executing if limit is None else within(target.clock, limit, executing))
    except TimeoutError:
        return Answer("failure", f'command timed out: "{" ".join(argv)}" timed out after {limit:g}s')
    except OSError as error:
        raise ActionBroken(f"failed to exec in container: {error}") from error
    said = output[:OUTPUT_LIMIT].decode(errors="replace")
    return Answer("success" if code == 0 else "failure", said)


async def _connect(host: str, port: int, limit: float | None) -> Answer:
    try:
        async with asyncio.timeout(limit):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return Answer("failure", f"dial tcp {host}:{port}: i/o timeout")
    except OSError as error:
        return Answer("failure", f"dial tcp {host}:{port}: {_words(error)}")
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return Answer("success")


async def _get(wanted: Object, port: int, limit: float | None, agent: str) -> Answer:
    scheme = str(wanted.get("scheme") or "HTTP").lower()
    host = str(wanted.get("host") or _HOST)
    path = str(wanted.get("path") or "/")
    # As written: a probe's path may hold a query, and what is encoded in it stays so.
    url = URL(f"{scheme}://{host}:{port}{path if path.startswith('/') else f'/{path}'}", encoded=True)
    headers = CIMultiDict({"User-Agent": agent, "Accept": "*/*", "Connection": "close"})
    for header in parts(wanted, "httpHeaders"):
        headers[str(header["name"])] = str(header.get("value") or "")
    try:
        async with asyncio.timeout(limit):
            return await _follow(url, headers)
    except TimeoutError:
        return Answer("failure", f'Get "{url}": context deadline exceeded')
    except (aiohttp.ClientError, OSError) as error:
        return Answer("failure", f'Get "{url}": {_words(error)}')


async def _follow(url: URL, headers: Mapping[str, str]) -> Answer:
    # Whose certificate it is does not matter to a kubelet.
    connector = aiohttp.TCPConnector(ssl=False, force_close=True)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        home = url.host
        for _ in range(_REDIRECTS):
            async with session.get(url, headers=headers, allow_redirects=False) as response:
                location = response.headers.get("Location")
                if response.status not in {301, 302, 303, 307, 308} or location is None:
                    return await _judged(response)
                following = url.join(URL(location))
                if following.host != home:
                    return await _judged(response)
                url = following
    return Answer("failure", f'Get "{urlsplit(str(url)).path}": stopped after {_REDIRECTS} redirects')


async def _judged(response: aiohttp.ClientResponse) -> Answer:
    body = (await response.content.read(OUTPUT_LIMIT)).decode(errors="replace")
    if 200 <= response.status < 300:
        return Answer("success", body)
    if 300 <= response.status < 400:
        return Answer("warning", f"Probe terminated redirects, Response body: {body}")
    return Answer("failure", f"HTTP probe failed with statuscode: {response.status}")


def _words(error: Exception) -> str:
    """As a kubelet, a Go program, would say it; in our libraries' words where the kind is not known."""
    if isinstance(error, ConnectionRefusedError | aiohttp.ClientConnectorError) and _is_refusal(error):
        return "connect: connection refused"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "EOF"
    return str(error) or type(error).__name__


def _is_refusal(error: Exception) -> bool:
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return isinstance(inner, ConnectionRefusedError)
