"""The registry's HTTP side. Source: OCI distribution specification 1.1 (spec.md), with the codes of its errors.

Loopback only, plain HTTP, no logins: clients of containers take that for `localhost` without being told.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote

import msgspec
from aiohttp import web

from kubernaut.devcluster.registry.store import FolderStore, ManifestInvalid
from kubernaut.oci.client import MANIFEST_LIMIT
from kubernaut.oci.reference import is_digest

_NAME = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_RANGE = re.compile(r"(\d+)-(\d+)")
_PAGE = 1000
_API_VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}

_Answer = Callable[["_Call"], Awaitable[web.StreamResponse]]


class _Refused(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def to_response(self) -> web.Response:
        body = {"errors": [{"code": self.code, "message": str(self)}]}
        return _json(body, self.status)


class _Call:
    """A request and what its path names."""

    def __init__(self, http: web.BaseRequest, name: str, rest: str) -> None:
        self.http = http
        self.name = name
        self.rest = rest
        self.query = dict(parse_qsl(http.rel_url.raw_query_string, keep_blank_values=True))


class Registry:
    """Serves a store; start and stop it within one event loop."""

    def __init__(self, store: FolderStore) -> None:
        self.store = store
        self.port = 0
        self._runner: web.ServerRunner | None = None
        self._routes: list[tuple[re.Pattern[str], dict[str, _Answer]]] = [
            (re.compile(rf"/v2/(?P<name>{_NAME})/blobs/uploads/?(?P<rest>)"), {"POST": self._begin}),
            (
                re.compile(rf"/v2/(?P<name>{_NAME})/blobs/uploads/(?P<rest>[^/]+)"),
                {"PATCH": self._append, "PUT": self._finish, "GET": self._progress, "DELETE": self._abandon},
            ),
            (
                re.compile(rf"/v2/(?P<name>{_NAME})/blobs/(?P<rest>[^/]+)"),
                {"GET": self._blob, "HEAD": self._blob, "DELETE": self._delete_blob},
            ),
            (
                re.compile(rf"/v2/(?P<name>{_NAME})/manifests/(?P<rest>[^/]+)"),
                {
                    "GET": self._manifest,
                    "HEAD": self._manifest,
                    "PUT": self._put_manifest,
                    "DELETE": self._delete_manifest,
                },
            ),
            (re.compile(rf"/v2/(?P<name>{_NAME})/tags/list(?P<rest>)"), {"GET": self._tags}),
            (re.compile(rf"/v2/(?P<name>{_NAME})/referrers/(?P<rest>[^/]+)"), {"GET": self._referrers}),
        ]

    @property
    def host(self) -> str:
        """As in references to its images."""
        return f"localhost:{self.port}"

    async def start(self, port: int = 0) -> None:
        """Listen on 127.0.0.1; port 0 takes a free one. Raises OSError when it is taken."""
        server = web.Server(self._serve, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            site = web.TCPSite(self._runner, "127.0.0.1", port)
            await site.start()
        except OSError:
            await self.stop()
            raise
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _serve(self, http: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._route(http)
        except _Refused as refused:
            return refused.to_response()
        except ManifestInvalid as error:
            status = 404 if error.code == "MANIFEST_BLOB_UNKNOWN" else 400
            return _Refused(status, error.code, str(error)).to_response()

    async def _route(self, http: web.BaseRequest) -> web.StreamResponse:
        path = unquote(http.rel_url.raw_path)
        if path in {"/v2", "/v2/"}:
            return _json({})
        if path == "/v2/_catalog":
            return self._page(_Call(http, "", ""), "repositories", self.store.repositories())
        for pattern, methods in self._routes:
            if (found := pattern.fullmatch(path)) is not None:
                answer = methods.get(http.method)
                if answer is None:
                    raise _Refused(405, "UNSUPPORTED", f"{http.method} is not possible here")
                return await answer(_Call(http, found["name"], found["rest"]))
        raise _Refused(404, "NAME_INVALID", f"there is nothing at {path}")

    # -- blobs -------------------------------------------------------------------------------------

    async def _blob(self, call: _Call) -> web.StreamResponse:
        path = self.store.blob(call.name, call.rest)
        if path is None:
            raise _Refused(404, "BLOB_UNKNOWN", f"blob unknown to registry: {call.rest}")
        return web.FileResponse(
            path,
            headers={
                **_API_VERSION,
                "Docker-Content-Digest": call.rest,
                "Content-Type": "application/octet-stream",
            },
        )

    async def _delete_blob(self, call: _Call) -> web.Response:
        if not self.store.forget_blob(call.name, call.rest):
            raise _Refused(404, "BLOB_UNKNOWN", f"blob unknown to registry: {call.rest}")
        return web.Response(status=202, headers=_API_VERSION)

    async def _begin(self, call: _Call) -> web.Response:
        mount = call.query.get("mount", "")
        if mount and self.store.mount(call.name, mount, call.query.get("from", "")):
            return self._created(call.name, mount)
        name = self.store.begin_upload()
        if digest := call.query.get("digest"):
            return await self._complete(call, name, digest)
        return self._on_its_way(call.name, name, 202)

    async def _append(self, call: _Call) -> web.Response:
        path = self._upload(call)
        begun = path.stat().st_size
        told = _RANGE.fullmatch(call.http.headers.get("Content-Range", ""))
        if told is not None and int(told[1]) != begun:
            return self._on_its_way(call.name, call.rest, 416)
        await self._receive(call.http, path)
        return self._on_its_way(call.name, call.rest, 202)

    async def _finish(self, call: _Call) -> web.Response:
        self._upload(call)
        return await self._complete(call, call.rest, call.query.get("digest", ""))

    async def _progress(self, call: _Call) -> web.Response:
        self._upload(call)
        return self._on_its_way(call.name, call.rest, 204)

    async def _abandon(self, call: _Call) -> web.Response:
        self._upload(call).unlink()
        return web.Response(status=204, headers=_API_VERSION)

    async def _complete(self, call: _Call, name: str, digest: str) -> web.Response:
        path = self.store.upload(name)
        assert path is not None
        if not is_digest(digest):
            raise _Refused(400, "DIGEST_INVALID", f"{digest!r} is not a sha256 or sha512 digest")
        await self._receive(call.http, path)
        # Hashing a layer takes its time: others are answered meanwhile.
        if not await asyncio.to_thread(self.store.finish_upload, call.name, path, digest):
            raise _Refused(400, "DIGEST_INVALID", f"what was sent has another digest than {digest}")
        return self._created(call.name, digest)

    async def _receive(self, http: web.BaseRequest, path: Path) -> None:
        with path.open("ab") as file:
            async for part in http.content.iter_any():
                file.write(part)

    def _upload(self, call: _Call) -> Path:
        path = self.store.upload(call.rest)
        if path is None:
            raise _Refused(404, "BLOB_UPLOAD_UNKNOWN", f"there is no upload {call.rest}")
        return path

    def _on_its_way(self, name: str, upload: str, status: int) -> web.Response:
        path = self.store.upload(upload)
        size = path.stat().st_size if path else 0
        headers = {
            **_API_VERSION,
            "Location": f"/v2/{name}/blobs/uploads/{upload}",
            "Range": f"0-{max(0, size - 1)}",
            "Docker-Upload-Uuid": upload,
        }
        return web.Response(status=status, headers=headers)

    def _created(self, name: str, digest: str) -> web.Response:
        headers = {**_API_VERSION, "Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest}
        return web.Response(status=201, headers=headers)

    # -- manifests ---------------------------------------------------------------------------------

    async def _manifest(self, call: _Call) -> web.Response:
        found = self.store.manifest(call.name, call.rest)
        if found is None:
            raise _Refused(404, "MANIFEST_UNKNOWN", f"manifest unknown: {call.name}:{call.rest}")
        headers = {**_API_VERSION, "Docker-Content-Digest": found.digest, "Content-Type": found.media_type}
        return web.Response(body=found.content, headers=headers)

    async def _put_manifest(self, call: _Call) -> web.Response:
        target = call.rest
        if not is_digest(target) and not _TAG.fullmatch(target):
            raise _Refused(400, "MANIFEST_INVALID", f"{target!r} is neither a tag nor a digest")
        content = b""
        async for part in call.http.content.iter_any():
            content += part
            if len(content) > MANIFEST_LIMIT:
                raise _Refused(413, "SIZE_INVALID", f"manifests have at most {MANIFEST_LIMIT} bytes")
        media_type = call.http.headers.get("Content-Type", "")
        digest, subject = self.store.put_manifest(call.name, target, media_type, content)
        headers = {
            **_API_VERSION,
            "Location": f"/v2/{call.name}/manifests/{digest}",
            "Docker-Content-Digest": digest,
        }
        return web.Response(status=201, headers={**headers, **({"OCI-Subject": subject} if subject else {})})

    async def _delete_manifest(self, call: _Call) -> web.Response:
        if not self.store.forget_manifest(call.name, call.rest):
            raise _Refused(404, "MANIFEST_UNKNOWN", f"manifest unknown: {call.name}:{call.rest}")
        return web.Response(status=202, headers=_API_VERSION)

    async def _tags(self, call: _Call) -> web.Response:
        tags = self.store.tags(call.name)
        if tags is None:
            raise _Refused(404, "NAME_UNKNOWN", f"repository name not known to registry: {call.name}")
        return self._page(call, "tags", tags)

    async def _referrers(self, call: _Call) -> web.Response:
        if not is_digest(call.rest):
            raise _Refused(400, "DIGEST_INVALID", f"{call.rest!r} is not a digest")
        wanted = call.query.get("artifactType", "")
        headers = {**_API_VERSION, "Content-Type": "application/vnd.oci.image.index.v1+json"}
        body = self.store.referrers(call.name, call.rest, wanted)
        return web.Response(
            body=body, headers={**headers, **({"OCI-Filters-Applied": "artifactType"} if wanted else {})}
        )

    def _page(self, call: _Call, field: str, names: list[str]) -> web.Response:
        """Names after `last`, `n` of them at most, and where the next ones are."""
        asked = call.query.get("n", "")
        number = int(asked) if asked.isdigit() else _PAGE
        last = call.query.get("last", "")
        left = [name for name in names if name > last]
        page = left[:number]
        response = _json({**({"name": call.name} if call.name else {}), field: page})
        if page and len(left) > number:
            path = call.http.rel_url.raw_path
            response.headers["Link"] = f'<{path}?n={number}&last={quote(page[-1])}>; rel="next"'
        return response


def _json(body: object, status: int = 200) -> web.Response:
    headers = {**_API_VERSION, "Content-Type": "application/json"}
    return web.Response(body=msgspec.json.encode(body), status=status, headers=headers)
