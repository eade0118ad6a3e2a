"""A cluster of one's own for the commands, and a way to run them in process."""

import asyncio
from collections.abc import AsyncGenerator, Callable
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


@dataclass(frozen=True)
class Shell:
    """Types commands at a cluster."""

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
    """A cluster with kubernaut in it and a patient, for journeys."""
    patient = [manifest.document for manifest in read_manifests((str(example("payment-service.yaml")),))]
    terminal = Terminal({"HOME": str(tmp_path)})
    async with home(terminal, tmp_path / "cluster", before=patient, targets=["production"]) as place:
        yield Shell(place.kubeconfig, place.cluster, kubernaut)
