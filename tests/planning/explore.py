"""Visiting every world that can be reached, asking laws of them, and telling how a broken law came about."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from .sketch import key_of
from .world import World

Happenings = Callable[[World], Iterable[tuple[str, World]]]
MoveLaw = Callable[[World, World], None]
WorldLaw = Callable[[World], None]


@dataclass
class Reached:
    """The graph of worlds: which happening leads from where to where."""

    worlds: dict[bytes, World] = field(default_factory=dict[bytes, World])
    next: dict[bytes, list[tuple[str, bytes, World]]] = field(
        default_factory=dict[bytes, list[tuple[str, bytes, World]]]
    )
    came: dict[bytes, tuple[bytes, str]] = field(default_factory=dict[bytes, tuple[bytes, str]])

    def each_world(self, law: WorldLaw) -> None:
        """Asks a law of every world."""
        for key, world in self.worlds.items():
            try:
                law(world)
            except AssertionError as broken:
                broken.add_note(f"after: {self.story(key)}")
                raise

    def each_move(self, law: MoveLaw) -> None:
        """Asks a law of every happening: the worlds before and after it."""
        for key, followers in self.next.items():
            for label, _, after in followers:
                try:
                    law(self.worlds[key], after)
                except AssertionError as broken:
                    broken.add_note(f"after: {self.story(key)} > {label}")
                    raise

    def story(self, key: bytes) -> str:
        """The shortest way that led to a world."""
        labels: list[str] = []
        while key in self.came:
            key, label = self.came[key]
            labels.append(label)
        return " > ".join(reversed(labels))

    def dead_ends(self, is_good: Callable[[World], bool]) -> list[str]:
        """The stories of the worlds from which no good world can be reached any more."""
        before: dict[bytes, list[bytes]] = {key: [] for key in self.worlds}
        for key, followers in self.next.items():
            for _, follower, _ in followers:
                before[follower].append(key)
        alive = {key for key, world in self.worlds.items() if is_good(world)}
        waiting = list(alive)
        while waiting:
            for key in before[waiting.pop()]:
                if key not in alive:
                    alive.add(key)
                    waiting.append(key)
        return [self.story(key) for key in self.worlds if key not in alive]


def explore(start: World, happenings: Happenings, most: int = 200_000) -> Reached:
    """All worlds reachable from `start`."""
    reached = Reached()
    first = key_of(start)
    reached.worlds[first] = start
    waiting = deque([first])
    while waiting:
        key = waiting.popleft()
        followers = reached.next[key] = []
        for label, after in happenings(reached.worlds[key]):
            follower = key_of(after)
            followers.append((label, follower, after))
            if follower not in reached.worlds:
                assert len(reached.worlds) < most, "the world is larger than it was meant to be"
                reached.worlds[follower] = after
                reached.came[follower] = (key, label)
                waiting.append(follower)
    return reached
