"""The client: one session to one API server, objects as plain JSON dicts.

Not here: how requests look (`requests`, pure) and how they are sent (`sender`).
"""

import codecs
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import msgspec

from kubernaut.api.values import MOST_READ_LEVELS, without_depths
from kubernaut.cluster import requests
from kubernaut.cluster.connection import Connection, Impersonation
from kubernaut.cluster.errors import Gone, ServerError, error_from_answer
from kubernaut.cluster.kinds import ResourceKind
from kubernaut.cluster.requests import Json, PatchType, Propagation, Request
from kubernaut.cluster.sender import Sender

if TYPE_CHECKING:
    from kubernaut.concurrency import Clock

FIELD_MANAGER = "kubernaut"
_PAGE = 500


class ObjectList(NamedTuple):
    """A whole list, and where to begin watching."""

    items: list[Json]
    resource_version: str


class Event(NamedTuple):
    """One frame of a watch."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: Json


@dataclass(frozen=True, slots=True)
class Write:
    """One request that may change the cluster."""

    number: int
    """Counts the writes of this client from 1."""
    verb: str
    """As RBAC says it: create, update, patch, delete."""
    kind: ResourceKind | None
    """None for requests by path."""
    namespace: str
    name: str
    subresource: str
    user: str


WriteHook = Callable[[Literal["before", "after"], Write], Awaitable[None] | None]


class Cluster:
    """One pooled HTTP session to one API server.

    Use as `async with Cluster.connect(...) as cluster`. Every method raises ClusterError and its
    kin; ValueError only for names that no object can have. Reads are repeated a few times on
    failures; writes only where the server itself said that it did nothing and when to come back.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        user: str = "",
        clock: "Clock | None" = None,
        timeout: float = 30.0,
        quick: bool = False,
    ) -> None:
        """`user` labels the counts; `timeout` is in seconds, for anything but watches and logs.

        `quick` is for programs that ask once and are gone: see `kubernaut.cluster.quick`.
        """
        self.connection = connection
        self.user = user
        self.writes = 0
        """How many writes this client has begun."""
        self._sender = _sender_class(quick)(connection, user=user, clock=clock, timeout=timeout)
        self._hooks: list[WriteHook] = []

    @property
    def counts(self) -> Counter[tuple[str, str, str]]:
        """Requests by (user, verb, `plural.group`, with `/subresource`); repeats count too."""
        return self._sender.counts

    @classmethod
    def connect(
        cls,
        kubeconfig: str | Path | None = None,
        context: str | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        user: str = "",
        clock: "Clock | None" = None,
        timeout: float = 30.0,
        impersonation: Impersonation | None = None,
    ) -> "Cluster":
        """Find the cluster: this file > KUBECONFIG > inside a pod > ~/.kube/config.

        `environment` is the process's environment, which this room does not read by itself; exec
        plugins inherit it. `impersonation` comes before the kubeconfig's own. Nothing is sent yet.
        Raises CannotConnect, naming file and context.
        """
        from kubernaut.cluster.finding import find_connection

        connection = find_connection(kubeconfig, context, environment or {}, clock=clock)
        if impersonation is not None:
            connection = replace(connection, impersonation=impersonation)
        return cls(connection, user=user, clock=clock, timeout=timeout)

    async def __aenter__(self) -> "Cluster":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._sender.close()

    def on_write(self, hook: WriteHook) -> Callable[[], None]:
        """Have the hook called before every write, and after every one that the server confirmed.

        What a hook raises, the writer gets: before = nothing was sent, after = it was done. The
        answer is a function that takes the hook away again.
        """
        self._hooks.append(hook)
        return lambda: self._hooks.remove(hook)

    # -- objects ----------------------------------------------------------------------------------

    async def get(
        self, kind: ResourceKind, name: str, namespace: str | None = None, subresource: str = ""
    ) -> Json:
        """Raises NotFound."""
        return await self.send(requests.get(kind, name, namespace, subresource))

    async def list(
        self,
        kind: ResourceKind,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = _PAGE,
    ) -> ObjectList:
        """All of them, fetched in pages of `limit`; without a namespace, of all namespaces."""
        items: list[Json] = []
        token = ""
        while True:
            request = requests.list_page(
                kind,
                namespace,
                label_selector=label_selector,
                field_selector=field_selector,
                limit=limit,
                continue_token=token,
            )
            try:
                page = await self.send(request)
            except Gone:
                if not token:
                    raise
                # The pages took longer than the server keeps their snapshot: take all at once.
                items, token, limit = [], "", 0
                continue
            items += page.get("items") or []
            meta: Json = page.get("metadata") or {}
            token = meta.get("continue") or ""
            if not token:
                break
        for item in items:  # the API leaves these out of the items of its own kinds
            item.setdefault("apiVersion", kind.api_version)
            item.setdefault("kind", kind.kind)
        return ObjectList(items, str(meta.get("resourceVersion") or ""))

    async def create(
        self,
        kind: ResourceKind,
        body: Mapping[str, Any],
        namespace: str | None = None,
        *,
        name: str = "",
        subresource: str = "",
        dry_run: bool = False,
        field_manager: str = FIELD_MANAGER,
    ) -> Json:
        """Raises AlreadyExists. `name` is only for subresources: `pods/<name>/eviction`."""
        return await self.send(
            requests.create(
                kind,
                body,
                namespace,
                name=name,
                subresource=subresource,
                dry_run=dry_run,
                field_manager=field_manager,
            )
        )

    async def replace(
        self,
        kind: ResourceKind,
        body: Mapping[str, Any],
        subresource: str = "",
        *,
        dry_run: bool = False,
        field_manager: str = FIELD_MANAGER,
    ) -> Json:
        """Raises Conflict if the body's resourceVersion is no longer the object's."""
        return await self.send(
            requests.replace(kind, body, subresource=subresource, dry_run=dry_run, field_manager=field_manager)
        )

    async def patch(
        self,
        kind: ResourceKind,
        name: str,
        namespace: str | None,
        body: object,
        patch_type: PatchType = "merge",
        *,
        subresource: str = "",
        dry_run: bool = False,
        field_manager: str = FIELD_MANAGER,
        force: bool = False,
    ) -> Json:
        """`force` takes fields from other managers; only for `apply`. Raises Conflict, NotFound."""
        return await self.send(
            requests.patch(
                kind,
                name,
                namespace,
                body,
                patch_type,
                subresource=subresource,
                dry_run=dry_run,
                field_manager=field_manager,
                force=force,
            )
        )

    async def delete(
        self,
        kind: ResourceKind,
        name: str,
        namespace: str | None = None,
        *,
        propagation: Propagation = "Background",
        uid: str | None = None,
        resource_version: str | None = None,
        grace_period_seconds: int | None = None,
        dry_run: bool = False,
    ) -> Json:
        """Raises NotFound; Conflict if a precondition on uid or resourceVersion does not hold."""
        return await self.send(
            requests.delete(
                kind,
                name,
                namespace,
                propagation=propagation,
                uid=uid,
                resource_version=resource_version,
                grace_period_seconds=grace_period_seconds,
                dry_run=dry_run,
            )
        )

    async def watch(
        self,
        kind: ResourceKind,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        timeout_seconds: int = 290,
        opened: Callable[[], None] | None = None,
    ) -> AsyncGenerator[Event, None]:
        """What happens after this resourceVersion, until the server ends the watch in good order.

        `opened` is called once the server has agreed, which may be long before the first event.
        Raises Gone when the resourceVersion is too old: list again. Whoever leaves the loop early
        closes the generator (`contextlib.aclosing`). `Informer` does all of that.
        """
        request = requests.watch(
            kind,
            namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            resource_version=resource_version,
            timeout_seconds=timeout_seconds,
        )
        # A server that forgets its own time limit is a dead connection.
        async with self._sender.stream(request, silence=timeout_seconds + 30.0) as answer:
            if opened is not None:
                opened()
            async for line in _lines(answer.content.iter_any()):
                frame = _object(line, request)
                if frame["type"] == "ERROR":
                    status: Json = frame["object"]
                    raise error_from_answer(
                        int(status.get("code") or 500),
                        msgspec.json.encode(status),
                        asked=request.asked,
                    )
                yield Event(frame["type"], frame["object"])

    # -- more -------------------------------------------------------------------------------------

    async def logs(
        self,
        namespace: str,
        pod: str,
        container: str | None = None,
        *,
        tail_lines: int | None = None,
        limit_bytes: int | None = None,
        previous: bool = False,
    ) -> str:
        """What a container has written so far; bytes that are no UTF-8 are replaced."""
        request = requests.logs(
            namespace,
            pod,
            container=container,
            tail_lines=tail_lines,
            limit_bytes=limit_bytes,
            previous=previous,
        )
        return (await self._sender.send(request)).decode("utf-8", "replace")

    async def follow_logs(
        self,
        namespace: str,
        pod: str,
        container: str | None = None,
        *,
        tail_lines: int | None = None,
        limit_bytes: int | None = None,
    ) -> AsyncGenerator[str, None]:
        """Pieces of what a container writes, as they come, until it ends."""
        request = requests.logs(
            namespace,
            pod,
            container=container,
            tail_lines=tail_lines,
            limit_bytes=limit_bytes,
            follow=True,
        )
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        async with self._sender.stream(request) as answer:
            async for chunk in answer.content.iter_any():
                if text := decode(chunk):
                    yield text
        if rest := decode(b"", True):
            yield rest

    async def version(self) -> Json:
        """The server's `/version`: gitVersion, major, minor."""
        return await self.request("GET", "/version")

    async def request(self, method: str, path: str, body: object = None, *, changes: bool | None = None) -> Json:
        """Any JSON path of the server. `changes` defaults to true for all but GET."""
        encoded = None if body is None else msgspec.json.encode(body)
        writes = method != "GET" if changes is None else changes
        return await self.send(Request(method, path, encoded, verb=method.lower(), changes=writes))

    # -- sending ----------------------------------------------------------------------------------

    async def send(self, request: Request) -> Json:
        """Send a request that was built elsewhere; its JSON answer."""
        body = await (self._write(request) if request.changes else self._sender.send(request))
        return _object(body, request)

    async def _write(self, request: Request) -> bytes:
        self.writes += 1
        if not self._hooks:
            return await self._sender.send(request)
        write = Write(
            self.writes,
            request.verb,
            request.kind,
            request.namespace,
            request.name,
            request.subresource,
            self.user,
        )
        await self._call_hooks("before", write)
        body = await self._sender.send(request)
        await self._call_hooks("after", write)
        return body

    async def _call_hooks(self, moment: Literal["before", "after"], write: Write) -> None:
        for hook in list(self._hooks):
            waiting = hook(moment, write)
            if waiting is not None:
                await waiting


def _sender_class(quick: bool) -> type[Sender]:
    if not quick:
        return Sender
    from kubernaut.cluster.quick import QuickSender

    return QuickSender


def _object(body: bytes, request: Request) -> Json:
    try:
        answer: object = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise ServerError(f"{request.asked}: the answer is not JSON: {error}") from error
    except RecursionError:
        answer = _shallow(body, request)
    if not isinstance(answer, dict):
        raise ServerError(f"{request.asked}: the answer is not an object")
    return cast(Json, answer)


def _shallow(body: bytes, request: Request) -> object:
    """An answer that is nested deeper than can be read: one such object must not hide all the others of a list.

    Read alone it is refused: who reads one object may write it back, and must not write half of it.
    """
    if request.verb == "get":
        raise ServerError(
            f"{request.asked}: the object is nested more than {MOST_READ_LEVELS} levels deep"
        ) from None
    try:
        return msgspec.json.decode(without_depths(body))
    except msgspec.DecodeError as error:
        raise ServerError(f"{request.asked}: the answer is not JSON: {error}") from error


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    # Not the stream's own `readline`: it refuses lines longer than its buffer, and one object may
    # have a megabyte.
    rest: list[bytes] = []
    async for chunk in chunks:
        *ended, tail = chunk.split(b"\n")
        for line in ended:
            rest.append(line)
            if whole := b"".join(rest).strip():
                yield whole
            rest.clear()
        if tail:
            rest.append(tail)
