"""What containers of the cases run: a few lines of shell, which a real node gives to `/bin/sh`.

The embedded node plays the same lines here, on the cluster's own clock. Of the language there is what the cases
need: `echo` (also into a file), `cat`, `sleep`, `exit`, `test -e FILE && exit N` (or `||`, or `sleep`),
`trap 'LINES' TERM`, and `sleep N & wait`, which a signal interrupts. As the first process of a container the shell
ignores SIGTERM unless it has a trap for it.
"""

import asyncio
import shlex
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from kubernaut.concurrency import Clock, wait_for_event
from kubernaut.devcluster.node import ScriptResult, ScriptStart

from .api import Json

MESSAGE_FILE = "/dev/termination-log"
FOR_EVER = "trap 'exit 0' TERM; sleep 100000 & wait"
"""A server: runs until it is told to stop."""
STUBBORN = "sleep 100000"


def container(program: str, image: str, name: str = "main", **more: object) -> Json:
    return {"name": name, "image": image, "command": ["/bin/sh", "-c", program], **more}


class _Exit(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class Player:
    """Plays programs on a clock; `play` is registered with the embedded node."""

    clock: Clock
    lost: list[str] = field(default_factory=list[str])
    """Lines that it did not understand."""

    async def play(self, start: ScriptStart) -> ScriptResult:
        shell = _Shell(self.clock, start)
        try:
            await shell.run(start.argv[2])
        except _Exit as ended:
            return ScriptResult(ended.code, termination_message=shell.message)
        except ValueError as error:
            self.lost.append(str(error))
            return ScriptResult(127, f"sh: {error}\n")
        return ScriptResult(0, termination_message=shell.message)


class _Shell:
    def __init__(self, clock: Clock, start: ScriptStart) -> None:
        self.clock = clock
        self.start = start
        self.message = ""
        self.trap: str | None = None

    async def run(self, program: str) -> None:
        for words in _commands(program):
            await self._do(words)
            if self.trap is not None and self.start.terminated.is_set():
                trap, self.trap = self.trap, None
                await self.run(trap)

    async def _do(self, words: list[str]) -> None:
        match words:
            case ["echo", *said, ">", place]:
                self._write(place, " ".join(said) + "\n")
            case ["echo", *said]:
                self.start.log(" ".join(self._value(word) for word in said) + "\n")
            case ["cat", place]:
                self.start.log(self._host(place).read_text())
            case ["sleep", seconds]:
                await self.clock.sleep(float(seconds))
            case ["sleep", seconds, "&", "wait"]:
                never = asyncio.Event()
                told = never if self.trap is None else self.start.terminated
                await wait_for_event(told, self.clock, float(seconds))
            case ["exit", code]:
                raise _Exit(int(code))
            case ["test", "-e", place, "&&" | "||" as word, "exit", code]:
                if self._host(place).exists() == (word == "&&"):
                    raise _Exit(int(code))
            case ["test", "-e", place, "&&", "sleep", seconds]:
                if self._host(place).exists():
                    await self.clock.sleep(float(seconds))
            case ["trap", lines, "TERM"]:
                self.trap = lines
            case _:
                raise ValueError(f"not played here: {words}")

    def _value(self, word: str) -> str:
        return self.start.environment.get(word[1:], "") if word.startswith("$") else word

    def _write(self, place: str, text: str) -> None:
        if place == MESSAGE_FILE:
            self.message = text
        else:
            self._host(place).write_text(text)

    def _host(self, place: str) -> Path:
        for mounted, source in self.start.files.items():
            if PurePosixPath(place).is_relative_to(mounted):
                return source / PurePosixPath(place).relative_to(mounted)
        raise ValueError(f"{place} is in no volume")


def _commands(program: str) -> list[list[str]]:
    lexer = shlex.shlex(program.replace("\n", ";"), posix=True, punctuation_chars=";&|>")
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    for word in lexer:
        if word == ";":
            commands.append([])
        else:
            commands[-1].append(word)
    return [words for words in commands if words]
