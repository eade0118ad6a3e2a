"""`kubernaut dev`."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from kubernaut.cli.commands.dev_fault import fault
from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import verbose
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    import asyncio

    from kubernaut.cli.home import Shape
    from kubernaut.devcluster.keeping import SqliteJournal

_START_SECONDS = 60.0
_STOP_SECONDS = 60.0
_LOOK_AGAIN_SECONDS = 0.05


class _Place:
    """The files of the one cluster of this user."""

    def __init__(self, terminal: Terminal) -> None:
        # State, by the XDG base directories: it outlives a restart of the machine, as the kubeconfig should not.
        variables = terminal.environment
        root = variables.get("XDG_STATE_HOME") or f"{variables.get('HOME') or '/tmp'}/.local/state"
        self.folder = Path(root) / "kubernaut" / "dev"
        self.kubeconfig = self.folder / "kubeconfig"
        self.log = self.folder / "log"
        self.kept = self.folder / "state.sqlite"
        """The objects of a cluster that is kept."""
        self.ready = self.folder / "ready"
        """The pid of a cluster that answers."""

    def lock(self) -> IO[str] | None:
        """Held by the process that is the cluster; None where another holds it."""
        import fcntl

        self.folder.mkdir(parents=True, exist_ok=True)
        file = (self.folder / "lock").open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file

    def forget(self) -> None:
        """With the files that SQLite puts beside its own."""
        for end in ("", "-wal", "-shm"):
            self.kept.with_name(self.kept.name + end).unlink(missing_ok=True)

    @property
    def registry(self) -> str:
        """Where images can be pushed to; empty when that is not known."""
        try:
            return f"localhost:{int((self.folder / 'registry' / 'port').read_text())}"
        except (OSError, ValueError):
            return ""

    @property
    def is_running(self) -> bool:
        lock = self.lock()
        if lock is None:
            return True
        lock.close()
        return False

    @property
    def pid(self) -> int | None:
        """Of the running cluster, once it answers."""
        try:
            return int(self.ready.read_text()) if self.is_running else None
        except (FileNotFoundError, ValueError):
            return None


def kubeconfig_of(terminal: Terminal) -> Path:
    """Of the cluster, whether it is up or not."""
    return _Place(terminal).kubeconfig


def _quantities(_: click.Context, __: click.Parameter, text: str | None) -> dict[str, str]:
    from kubernaut.devcluster.quantities import parse_quantity

    found: dict[str, str] = {}
    for entry in (text or "").split(","):
        name, equals, amount = entry.partition("=")
        try:
            if entry and (not equals or not name or parse_quantity(amount) < 0):
                raise ValueError
        except ValueError:
            raise click.BadParameter(f"{entry!r} is not a resource and its quantity, such as cpu=4") from None
        if entry:
            found[name] = amount
    return found


@click.group("dev")
def command() -> None:
    """Start, stop and inspect a cluster on this machine."""


command.add_command(fault)


@command.command("up")
@click.option("--foreground", is_flag=True, help="Stay here until interrupted; the log goes to standard error.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of the API server. Default: any free one.")
@click.option("--keep", is_flag=True, help="Keep the objects in a file for the next time; see dev down --forget.")
@click.option("--nodes", type=click.IntRange(1, 50), default=1, show_default=True, help="How many there are.")
@click.option(
    "--allocatable",
    metavar="NAME=QUANTITY,...",
    callback=_quantities,
    help="What each node has, such as cpu=4,memory=8Gi. Default: cpu=16,memory=32Gi,pods=1000.",
)
@click.option(
    "--runtime",
    type=click.Choice(["auto", "bubblewrap", "plain"]),
    default="auto",
    show_default=True,
    help="How containers run: in sandboxes, or as plain processes of this machine.",
)
@click.option(
    "--registry-port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Of the image registry. Default: as the last time, or any free one.",
)
@click.option(
    "--pull-from",
    "pull_from",
    metavar="HOST[:PORT]",
    multiple=True,
    help="Really pull and run images of this registry, too ('*': of all). Otherwise other registries' images are "
    "simulated.",
)
@verbose
def up(foreground: bool, port: int, keep: bool, **shape: Any) -> None:
    """Start the cluster, with kubernaut at work in it.

    Everything lives in one process on loopback. It is forgotten when it stops, unless it was started with --keep:
    then it goes on with the same objects when it is started again, until `kubernaut dev down --forget`. Actions
    may touch all of its namespaces. Images that are pushed to its registry, on localhost, are run by pods that
    name them there.
    """
    terminal = current_terminal()
    place = _Place(terminal)
    if keep and not place.is_running:
        place.kept.parent.mkdir(parents=True, exist_ok=True)
        place.kept.touch(mode=0o600)
    if foreground:
        _stay(terminal, place, port, shape)
        return
    if place.is_running:
        terminal.say("the cluster is up already")
    else:
        _start(terminal, place, port, shape)
    terminal.say("use it with:")
    terminal.say(f"  export KUBECONFIG={place.kubeconfig}")
    if registry := place.registry:
        terminal.say(f"push images to {registry}")


@command.command("down")
@click.option("--forget", is_flag=True, help="Forget the objects that `kubernaut dev up --keep` has kept.")
@verbose
def down(forget: bool) -> None:
    """Stop the cluster; everything in it is forgotten, unless it was started with --keep."""
    from kubernaut.cli.session import speak

    terminal = current_terminal()
    place = _Place(terminal)
    pid = place.pid
    if pid is None:
        terminal.say("no cluster is up")
    else:
        os.kill(pid, signal.SIGTERM)
        speak(_until(lambda: not place.is_running, _STOP_SECONDS, f"the cluster (process {pid}) does not stop"))
        terminal.say("the cluster is down")
    if forget:
        place.forget()
        terminal.say("its objects are forgotten")


@command.command("status")
@verbose
def status() -> int:
    """Tell whether the cluster is up and how it is; the exit code is 0 only then."""
    from kubernaut.cli.commands.doctor import examine
    from kubernaut.cli.options import Where
    from kubernaut.cli.session import speak

    terminal = current_terminal()
    place = _Place(terminal)
    pid = place.pid
    if pid is None:
        terminal.say("no cluster is up; start one with: kubernaut dev up")
        return Exit.UNREACHABLE
    terminal.say(f"the cluster is up: process {pid}, kubeconfig {place.kubeconfig}, log {place.log}")
    return speak(examine(terminal, Where(place.kubeconfig)))


def _start(terminal: Terminal, place: _Place, port: int, shape: dict[str, Any]) -> None:
    """Starts the process in the background and waits until it answers. Raises CommandFailed."""
    from kubernaut.cli.session import speak

    place.ready.unlink(missing_ok=True)
    arguments = [sys.executable, "-m", "kubernaut.cli", "dev", "up", "--foreground", f"--port={port}"]
    arguments += [f"--nodes={shape['nodes']}", f"--runtime={shape['runtime']}"]
    arguments += [
        f"--registry-port={shape['registry_port']}",
        *(f"--pull-from={one}" for one in shape["pull_from"]),
    ]
    if shape["allocatable"]:
        arguments.append(f"--allocatable={','.join(f'{k}={v}' for k, v in shape['allocatable'].items())}")
    with place.log.open("wb") as log:
        process = subprocess.Popen(
            [*arguments, *(["-v"] if terminal.verbose else [])],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # an interrupt of this terminal is not meant for the cluster
        )

    def answered() -> bool:
        if process.poll() is not None:
            end = place.log.read_text(errors="replace").strip().splitlines()[-5:]
            raise CommandFailed(
                "the cluster did not start", mend="\n".join([f"Its log, {place.log}, ends:", *end])
            )
        return place.ready.exists()

    speak(_until(answered, _START_SECONDS, f"the cluster does not answer; its log is {place.log}"))
    # It outlives this process, which must not be blamed for that.
    process.returncode = 0


async def _until(condition: Callable[[], bool], seconds: float, complaint: str) -> None:
    """Waits for something that nobody tells of. Raises CommandFailed after so many seconds."""
    from kubernaut.concurrency import SystemClock

    clock = SystemClock()
    deadline = clock.monotonic() + seconds
    while not condition():
        if clock.monotonic() > deadline:
            raise CommandFailed(complaint)
        await clock.sleep(_LOOK_AGAIN_SECONDS)


def _stay(terminal: Terminal, place: _Place, port: int, shape: dict[str, Any]) -> None:
    from kubernaut.cli.session import speak
    from kubernaut.telemetry import set_up_logging

    lock = place.lock()
    if lock is None:
        raise CommandFailed("a cluster of yours is up already", mend="Stop it with: kubernaut dev down")
    set_up_logging("debug" if terminal.verbose else "info", "console")
    with lock:
        try:
            speak(_be_the_cluster(terminal, place, port, shape), for_long=True)
        finally:
            for file in (place.ready, place.kubeconfig):
                file.unlink(missing_ok=True)


async def _be_the_cluster(terminal: Terminal, place: _Place, port: int, shape: dict[str, Any]) -> None:
    import asyncio

    from kubernaut.cli.home import Shape

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    journal = _journal(place) if place.kept.exists() else None
    with contextlib.closing(journal) if journal else contextlib.nullcontext():
        await _live(terminal, place, (port, Shape(**shape)), journal, stop)


def _journal(place: _Place) -> "SqliteJournal":
    """Raises CommandFailed."""
    import sqlite3

    from kubernaut.devcluster.keeping import SqliteJournal

    try:
        return SqliteJournal(place.kept)
    except (OSError, sqlite3.Error) as error:
        raise CommandFailed(
            f"what was kept cannot be read: {error}", mend="Forget it with: kubernaut dev down --forget"
        ) from None


async def _live(
    terminal: Terminal,
    place: _Place,
    asked: "tuple[int, Shape]",
    journal: "SqliteJournal | None",
    stop: "asyncio.Event",
) -> None:
    from kubernaut.cli.home import home
    from kubernaut.cli.installing import EVERYWHERE

    port, shape = asked
    async with home(terminal, place.folder, targets=[EVERYWHERE], port=port, journal=journal, shape=shape) as here:
        place.ready.write_text(str(os.getpid()))
        terminal.remark(f"up at {here.server.url}; actions run in {here.runtime}; kubeconfig {here.kubeconfig}")
        await stop.wait()
        with contextlib.suppress(FileNotFoundError):
            place.ready.unlink()
