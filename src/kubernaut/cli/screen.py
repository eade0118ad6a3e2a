"""Drawing over what was drawn before: at most a few times a second, within the terminal's height and width."""

import asyncio
import shutil
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from kubernaut.cli.terminal import Terminal
from kubernaut.concurrency import Clock, Supervisor, SystemClock

REST_SECONDS = 0.3
"""Least time between two pictures."""
_TICK_SECONDS = 1.0
"""Without news it is drawn so often, for the durations."""
# ECMA-48: CUU moves the cursor up, EL clears the line, ED everything below.
_UP, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[{}A", "\x1b[2K", "\x1b[J"


class Cell(NamedTuple):
    """A piece of a line and its colour; the colour is no part of its width."""

    text: str
    colour: str = ""


Line = Sequence[Cell]
Picture = Callable[[int], Sequence[Line]]
"""Given the number of lines that fit, at most so many."""


@asynccontextmanager
async def drawn(terminal: Terminal, picture: Picture, clock: Clock | None = None) -> AsyncGenerator[asyncio.Event]:
    """Draws the picture until the block ends, and once more then. Set the event when something has changed."""
    clock = clock or SystemClock()
    changed = asyncio.Event()
    screen = _Screen(terminal)

    async def go_on() -> None:
        while True:
            changed.clear()
            screen.draw(picture(screen.height))
            await clock.sleep(REST_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK_SECONDS - REST_SECONDS):
                    await changed.wait()

    async with Supervisor() as supervisor:
        supervisor.start("draw", go_on())
        try:
            yield changed
        finally:
            supervisor.stop()
            screen.draw(picture(screen.height))


class _Screen:
    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._lines = 0

    @property
    def height(self) -> int:
        return max(3, shutil.get_terminal_size().lines - 1)

    def draw(self, lines: Sequence[Line]) -> None:
        """One write a picture, so that nothing flickers."""
        width = shutil.get_terminal_size().columns
        up = _UP.format(self._lines) if self._lines else ""
        body = "".join(f"{_CLEAR_LINE}{self._painted(line, width)}\n" for line in lines)
        sys.stdout.write(f"{up}\r{body}{_CLEAR_BELOW}")
        sys.stdout.flush()
        self._lines = len(lines)

    def _painted(self, line: Line, width: int) -> str:
        painted: list[str] = []
        for cell in line:
            text = cell.text[:width]
            width -= len(text)
            painted.append(self._terminal.paint(text, cell.colour))
        return "".join(painted).rstrip()
