"""A few verbs of a Kubernetes API, with a history that can be cut: for the informer and the election."""

import asyncio
import copy
import json
from typing import Any

from aiohttp import web
from tests.cluster.conftest import status

Json = dict[str, Any]


class TinyApi:
    """Objects of any kind by path; one resourceVersion for all."""

    def __init__(self) -> None:
        self.objects: dict[str, Json] = {}
        self.history: list[tuple[int, str, str, Json]] = []
        self.version = 100
        self.oldest = 0
        self.lists = 0
        self.watches: list[str] = []
        self.down = False
        self.changed = asyncio.Condition()
        self.cut = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self.down:
            return await status(503, "ServiceUnavailable")(request)
        path = request.path
        known = path in self.objects
        match request.method:
            case "GET" if "watch" in request.query:
                return await self.watch(request)
            case "GET" if known:
                return web.json_response(self.objects[path])
            case "GET" if path.rsplit("/", 1)[1] in ("pods", "leases"):
                return self.list(path)
            case "POST":
                body = await request.json()
                path += "/" + body["metadata"]["name"]
                if path in self.objects:
                    return await status(409, "AlreadyExists")(request)
                return web.json_response(await self.put(path, body), status=201)
            case "PUT" if known:
                body = await request.json()
                if body["metadata"].get("resourceVersion") != self.objects[path]["metadata"]["resourceVersion"]:
                    return await status(409, "Conflict")(request)
                return web.json_response(await self.put(path, body))
            case "DELETE" if known:
                return web.json_response(await self.remove(path))
            case _:
                return await status(404, "NotFound")(request)

    async def put(self, path: str, body: Json) -> Json:
        new = copy.deepcopy(body)
        old = self.objects.get(path)
        self.version += 1
        meta = new["metadata"]
        meta["uid"] = old["metadata"]["uid"] if old else f"uid-{self.version}"
        meta["resourceVersion"] = str(self.version)
        self.objects[path] = new
        await self.tell("MODIFIED" if old else "ADDED", path, new)
        return new

    async def remove(self, path: str) -> Json:
        gone = copy.deepcopy(self.objects.pop(path))
        self.version += 1
        gone["metadata"]["resourceVersion"] = str(self.version)
        await self.tell("DELETED", path, gone)
        return gone

    async def tell(self, what: str, path: str, found: Json) -> None:
        self.history.append((self.version, what, path, found))
        async with self.changed:
            self.changed.notify_all()

    async def bookmark(self, path: str) -> None:
        """Tell watches how far they are; nothing has changed."""
        self.version += 1
        await self.tell("BOOKMARK", path, {"kind": "Pod", "metadata": {"resourceVersion": str(self.version)}})

    async def break_watches(self) -> None:
        self.cut += 1
        async with self.changed:
            self.changed.notify_all()

    def compact(self) -> None:
        """Forget the history: who asks for it gets 410."""
        self.oldest = self.version
        self.history.clear()

    def list(self, path: str) -> web.Response:
        self.lists += 1
        items = [found for where, found in self.objects.items() if where.rsplit("/", 1)[0] == path]
        meta = {"resourceVersion": str(self.version)}
        return web.json_response({"kind": "List", "metadata": meta, "items": items})

    async def watch(self, request: web.Request) -> web.StreamResponse:
        since = int(request.query["resourceVersion"])
        self.watches.append(request.query["resourceVersion"])
        if since < self.oldest:
            return await status(410, "Expired")(request)
        response = web.StreamResponse()
        await response.prepare(request)
        cut, sent = self.cut, since
        while cut == self.cut:
            for version, what, path, found in list(self.history):
                if version > sent and path.rsplit("/", 1)[0] == request.path:
                    frame = json.dumps({"type": what, "object": found}).encode()
                    await response.write(frame + b"\n")
                sent = max(sent, version)
            async with self.changed:
                while self.cut == cut and self.version <= sent:
                    await self.changed.wait()
        return response
