"""Bursts are bounded, and no task dies unseen."""

import asyncio

import pytest

from kubernaut.concurrency import Limiter, Supervisor, TaskEnded, VirtualClock


async def test_a_burst_is_free_and_the_rest_comes_at_the_rate() -> None:
    clock = VirtualClock()
    limiter = Limiter(qps=20, burst=30, clock=clock)
    for _ in range(30):
        assert await limiter.take() == 0
    for _ in range(20):
        await limiter.take()
    assert clock.monotonic() == pytest.approx(1.0)


async def test_those_who_come_together_go_one_after_the_other_at_the_rate() -> None:
    clock = VirtualClock()
    limiter = Limiter(qps=10, burst=1, clock=clock)
    waits = await asyncio.gather(*(limiter.take() for _ in range(4)))
    assert waits == pytest.approx([0, 0.1, 0.2, 0.3])
    assert clock.monotonic() == pytest.approx(0.3)


async def test_the_bucket_refills_to_the_burst_and_no_further() -> None:
    clock = VirtualClock()
    limiter = Limiter(qps=10, burst=2, clock=clock)
    await clock.sleep(3600)
    assert [await limiter.take(), await limiter.take()] == [0, 0]
    assert await limiter.take() == pytest.approx(0.1)


async def test_a_cancelled_wait_gives_its_token_back() -> None:
    clock = VirtualClock(autojump=False)
    limiter = Limiter(qps=1, burst=1, clock=clock)
    await limiter.take()
    waiting = asyncio.ensure_future(limiter.take())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    await clock.advance(1)
    assert await limiter.take() == 0


@pytest.mark.parametrize(("qps", "burst"), [(0, 1), (-1, 1), (1, 0)])
async def test_a_limiter_that_could_never_let_anything_through_is_refused(qps: float, burst: int) -> None:
    with pytest.raises(ValueError, match="qps > 0"):
        Limiter(qps, burst)


async def forever() -> None:
    await asyncio.Event().wait()


async def at_once() -> None:
    return


async def broken() -> None:
    raise ValueError("broken")


async def test_one_failure_ends_all_tasks_and_says_which_task_it_was() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with Supervisor() as supervisor:
            supervisor.start("watch jobs", forever(), eternal=True)
            supervisor.start("sweep", broken())
    (error,) = caught.value.exceptions
    assert isinstance(error, ValueError)
    assert error.__notes__ == ["in task 'sweep'"]


async def test_an_eternal_task_that_returns_is_an_error() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with Supervisor() as supervisor:
            supervisor.start("watch jobs", at_once(), eternal=True)
            supervisor.start("other", forever(), eternal=True)
    assert isinstance(caught.value.exceptions[0], TaskEnded)
    assert "watch jobs" in str(caught.value.exceptions[0])


async def test_an_orderly_stop_is_quiet_even_for_tasks_that_never_began() -> None:
    async with Supervisor() as supervisor:
        supervisor.start("a", forever(), eternal=True)
        await asyncio.sleep(0)
        assert supervisor.names == ["a"]
        supervisor.start("b", forever(), eternal=True)
        supervisor.stop()
    assert supervisor.names == []


async def test_a_task_that_may_end_ends_without_disturbing_others() -> None:
    async with Supervisor() as supervisor:
        keeps = supervisor.start("keeps", forever(), eternal=True)
        await supervisor.start("short", at_once())
        assert not keeps.done()
        supervisor.stop()
