"""Contracts of images that the catalogue does not name: read from their registries beside the turns.

A turn never waits for a registry. It asks what is known, and is woken when more is; what a registry said stays
known by the image's name, whose digest no other content can have.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta

from kubernaut.api.contract import ActionContract
from kubernaut.api.faults import Fault
from kubernaut.cluster import Key
from kubernaut.concurrency import Clock, KeyedQueue, QueueClosed, Supervisor, within
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
from kubernaut.planning.facts import Obstacle
from kubernaut.telemetry import get_log, redact_text

log = get_log(__name__)

ReadContract = Callable[[str], Awaitable[ActionContract]]
"""Of an image by digest. Raises ImageError."""
OpenReader = Callable[[], AbstractAsyncContextManager[ReadContract]]

READ_SECONDS = 15.0
"""The longest that one contract may take: two small requests, and logging in."""
QUIET_SECONDS = 2.0
"""A contract that takes longer to read is worth a word in the status."""
FINAL_SECONDS = 5.0
"""How long a refusal is believed: whoever mends the image and submits again shall not meet it again."""
RETRY_SECONDS, RETRY_CAP = 2.0, 30.0
MOST_KNOWN = 256
_READERS = 8
_MESSAGE = 400


@dataclass(frozen=True)
class Known:
    """What is known of some images."""

    contracts: Mapping[str, ActionContract]
    unreadable: Mapping[str, Fault]
    awaited: frozenset[str]
    obstacle: Obstacle | None


@dataclass(frozen=True)
class _Reading:
    """What came of reading one image: exactly one of contract, refusal and trouble."""

    at: float
    contract: ActionContract | None = None
    refusal: Fault | None = None
    trouble: str = ""
    failures: int = 0

    @property
    def good_for(self) -> float:
        """Seconds until it has to be read again."""
        if self.contract is not None:
            return float("inf")
        if self.refusal is not None:
            return FINAL_SECONDS
        return min(RETRY_CAP, RETRY_SECONDS * 2.0 ** min(self.failures - 1, 8))


class ImageContracts:
    """Answers at once with what is known, has the rest read, and wakes those who asked."""

    def __init__(self, open_reader: OpenReader, clock: Clock) -> None:
        self._open = open_reader
        self._clock = clock
        self._known: OrderedDict[str, _Reading] = OrderedDict()
        self._queue: KeyedQueue[str] = KeyedQueue(clock=clock)
        self._asked: dict[str, float] = {}
        """Since when an answer is waited for, of images that are being read."""
        self._waiting: dict[str, set[Key]] = {}
        self._wake: Callable[[Key], None] = lambda _key: None

    async def run(self, wake: Callable[[Key], None]) -> None:
        """Reads what is asked for until it is cancelled; `wake` is told whom an answer concerns."""
        self._wake = wake
        async with self._open() as read, Supervisor() as supervisor:
            for number in range(_READERS):
                supervisor.start(f"contract reader {number}", self._work(read))

    def of(self, images: Iterable[str], key: Key) -> Known:
        """What is known of these images now; the object `key` is woken when more is."""
        contracts: dict[str, ActionContract] = {}
        unreadable: dict[str, Fault] = {}
        obstacles: dict[str, Obstacle] = {}
        for image in images:
            reading = self._look_up(image)
            if reading is None or self._is_stale(reading):
                self._want(image, key)
            if reading is not None and reading.contract is not None:
                contracts[image] = reading.contract
            elif reading is not None and reading.refusal is not None and not self._is_stale(reading):
                unreadable[image] = reading.refusal
            else:
                obstacles[image] = self._obstacle(image, reading)
        # What is worth telling before what has only begun; of those, what is looked at first.
        worst = min(obstacles.values(), key=lambda found: (not found.is_news, found.again_at), default=None)
        return Known(contracts, unreadable, frozenset(obstacles), worst)

    def _look_up(self, image: str) -> _Reading | None:
        found = self._known.get(image)
        if found is not None:
            self._known.move_to_end(image)
        return found

    def _is_stale(self, reading: _Reading) -> bool:
        return self._clock.monotonic() - reading.at >= reading.good_for

    def _want(self, image: str, key: Key) -> None:
        self._waiting.setdefault(image, set()).add(key)
        if image not in self._asked:
            self._asked[image] = self._clock.monotonic()
            self._queue.add(image)

    def _obstacle(self, image: str, reading: _Reading | None) -> Obstacle:
        now, monotonic = self._clock.now(), self._clock.monotonic()
        if reading is not None and reading.trouble:
            left = max(1.0, reading.at + reading.good_for - monotonic)
            message = f"The contract of {image} cannot be read yet: {reading.trouble}"
            return Obstacle("RegistryUnreachable", message, now + timedelta(seconds=left))
        lasted = monotonic - self._asked.get(image, monotonic)
        again = now + timedelta(seconds=max(1.0, QUIET_SECONDS - lasted))
        message = f"The contract of {image} is being read; its registry has not answered yet"
        return Obstacle("ReadingContract", message, again, is_news=lasted >= QUIET_SECONDS)

    async def _work(self, read: ReadContract) -> None:
        while True:
            try:
                async with self._queue.turn() as image:
                    await self._read(image, read)
            except QueueClosed:
                return

    async def _read(self, image: str, read: ReadContract) -> None:
        before = self._known.get(image)
        failures = (before.failures if before is not None else 0) + 1
        reading = await self._reading(image, read, failures)
        self._known[image] = reading
        self._known.move_to_end(image)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        self._asked.pop(image, None)
        for key in self._waiting.pop(image, ()):
            self._wake(key)

    async def _reading(self, image: str, read: ReadContract, failures: int) -> _Reading:
        async def asked() -> ActionContract:
            return await read(image)

        try:
            contract = await within(self._clock, READ_SECONDS, asked())
        except (ImageError, OSError) as error:  # TimeoutError is one, too
            refusal, trouble = _judged(error)
            log.info("no contract of an image", image=image, error=str(error), final=refusal is not None)
            return _Reading(self._clock.monotonic(), None, refusal, trouble, failures)
        except Exception as error:  # the edge of a reading: one bad image must not stop the others
            log.exception("reading a contract has a bug", image=image)
            return _Reading(self._clock.monotonic(), trouble=type(error).__name__, failures=failures)
        return _Reading(self._clock.monotonic(), contract)


def fault_of(error: ImageError | OSError) -> Fault:
    """Why a contract cannot be had, whether that may pass or not; the path is the judge's to fill in."""
    refusal, trouble = _judged(error)
    return refusal or Fault("", f"the image's contract cannot be read now: {trouble}", "Try again.")


def _judged(error: ImageError | OSError) -> tuple[Fault | None, str]:
    """Whether it is final, and why; or what may pass by itself. Nothing of a login gets into the words."""
    said = redact_text(str(error))[:_MESSAGE]
    match error:
        case RegistryUnreachable() | OSError():
            return None, said
        case RegistryRefused() if error.status == 429 or error.status >= 500:
            return None, said
        case NotInRegistry():
            mend = "Push it, or mend its name and digest."
            return Fault("", f"the image is not in its registry: {said}", mend), ""
        case RegistryUnauthorised():
            mend = "Give the controller a login: the setting registry.dockerConfig."
            return Fault("", f"the image's registry does not let the controller in: {said}", mend), ""
        case ContractMissing():
            return Fault("", said, "Build it with the sdk, or give it the label."), ""
        case ContractTooNew():
            return Fault("", said, "Bring kubernaut up to date, or take an older image."), ""
        case ContentInvalid():
            return Fault(
                "", f"the image's contract is invalid: {said}", "Whoever makes the image has to mend it."
            ), ""
        case _:
            return Fault("", f"the image's contract cannot be read: {said}"), ""
