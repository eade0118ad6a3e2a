"""Watches over HTTP: a stream of JSON lines, fed by the ledger."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from kubernaut.concurrency.clock import Clock
from kubernaut.devcluster.errors import ApiError, Unclassified
from kubernaut.devcluster.ledger import Change
from kubernaut.devcluster.objects import Object, namespace_of, to_json
from kubernaut.devcluster.resources import Resource
from kubernaut.devcluster.selectors import Predicate
from kubernaut.devcluster.store import Store

from .call import Request, is_stored_form, out
from .tables import Tables, metadata_of, wants_metadata, wants_table
from .verbs import bad_version, check_watch_options, list_tests

_BOOKMARK_SECONDS = 60.0
_LONGEST_SECONDS = 3600.0
_BACKLOG = 20_000
"""Changes that a slow reader may leave waiting before it is cut off."""


class Watches:
    """All watches that are open now."""

    def __init__(self, store: Store, tables: Tables, clock: Clock) -> None:
        self._store = store
        self._tables = tables
        self._clock = clock
        self._open: set[_Feed] = set()
        self.hold: Callable[[web.BaseRequest], Awaitable[None]] | None = None
        """Waited for before a watch tells what has happened; for faults."""

    def close(self) -> None:
        """End every watch, as a server does that shuts down."""
        for feed in tuple(self._open):
            feed.close()

    @property
    def count(self) -> int:
        return len(self._open)

    async def serve(self, request: Request, resource: Resource) -> web.StreamResponse:
        """Answer one watch until its reader leaves or its time is over. Raises ApiError before it starts."""
        feed = _Feed(self._store, self._tables, request, resource)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        self._open.add(feed)
        try:
            await response.prepare(request.http)
            await self._pump(feed, response, request)
        except (ConnectionError, asyncio.CancelledError):
            # The reader has gone, or the server stops: both are the normal end of a watch.
            pass
        finally:
            self._open.discard(feed)
            feed.close()
        return response

    async def _pump(self, feed: _Feed, response: web.StreamResponse, request: Request) -> None:
        seconds = float(request.number("timeoutSeconds") or 0) or _LONGEST_SECONDS
        bookmarks = request.query.get("allowWatchBookmarks") in ("1", "true")
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not feed.is_closed:
            lines = feed.take()
            if lines:
                if self.hold is not None:
                    await self.hold(request.http)
                await response.write(lines)
                continue
            wait = min(_BOOKMARK_SECONDS, end - loop.time())
            if wait <= 0:
                break
            try:
                async with asyncio.timeout(wait):
                    await feed.arrived.wait()
            except TimeoutError:
                if bookmarks and loop.time() < end:
                    await response.write(feed.bookmark())
        if bookmarks and not feed.is_closed:
            await response.write(feed.bookmark())
        await response.write_eof()


class _Feed:
    """The changes of one watch that wait to be written."""

    def __init__(self, store: Store, tables: Tables, request: Request, resource: Resource) -> None:
        self._store = store
        self._tables = tables
        self._resource = resource
        self._tests: list[Predicate] = list_tests(request, resource)
        if request.target.name:
            name = request.target.name
            self._tests.append(lambda obj: obj["metadata"]["name"] == name)
        self._namespace = request.target.namespace if resource.namespaced else ""
        self._query = request.query
        self._as_table = wants_table(request.http.headers.get("Accept", ""))
        self._as_metadata = wants_metadata(request.http.headers.get("Accept", ""))
        self._header_sent = False
        self._plain = is_stored_form(resource)
        self.arrived = asyncio.Event()
        self.is_closed = False
        self._lines: deque[bytes] = deque()
        self._version = store.ledger.version
        self._begin(request)
        self._stop = store.ledger.subscribe(self._tell, [resource.storage])

    def _begin(self, request: Request) -> None:
        """Everything between the asked-for version and now."""
        text = request.query.get("resourceVersion", "")
        send_initial = request.query.get("sendInitialEvents") in ("1", "true")
        check_watch_options(request)
        if text and not text.isdigit():
            # The real API server takes this for a fault of its own.
            raise Unclassified(bad_version(text).removeprefix("invalid resource version: "))
        if send_initial or text in ("", "0"):
            for record in self._store.ledger.records(self._resource.storage, self._namespace or None):
                if self._selects(record.object):
                    self._add("ADDED", record.object)
            if send_initial:
                self._lines.append(self.bookmark(end_of_initial=True))
            return
        try:
            missed = self._store.ledger.since(self._resource.storage, int(text))
        except ApiError as error:
            # A watch is refused in its stream: that is where clients look.
            self._lines.append(_line("ERROR", to_json(error.to_status())))
            self.is_over = True
            return
        for change in missed:
            self._tell(change)

    is_over = False

    def _selects(self, obj: Object) -> bool:
        if self._namespace and namespace_of(obj) != self._namespace:
            return False
        return all(test(obj) for test in self._tests)

    def _tell(self, change: Change) -> None:
        """A change as this selection sees it: objects enter it and leave it."""
        now = change.type != "DELETED" and self._selects(change.object)
        was = change.old is not None and self._selects(change.old)
        self._version = change.version
        if now:
            self._add("MODIFIED" if was else "ADDED", change.object)
        elif was:
            gone: Object = change.object if change.type == "DELETED" else change.old or {}
            metadata = {**gone["metadata"], "resourceVersion": str(change.version)}
            self._add("DELETED", {**gone, "metadata": metadata})
        if len(self._lines) > _BACKLOG:
            self.close()

    def _add(self, word: str, obj: Object) -> None:
        if self._as_metadata:
            text = to_json(metadata_of(obj))
        elif self._as_table:
            table = self._tables.table(self._resource, [obj], self._query)
            if self._header_sent:
                table["columnDefinitions"] = None
            self._header_sent = True
            text = to_json(table)
        elif self._plain:
            text = self._encoded(obj)
        else:
            text = to_json(out(self._resource, obj))
        self._lines.append(_line(word, text))
        self.arrived.set()

    def _encoded(self, obj: Object) -> bytes:
        metadata = obj["metadata"]
        place = (metadata.get("namespace", ""), metadata["name"])
        record = self._store.ledger.get(self._resource.storage, place)
        # Watchers of the same write share one text.
        return record.encoded if record is not None and record.object is obj else to_json(obj)

    def take(self) -> bytes:
        """All waiting lines."""
        lines = b"".join(self._lines)
        self._lines.clear()
        self.arrived.clear()
        if not lines and self.is_over:
            self.close()
        return lines

    def bookmark(self, *, end_of_initial: bool = False) -> bytes:
        metadata: dict[str, Any] = {"resourceVersion": str(self._store.ledger.version)}
        if end_of_initial:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        obj = {"kind": self._resource.kind, "apiVersion": self._resource.api_version, "metadata": metadata}
        if self._as_metadata:
            obj |= {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
        if self._as_table:
            partial = {**obj, "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
            table = self._tables.table(self._resource, [], self._query)
            table["metadata"] = {"resourceVersion": metadata["resourceVersion"]}
            table["rows"] = [{"cells": [""] * len(table["columnDefinitions"]), "object": partial}]
            return _line("BOOKMARK", to_json(table))
        return _line("BOOKMARK", to_json(obj))

    def close(self) -> None:
        self.is_closed = True
        self._stop()
        self.arrived.set()


def _line(word: str, text: bytes) -> bytes:
    return b'{"type":"' + word.encode() + b'","object":' + text + b"}\n"
