"""Clusters for the commands, and ways to run them in process."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kubernaut.cli.app import run
from kubernaut.cli.examples import example
from kubernaut.cli.home import home
from kubernaut.cli.manifests import read_manifests
from kubernaut.cli.terminal import Terminal
from kubernaut.cluster import Cluster


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


Kubernaut = Callable[..., Said]


@pytest.fixture
def kubernaut(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Kubernaut:
    """Runs a command line in this process, without a cluster."""

    def invoke(*arguments: str, **variables: str) -> Said:
        capsys.readouterr()
        code = run(arguments, Terminal({"HOME": str(tmp_path), **variables}))
        printed = capsys.readouterr()
        return Said(code, printed.out, printed.err)

    return invoke


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of a cluster that many tests share, in a thread of this process.

    Kubernaut is at work in it and may touch all of it; tests tell their executions apart by name. Beside it stand
    `nobody.kubeconfig`, of a user without permissions, and `expired.kubeconfig`, of one whose token has run out.
    """
    folder = tmp_path_factory.mktemp("shared")
    up, failures = threading.Event(), list[BaseException]()
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def stay() -> None:
        patient = [manifest.document for manifest in read_manifests((str(example("payment-service.yaml")),))]
        terminal = Terminal({"HOME": str(folder)})
        async with home(terminal, folder / "cluster", before=patient, targets=["*"]) as place:
            for user, token in (("nobody", place.server.token_of("nobody", ())), ("expired", "no-longer-good")):
                (folder / "cluster" / f"{user}.kubeconfig").write_text(place.server.kubeconfig_of(token))
            stop = asyncio.Event()
            loops.append((asyncio.get_running_loop(), stop))
            up.set()
            await stop.wait()

    def work() -> None:
        try:
            asyncio.run(stay())
        except BaseException as error:  # noqa: BLE001  told by the fixture, where pytest shows it
            failures.append(error)
        finally:
            up.set()

    thread = threading.Thread(target=work, name="shared cluster")
    thread.start()
    up.wait(90)
    if not loops:
        raise RuntimeError("the shared cluster did not come up") from (failures[0] if failures else None)
    try:
        yield folder / "cluster" / "kubeconfig"
    finally:
        loop, stop = loops[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)


@pytest.fixture
def at_cluster(shared: Path, kubernaut: Kubernaut) -> Kubernaut:
    """Runs a command line in this process, against the shared cluster."""

    def invoke(*arguments: str, **variables: str) -> Said:
        return kubernaut(*arguments, **{"KUBECONFIG": str(shared), **variables})

    return invoke


@dataclass(frozen=True)
class Shell:
    """Types commands at a cluster of its own."""

    kubeconfig: Path
    cluster: Cluster
    invoke: Kubernaut

    async def __call__(self, *arguments: str) -> Said:
        # In a thread, for a command has an event loop of its own.
        return await asyncio.to_thread(self.invoke, *arguments, KUBECONFIG=str(self.kubeconfig))


@pytest.fixture(scope="session")
def image_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Layers that several tests build from; making them takes half a minute."""
    return tmp_path_factory.mktemp("layers")


@pytest.fixture
async def shell(tmp_path: Path, kubernaut: Kubernaut) -> AsyncGenerator[Shell]:
    """A cluster with kubernaut in it and a patient, for journeys that break it."""
    patient = [manifest.document for manifest in read_manifests((str(example("payment-service.yaml")),))]
    terminal = Terminal({"HOME": str(tmp_path)})
    async with home(terminal, tmp_path / "cluster", before=patient, targets=["production"]) as place:
        yield Shell(place.kubeconfig, place.cluster, kubernaut)
