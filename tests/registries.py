"""A real registry for tests."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from kubernaut.concurrency import SystemClock
from peers import peer

# bcrypt of "pa:ss"
_HTPASSWD = "user:$2b$05$abcdefghijklmnopqrstuuZImxV28ixwKVAA3Ib6WvqJ3jaF2SHwO\n"


async def _serving(port: int) -> None:
    for _ in range(400):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await SystemClock().sleep(0.02)
        else:
            writer.close()
            await writer.wait_closed()
            return
    raise AssertionError("docker-registry did not come up")


@asynccontextmanager
async def run_registry(folder: Path, *, login: bool = False, port: int = 0) -> AsyncGenerator[str]:
    """A docker-registry at work, by its address. Port 0: any free one."""
    program = peer("docker-registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))
        port = probe.getsockname()[1]
    settings: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "store")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    if login:
        (folder / "htpasswd").write_text(_HTPASSWD)
        settings["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    (folder / "config.yml").write_text(json.dumps(settings))
    process = await asyncio.create_subprocess_exec(
        program, "serve", str(folder / "config.yml"), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await _serving(port)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()
