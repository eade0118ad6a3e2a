"""Logs are kept by line, bounded, and can be read while they grow."""

import asyncio
from datetime import timedelta
from pathlib import Path

from kubernaut.concurrency import VirtualClock
from kubernaut.devcluster.node.logs import ContainerLog, LogQuery


async def read(log: ContainerLog, **query: object) -> bytes:
    return b"".join([chunk async for chunk in log.read(LogQuery(**query))])  # type: ignore[arg-type]


async def test_lines_come_back_as_written_and_a_last_one_without_newline_too(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path / "log", VirtualClock().now)
    log.write(b"one\ntw")
    log.write(b"o\nthree")
    assert await read(log) == b"one\ntwo\n"
    log.close()
    assert await read(log) == b"one\ntwo\nthree\n"


async def test_tail_limit_and_timestamps(tmp_path: Path) -> None:
    clock = VirtualClock()
    log = ContainerLog(tmp_path / "log", clock.now)
    log.write(b"a\nb\nc\n")
    assert await read(log, tail_lines=2) == b"b\nc\n"
    assert await read(log, tail_lines=0) == b""
    assert await read(log, limit_bytes=3) == b"a\nb"
    assert (await read(log, tail_lines=1, timestamps=True)).startswith(b"2030-01-01T00:00:00.000000Z c")


async def test_since_leaves_older_lines_out(tmp_path: Path) -> None:
    clock = VirtualClock()
    log = ContainerLog(tmp_path / "log", clock.now)
    log.write(b"old\n")
    await clock.sleep(60)
    log.write(b"new\n")
    assert await read(log, since=clock.now() - timedelta(seconds=5)) == b"new\n"


async def test_follow_goes_on_until_the_container_ends(tmp_path: Path) -> None:
    clock = VirtualClock()
    log = ContainerLog(tmp_path / "log", clock.now)
    log.write(b"first\n")
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(read(log, follow=True))
        await clock.sleep(0)
        log.write(b"second\nthird")
        await clock.sleep(0)
        log.close()
    assert reading.result() == b"first\nsecond\nthird\n"


async def test_the_older_half_goes_when_the_bound_is_reached(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path / "log", VirtualClock().now, bound=2000)
    for number in range(200):
        log.write(f"line {number}\n".encode())
    kept = (await read(log)).splitlines()
    assert kept[-1] == b"line 199"
    assert len(kept) < 60
    assert kept == [f"line {n}".encode() for n in range(200 - len(kept), 200)]
    assert (tmp_path / "log").stat().st_size <= 2000


async def test_carriage_returns_do_not_end_lines(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path / "log", VirtualClock().now)
    log.write(b"10%\r20%\r\n")
    assert await read(log) == b"10%\r20%\r\n"
