"""The virtual clock is only worth something if it never jumps while work remains."""

import asyncio

import pytest

from kubernaut.concurrency import SystemClock, VirtualClock, wait_for_event, within


async def test_a_day_of_sleep_passes_at_once() -> None:
    clock = VirtualClock()
    before = clock.now()
    await clock.sleep(86_400)
    assert (clock.now() - before).total_seconds() == 86_400
    assert clock.monotonic() == 86_400


async def test_sleepers_wake_in_order_of_their_time_then_of_their_call() -> None:
    clock = VirtualClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.monotonic()))

    async with asyncio.TaskGroup() as group:
        for name, seconds in [("c", 3), ("a", 1), ("b", 2), ("b2", 2)]:
            group.create_task(sleeper(name, seconds))
    assert woken == [("a", 1), ("b", 2), ("b2", 2), ("c", 3)]


async def test_time_stands_still_while_any_task_has_work() -> None:
    clock = VirtualClock()
    seen: list[float] = []

    async def worker() -> None:
        for _ in range(200):
            await asyncio.sleep(0)
            seen.append(clock.monotonic())

    async with asyncio.TaskGroup() as group:
        group.create_task(worker())
        group.create_task(clock.sleep(10))
    assert set(seen) == {0.0}
    assert clock.monotonic() == 10


async def test_time_stands_still_while_a_loopback_exchange_is_under_way() -> None:
    clock = VirtualClock()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    sleeping = asyncio.ensure_future(clock.sleep(1))
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    for _ in range(100):
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        assert clock.monotonic() == 0
    await sleeping
    assert clock.monotonic() == 1
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def test_a_cancelled_sleeper_does_not_move_the_clock() -> None:
    clock = VirtualClock()
    asleep = asyncio.ensure_future(clock.sleep(5))
    longer = asyncio.ensure_future(clock.sleep(7))
    await asyncio.sleep(0)
    asleep.cancel()
    await longer
    assert clock.monotonic() == 7


async def test_by_hand_everything_due_on_the_way_happens_at_its_own_time() -> None:
    clock = VirtualClock(autojump=False)
    ticks: list[float] = []

    async def ticker() -> None:
        while True:
            await clock.sleep(10)
            ticks.append(clock.monotonic())

    ticking = asyncio.ensure_future(ticker())
    await asyncio.sleep(0)
    await clock.advance(35)
    assert ticks == [10, 20, 30]
    assert clock.monotonic() == 35
    ticking.cancel()


async def test_an_autojumping_clock_refuses_a_second_hand() -> None:
    with pytest.raises(RuntimeError, match="autojump=False"):
        await VirtualClock().advance(1)


async def test_waiting_for_an_event_ends_with_the_event_or_with_the_time() -> None:
    clock = VirtualClock()
    event = asyncio.Event()
    assert await wait_for_event(event, clock, 30) is False
    assert clock.monotonic() == 30

    async def set_it() -> None:
        await clock.sleep(5)
        event.set()

    setting = asyncio.ensure_future(set_it())
    assert await wait_for_event(event, clock, 30) is True
    assert clock.monotonic() == 35
    await setting


async def test_work_has_so_much_time_of_the_clock_and_is_ended_when_it_is_over() -> None:
    clock = VirtualClock()
    ended: list[str] = []

    async def work(seconds: float) -> str:
        try:
            await clock.sleep(seconds)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return "done"

    assert await within(clock, 10, work(9)) == "done"
    with pytest.raises(TimeoutError, match="within 10 s"):
        await within(clock, 10, work(11))
    assert ended == ["cancelled"]
    assert clock.monotonic() == 19

    async def broken() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await within(clock, 10, broken())


async def test_the_machines_clock_is_aware_and_moves_forward() -> None:
    clock = SystemClock()
    assert clock.now().utcoffset() is not None
    before = clock.monotonic()
    await clock.sleep(0.001)
    assert clock.monotonic() > before


async def test_a_clock_on_which_nobody_sleeps_any_more_does_not_hold_up_the_next() -> None:
    first, second = VirtualClock(), VirtualClock()
    sleeping = asyncio.ensure_future(first.sleep(5))
    await asyncio.sleep(0)
    sleeping.cancel()
    await second.sleep(3600)
    assert (first.monotonic(), second.monotonic()) == (0, 3600)
