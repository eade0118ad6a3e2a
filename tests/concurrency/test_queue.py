"""Laws of the queue: turns of a key never overlap, and no key that was added is forgotten."""

import asyncio
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubernaut.concurrency import KeyedQueue, QueueClosed, VirtualClock


async def take_one(queue: KeyedQueue[str]) -> str:
    async with queue.turn() as key:
        return key


async def test_a_key_added_twice_is_handed_out_once() -> None:
    queue = KeyedQueue[str](VirtualClock())
    queue.add("a")
    queue.add("a")
    queue.add("b")
    assert [await take_one(queue), await take_one(queue)] == ["a", "b"]
    assert len(queue) == 0


async def test_a_key_added_during_its_turn_waits_for_done() -> None:
    queue = KeyedQueue[str](VirtualClock())
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    assert len(queue) == 0
    queue.done(key)
    assert await take_one(queue) == "a"


async def test_a_wish_during_a_turn_gives_one_more_turn_and_no_second() -> None:
    queue = KeyedQueue[str](VirtualClock())
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    queue.done(key)
    assert await take_one(queue) == "a"
    assert len(queue) == 0


async def test_every_key_comes_at_its_own_time() -> None:
    clock = VirtualClock()
    queue = KeyedQueue[str](clock)
    queue.add_after("a", 1.0)
    queue.add_after("b", 1.5)
    heard = [(await take_one(queue), clock.monotonic()) for _ in range(2)]
    assert heard == [("a", 1.0), ("b", 1.5)]


async def test_after_the_end_nothing_is_taken_in() -> None:
    queue = KeyedQueue[str](VirtualClock())
    queue.shutdown()
    queue.add("a")
    queue.add_after("b", 5)
    queue.retry("c")
    assert (len(queue), queue.delayed) == (0, 0)


async def test_a_turn_that_raises_gives_its_key_back() -> None:
    queue = KeyedQueue[str](VirtualClock())
    queue.add("a")
    with pytest.raises(ValueError, match="broken"):
        async with queue.turn():
            raise ValueError("broken")
    queue.add("a")
    assert await take_one(queue) == "a"


async def test_of_several_times_the_earliest_is_kept() -> None:
    clock = VirtualClock()
    queue = KeyedQueue[str](clock)
    queue.add_after("a", 60)
    queue.add_after("a", 5)
    queue.add_after("a", 30)
    assert await take_one(queue) == "a"
    assert clock.monotonic() == 5
    queue.add_after("b", 100)
    assert await take_one(queue) == "b"
    assert clock.monotonic() == 105


async def test_a_turn_now_does_not_cancel_the_look_again_later() -> None:
    clock = VirtualClock()
    queue = KeyedQueue[str](clock)
    queue.add_after("a", 60)
    queue.add("a")
    assert await take_one(queue) == "a"
    assert await take_one(queue) == "a"
    assert clock.monotonic() == 60


async def test_retries_double_from_base_to_cap_until_forgotten() -> None:
    queue = KeyedQueue[str](VirtualClock(), jitter=0.0)
    delays = [queue.retry("a") for _ in range(13)]
    assert delays[:4] == [0.2, 0.4, 0.8, 1.6]
    assert delays[-1] == 300
    queue.forget("a")
    assert queue.retry("a") == 0.2
    queue.shutdown()


async def test_jitter_spreads_retries_within_base_and_cap() -> None:
    queue = KeyedQueue[int](VirtualClock(), rng=random.Random(1))
    for key in range(50):
        queue.retry(key)
    delays = {queue.retry(key) for key in range(50)}
    assert len(delays) == 50
    assert all(0.36 <= delay <= 0.44 for delay in delays)
    assert all(queue.retry(key) >= 0.2 for key in range(50, 100)), "the first wait is shorter than the base"
    for _ in range(100):
        assert 0.2 <= queue.retry(0) <= 300
    queue.shutdown()


async def test_shutdown_wakes_workers_and_drain_waits_for_turns_under_way() -> None:
    queue = KeyedQueue[str](VirtualClock())
    queue.add("a")
    key = await queue.get()
    idle_worker = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    draining = asyncio.ensure_future(queue.drain())
    await asyncio.sleep(0)
    with pytest.raises(QueueClosed):
        await idle_worker
    assert not draining.done()
    queue.add("b")
    queue.done(key)
    await draining
    with pytest.raises(QueueClosed):
        await queue.get()


async def test_a_worker_cancelled_in_the_moment_it_is_woken_loses_no_key() -> None:
    queue = KeyedQueue[str](VirtualClock())
    first = asyncio.ensure_future(queue.get())
    second = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    first.cancel()
    assert await second == "a"
    queue.done("a")


async def test_done_for_a_key_that_nobody_holds_is_a_bug() -> None:
    with pytest.raises(ValueError, match="no worker"):
        KeyedQueue[str](VirtualClock()).done("a")


wishes = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.sampled_from(["add", "later", "retry", "forget"]),
        st.floats(0, 3),
        st.floats(0, 5),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=150)
@given(wishes=wishes, workers=st.integers(1, 4), seed=st.integers(0, 1000))
def test_no_two_turns_of_a_key_overlap_and_every_wish_is_followed_by_a_turn(
    wishes: list[tuple[str, str, float, float]], workers: int, seed: int
) -> None:
    asyncio.run(_play(wishes, workers, seed))


async def _play(wishes: list[tuple[str, str, float, float]], workers: int, seed: int) -> None:
    clock = VirtualClock()
    rng = random.Random(seed)
    queue = KeyedQueue[str](clock, rng=rng)
    at_work: Counter[str] = Counter()
    turns: dict[str, list[float]] = {}
    wanted: dict[str, list[float]] = {}

    async def worker() -> None:
        while True:
            try:
                async with queue.turn() as key:
                    at_work[key] += 1
                    assert at_work[key] == 1, "two turns of one key overlap"
                    turns.setdefault(key, []).append(clock.monotonic())
                    await clock.sleep(rng.choice([0.0, 0.5, 2.0]))
                    at_work[key] -= 1
            except QueueClosed:
                return

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(worker())
        for key, wish, pause, seconds in wishes:
            await clock.sleep(pause)
            now = clock.monotonic()
            if wish == "forget":
                queue.forget(key)
                continue
            wanted.setdefault(key, []).append(now)
            if wish == "add":
                queue.add(key)
            elif wish == "later":
                queue.add_after(key, seconds)
            else:
                queue.retry(key)
        await clock.sleep(1000)
        await queue.drain()
    for key, moments in wanted.items():
        assert max(turns[key]) >= max(moments), "a wish was followed by no turn"
    assert (len(queue), queue.working, queue.delayed) == (0, 0, 0)
