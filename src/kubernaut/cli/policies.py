"""What the policy commands share: reading a set from files, and saying why it is refused."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import Duration
from kubernaut.cli.terminal import Terminal

if TYPE_CHECKING:
    from kubernaut.safety.rego import PolicySet, RegoEngine, UnreadableSet

F = TypeVar("F", bound=Callable[..., Any])

EVALUATION_SECONDS = 5.0


def library_option(function: F) -> F:
    """`--library/--no-library`; a command gets `library`."""
    return click.option(
        "--library/--no-library", default=True, show_default=True, help="With the shipped policies, too."
    )(function)


def limit_option(function: F) -> F:
    """`--timeout`; a command gets `timeout`, seconds."""
    return click.option(
        "--timeout",
        type=Duration(),
        default=EVALUATION_SECONDS,
        show_default="5s",
        help="The most that one evaluation may take.",
    )(function)


def read_set(paths: Sequence[Path], *, library: bool, with_tests: bool = False, terminal: Terminal) -> "PolicySet":
    """The policies of these files and folders. Raises CommandFailed after printing each fault."""
    from kubernaut.safety.rego import UnreadableSet, from_paths, with_library

    try:
        own = from_paths(paths, with_tests=with_tests)
    except UnreadableSet as refused:
        raise told(refused, terminal) from None
    if paths and not own.sources and not own.data:
        raise CommandFailed(
            f"there are no policies in {', '.join(map(str, paths))}",
            mend="Policies are files that end in .rego.",
            code=Exit.USAGE,
        )
    return with_library(own) if library else own


@asynccontextmanager
async def compiled(policies: "PolicySet", seconds: float, terminal: Terminal) -> "AsyncGenerator[RegoEngine]":
    """The set, ready to be asked. Raises CommandFailed after printing each fault."""
    from kubernaut.safety.rego import Limits, RegoEngine, UnreadableSet

    try:
        engine = await RegoEngine.load(policies, Limits(seconds=seconds))
    except UnreadableSet as refused:
        raise told(refused, terminal) from None
    try:
        yield engine
    finally:
        await engine.aclose()


def told(refused: "UnreadableSet", terminal: Terminal) -> CommandFailed:
    """Prints every fault; what is returned ends the command."""
    for fault in refused.faults:
        terminal.remark(str(fault))
    count = len(refused.faults)
    return CommandFailed(
        f"refused as a whole: {count} fault{'s' * (count != 1)} in these policies",
        mend="Mend them, and look with: kubernaut policy lint",
        code=Exit.REFUSED,
    )
