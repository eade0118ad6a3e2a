"""Control-C, as a terminal sends it to real processes: one line, the exit code of shells, nothing left behind."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kubernaut.cli.exits import Exit

from .test_terminal import Open, at_terminal, environment_of, slow

__all__ = ["at_terminal", "slow"]  # fixtures

pytestmark = [pytest.mark.journey, pytest.mark.timeout(60)]


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="images are made from Debian's packages")
def test_an_interrupted_build_leaves_nothing_half_written(shared: Path, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    building = subprocess.Popen(
        [sys.executable, "-m", "kubernaut.cli", "images", "build", "--layout", str(tmp_path / "images")],
        env=environment_of(shared, tmp_path) | {"TMPDIR": str(temporary)},
        stderr=subprocess.PIPE,
        text=True,
    )
    with building:
        assert building.stderr is not None
        begun = building.stderr.readline()
        os.kill(building.pid, signal.SIGINT)
        _, said = building.communicate(timeout=30)
    assert begun.startswith("making ")
    assert said.split() == ["interrupted"]
    assert building.returncode == Exit.INTERRUPTED
    half = [
        path for path in tmp_path.rglob("*") if path.name.startswith(("staging-", ".incoming-", ".unpacking-"))
    ]
    assert half + list(temporary.iterdir()) == []


def test_an_interrupt_while_commands_are_loaded_is_one_line(shared: Path, tmp_path: Path) -> None:
    script = """
import sys

class Impatient:
    def find_spec(self, name, path=None, target=None):
        if name == "kubernaut.cli.failures":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Impatient())
from kubernaut.cli import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment_of(shared, tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (Exit.INTERRUPTED, "interrupted\n")


def test_whoever_reads_along_may_leave_at_any_time(at_terminal: Open, slow: str) -> None:
    screen = at_terminal("logs", slow, "--follow")
    screen.read_until("canary[1]  ")
    os.kill(screen.pid, signal.SIGINT)
    assert screen.end() == Exit.INTERRUPTED
    assert "interrupted" in screen.plain
    assert "Traceback" not in screen.plain
