"""What is known of images that the catalogue does not name: asked once, kept, tried again, never waited for."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from kubernaut.api.contract import ActionContract, ContractMeta, ContractSpec
from kubernaut.cluster import Key
from kubernaut.concurrency import Supervisor, VirtualClock
from kubernaut.controllers.contracts import MOST_KNOWN, READ_SECONDS, ImageContracts, ReadContract
from kubernaut.oci import (
    ContentInvalid,
    ContractMissing,
    ContractTooNew,
    ImageError,
    NotInRegistry,
    RegistryRefused,
    RegistryUnauthorised,
    RegistryUnreachable,
)

CONTRACT = ActionContract(metadata=ContractMeta(name="a/b", version="1.0.0"), spec=ContractSpec())
KEY: Key = ("ns", "run")


class Registry:
    """Answers as it is told, and counts how often it was asked."""

    def __init__(self) -> None:
        self.clock = VirtualClock(autojump=False)
        self.answers: dict[str, ActionContract | Exception | None] = {}
        """None: no answer at all."""
        self.asked: Counter[str] = Counter()
        self.woken: list[Key] = []
        self.contracts = ImageContracts(self._open, self.clock)

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[ReadContract]:
        async def read(image: str) -> ActionContract:
            self.asked[image] += 1
            answer = self.answers.get(image, CONTRACT)
            if answer is None:
                await asyncio.Event().wait()
            if isinstance(answer, Exception):
                raise answer
            assert isinstance(answer, ActionContract)
            return answer

        yield read


@pytest.fixture
async def registry() -> AsyncGenerator[Registry]:
    made = Registry()
    async with Supervisor() as supervisor:
        supervisor.start("contracts", made.contracts.run(made.woken.append))
        yield made
        supervisor.stop()


async def test_a_contract_is_read_once_and_those_who_asked_are_woken(registry: Registry) -> None:
    other: Key = ("ns", "other")
    for key in (KEY, other, KEY):
        known = registry.contracts.of(["i"], key)
        assert known.awaited == {"i"}
        assert known.obstacle is not None
        assert not known.obstacle.is_news
    await registry.clock.advance(0.1)
    assert sorted(registry.woken) == [other, KEY]
    assert registry.contracts.of(["i"], KEY).contracts == {"i": CONTRACT}
    await registry.clock.advance(3600)
    assert registry.contracts.of(["i"], KEY).obstacle is None
    assert registry.asked == {"i": 1}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NotInRegistry("MANIFEST_UNKNOWN"), "the image is not in its registry: MANIFEST_UNKNOWN"),
        (RegistryUnauthorised("401"), "does not let the controller in: 401"),
        (RegistryRefused("DENIED", 400), "cannot be read: DENIED"),
        (ContractMissing("it has no label"), "it has no label"),
        (ContentInvalid("not a contract"), "the image's contract is invalid: not a contract"),
        (ContractTooNew("of v2"), "of v2"),
    ],
)
async def test_what_does_not_heal_by_itself_is_refused_at_once(
    registry: Registry, error: ImageError, words: str
) -> None:
    registry.answers["i"] = error
    registry.contracts.of(["i"], KEY)
    await registry.clock.advance(0.1)
    known = registry.contracts.of(["i"], KEY)
    assert words in known.unreadable["i"].message
    assert (known.obstacle, known.awaited) == (None, frozenset())
    # Mended, and submitted again: the old refusal is soon not believed any more.
    registry.answers["i"] = CONTRACT
    await registry.clock.advance(6)
    assert registry.contracts.of(["i"], KEY).awaited == {"i"}
    await registry.clock.advance(0.1)
    assert registry.contracts.of(["i"], KEY).contracts == {"i": CONTRACT}


@pytest.mark.parametrize(
    "error",
    [RegistryUnreachable("refused"), RegistryRefused("busy", 429), RegistryRefused("oops", 503), OSError("disk")],
    ids=lambda error: str(error),
)
async def test_what_may_pass_is_told_and_tried_again_with_growing_pauses(
    registry: Registry, error: Exception
) -> None:
    registry.answers["i"] = error
    registry.contracts.of(["i"], KEY)
    await registry.clock.advance(0.1)
    pauses: list[float] = []
    for _ in range(6):
        known = registry.contracts.of(["i"], KEY)
        assert known.obstacle is not None
        assert (known.obstacle.reason, known.obstacle.is_news) == ("RegistryUnreachable", True)
        assert known.awaited == {"i"}
        wait = (known.obstacle.again_at - registry.clock.now()) / timedelta(seconds=1)
        pauses.append(round(wait))
        await registry.clock.advance(wait + 0.01)  # moments are rounded to microseconds
        registry.contracts.of(["i"], KEY)
        await registry.clock.advance(0.1)
    assert pauses == [2, 4, 8, 16, 30, 30]
    assert registry.asked["i"] == 7
    registry.answers["i"] = CONTRACT
    await registry.clock.advance(31)
    registry.contracts.of(["i"], KEY)
    await registry.clock.advance(0.1)
    assert registry.woken[-1] == KEY
    assert registry.contracts.of(["i"], KEY).contracts == {"i": CONTRACT}


async def test_a_registry_that_says_nothing_is_told_of_within_seconds_and_given_up(registry: Registry) -> None:
    registry.answers["i"] = None
    first = registry.contracts.of(["i"], KEY).obstacle
    assert first is not None
    await registry.clock.advance((first.again_at - registry.clock.now()) / timedelta(seconds=1))
    known = registry.contracts.of(["i"], KEY)
    assert known.obstacle is not None
    assert (known.obstacle.reason, known.obstacle.is_news) == ("ReadingContract", True)
    assert registry.clock.monotonic() <= 5
    await registry.clock.advance(READ_SECONDS)
    assert registry.woken == [KEY]
    after = registry.contracts.of(["i"], KEY).obstacle
    assert after is not None
    assert after.reason == "RegistryUnreachable"


async def test_one_image_that_cannot_be_read_holds_up_no_other(registry: Registry) -> None:
    registry.answers |= {"dark": None, "bug": ZeroDivisionError()}
    registry.contracts.of(["dark", "bug", "good"], KEY)
    await registry.clock.advance(0.1)
    known = registry.contracts.of(["dark", "bug", "good"], KEY)
    assert set(known.contracts) == {"good"}
    assert known.awaited == {"dark", "bug"}
    assert known.obstacle is not None
    assert "bug" in known.obstacle.message


async def test_no_more_is_kept_than_fits(registry: Registry) -> None:
    images = [f"i{number}" for number in range(MOST_KNOWN + 10)]
    for image in images:
        registry.contracts.of([image, images[0]], KEY)
        await registry.clock.advance(0.01)
    assert registry.contracts.of(images[:1], KEY).contracts
    assert registry.contracts.of(images[1:2], KEY).awaited


async def test_no_login_gets_into_the_words(registry: Registry) -> None:
    registry.answers["i"] = RegistryUnreachable("https://user:hunter2-hunter2@registry.example: refused")
    registry.contracts.of(["i"], KEY)
    await registry.clock.advance(0.1)
    known = registry.contracts.of(["i"], KEY)
    assert known.obstacle is not None
    assert "hunter2" not in known.obstacle.message
