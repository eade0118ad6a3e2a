"""What a container wrote: kept in a file, bounded, read from its end, followed.

Each line is kept with the moment it came, as container runtimes do, so that `--timestamps` and
`--since` can be answered. The older half is dropped when the bound is reached.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kubernaut.devcluster.workloads import moments

_STAMP = 27  # 2030-01-01T12:00:00.000000Z
_BOUND = 10 * 2**20
_LONGEST_LINE = 2**16


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What `kubectl logs` may ask for."""

    follow: bool = False
    tail_lines: int | None = None
    limit_bytes: int | None = None
    timestamps: bool = False
    since: datetime | None = None


class ContainerLog:
    """One container's log. Written by the node, read by anybody."""

    def __init__(self, path: Path, now: Callable[[], datetime], *, bound: int = _BOUND) -> None:
        """`bound` is in bytes, stamps included."""
        self._path = path
        self._now = now
        self._bound = bound
        self._size = path.stat().st_size if path.exists() else 0
        self._partial = b""
        self._closed = False
        self._edition = 0
        self._grown = asyncio.Event()

    def write(self, chunk: bytes) -> None:
        """Take what the container wrote; a line counts when it is whole."""
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        if len(self._partial) > _LONGEST_LINE:
            lines.append(self._partial)
            self._partial = b""
        if lines:
            self._append(lines)

    def close(self) -> None:
        """The container has ended; a last line without a newline is kept too."""
        if self._partial:
            self._append([self._partial])
            self._partial = b""
        self._closed = True
        self._wake()

    def tail(self, limit: int) -> bytes:
        """The last bytes of the log without stamps, for a termination message."""
        return b"".join(line[_STAMP + 1 :] for line in self._stored())[-limit:]

    async def read(self, query: LogQuery) -> AsyncGenerator[bytes, None]:
        """The lines asked for, newlines included; with `follow` until the container has ended."""
        left = query.limit_bytes
        async for line in self._lines(query):
            text = line if query.timestamps else line[_STAMP + 1 :]
            if left is not None:
                text = text[:left]
                left -= len(text)
            if text:
                yield text
            if left == 0:
                return

    async def _lines(self, query: LogQuery) -> AsyncGenerator[bytes, None]:
        position, edition = self._size, self._edition
        stored = [line for line in self._stored() if not query.since or _is_since(line, query.since)]
        if query.tail_lines is not None:
            stored = stored[-query.tail_lines :] if query.tail_lines else []
        for line in stored:
            yield line
        while query.follow:
            if self._edition != edition:  # the older half went meanwhile
                position, edition = 0, self._edition
            if position < self._size:
                for line in self._stored(position):
                    position += len(line)
                    yield line
            elif self._closed:
                return
            else:
                await self._grown.wait()

    def _stored(self, start: int = 0) -> Iterator[bytes]:
        if not self._path.exists():
            return iter(())
        with self._path.open("rb") as file:
            file.seek(start)
            return iter(file.readlines())

    def _append(self, lines: list[bytes]) -> None:
        stamp = moments.to_precise_text(self._now()).encode()
        content = b"".join(stamp + b" " + line + b"\n" for line in lines)
        if self._size + len(content) > self._bound:
            self._halve()
        with self._path.open("ab") as file:
            file.write(content)
        self._size += len(content)
        self._wake()

    def _halve(self) -> None:
        content = self._path.read_bytes()[-self._bound // 2 :]
        _, _, whole = content.partition(b"\n")
        self._path.write_bytes(whole)
        self._size = len(whole)
        self._edition += 1

    def _wake(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()


def _is_since(line: bytes, since: datetime) -> bool:
    try:
        return moments.from_text(line[:_STAMP].decode()) >= since
    except ValueError:
        return True
