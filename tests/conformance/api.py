"""A bare HTTP client for API servers: what tests say is what is sent."""

import base64
import io
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import yaml

Json = dict[str, Any]
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True)
class Answer:
    code: int
    body: Any
    headers: Json = field(default_factory=dict[str, Any])

    @property
    def message(self) -> str:
        return str(self.body["message"])

    @property
    def version(self) -> str:
        return str(self.body["metadata"]["resourceVersion"])

    @property
    def names(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.body["items"]]

    @property
    def causes(self) -> list[tuple[str, str, str]]:
        return [(c["field"], c["reason"], c["message"]) for c in self.body["details"]["causes"]]


@dataclass(frozen=True)
class Api:
    session: aiohttp.ClientSession
    url: str
    stranger: aiohttp.ClientSession
    """Without any credential."""
    namespace: str = "default"

    def with_token(self, token: str) -> "Api":
        """The same place for the bearer of a token."""
        self.stranger.headers["Authorization"] = f"Bearer {token}"
        return replace(self, session=self.stranger)

    def at(self, path: str) -> str:
        """`v1/pods/x` and `apps/v1/deployments` within the test's namespace; `/...` as it stands."""
        if path.startswith("/"):
            return self.url + path
        group, _, rest = path.partition("/")
        if group == "v1":
            return f"{self.url}/api/v1/namespaces/{self.namespace}/{rest}"
        version, _, rest = rest.partition("/")
        return f"{self.url}/apis/{group}/{version}/namespaces/{self.namespace}/{rest}"

    async def call(
        self, method: str, path: str, body: Any = None, kind: str = "application/json", **headers: str
    ) -> Answer:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": kind, "User-Agent": "tester/1"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        # aiohttp wants large bodies as files.
        payload = data if data is None or len(data) < (1 << 20) else io.BytesIO(data)
        async with self.session.request(method, self.at(path), data=payload, headers=sent) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            return Answer(response.status, json.loads(text) if is_json else text, dict(response.headers))

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.call("GET", path, **headers)

    async def post(self, path: str, body: Any, **headers: str) -> Answer:
        return await self.call("POST", path, body, **headers)

    async def put(self, path: str, body: Any, **headers: str) -> Answer:
        return await self.call("PUT", path, body, **headers)

    async def patch(self, path: str, body: Any, kind: str = MERGE, **headers: str) -> Answer:
        return await self.call("PATCH", path, body, kind, **headers)

    async def delete(self, path: str, body: Any = None) -> Answer:
        return await self.call("DELETE", path, body)

    @asynccontextmanager
    async def watch(self, path: str) -> AsyncGenerator[AsyncIterator[Json], None]:
        """Events of a watch, as they come."""
        mark = "&" if "?" in path else "?"
        async with self.session.get(self.at(f"{path}{mark}watch=1")) as response:
            assert response.status == 200, await response.text()

            async def events() -> AsyncIterator[Json]:
                async for line in response.content:
                    yield json.loads(line)

            yield events()


def _identify(context: ssl.SSLContext, certificate: bytes, private: bytes) -> None:
    """`ssl` reads key pairs from files only."""
    with TemporaryDirectory() as place:
        chain, key = Path(place, "c"), Path(place, "k")
        chain.write_bytes(certificate)
        key.write_bytes(private)
        context.load_cert_chain(chain, key)


@asynccontextmanager
async def connected(config: Json, folder: Path = Path()) -> AsyncGenerator[Api, None]:
    """To the first cluster and user of a kubeconfig."""
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]

    def data(source: Json, name: str) -> bytes:
        if f"{name}-data" in source:
            return base64.b64decode(source[f"{name}-data"])
        return (folder / source[name]).read_bytes()

    context = ssl.create_default_context(cadata=data(cluster, "certificate-authority").decode())
    headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
    if not headers:
        _identify(context, data(user, "client-certificate"), data(user, "client-key"))
    trusting = ssl.create_default_context(cadata=data(cluster, "certificate-authority").decode())
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context), headers=headers) as session,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting)) as stranger,
    ):
        yield Api(session, cluster["server"], stranger)


def load(text: str) -> Json:
    return yaml.safe_load(text)
