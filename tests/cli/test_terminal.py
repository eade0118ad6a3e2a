"""What a person at a terminal sees: pictures, interrupts, completions. Real processes, on a pseudo-terminal."""

import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kubernaut.cli.exits import Exit
from kubernaut.cli.session import speak
from kubernaut.cluster import Cluster
from peers import peer

from .conftest import Kubernaut
from .test_sessions import FOLDER, until

pytestmark = [pytest.mark.journey, pytest.mark.timeout(60)]

SCRIPTS = Path(sys.executable).parent


@dataclass
class Screen:
    """A process on a pseudo-terminal, and everything that it has written."""

    pid: int
    descriptor: int
    written: str = field(default="")

    def read_until(self, text: str) -> None:
        while text not in self.plain:
            if not self._read():
                raise AssertionError(f"{text!r} was never written: {self.plain}")

    def end(self) -> int:
        while self._read():
            pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self.descriptor)
        return os.waitstatus_to_exitcode(status)

    @property
    def plain(self) -> str:
        return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", self.written).replace("\r", "")

    @property
    def pictures(self) -> list[str]:
        frames = self.written.split("\x1b[J")
        return [re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", frame).replace("\r", "") for frame in frames]

    def _read(self) -> bool:
        try:
            piece = os.read(self.descriptor, 65536)
        except OSError:  # Linux: the other end is closed
            return False
        self.written += piece.decode(errors="replace")
        return bool(piece)


Open = Callable[..., Screen]


@pytest.fixture
def at_terminal(shared: Path, tmp_path: Path) -> Open:
    """Starts `kubernaut ...` on a terminal of 30 lines and 100 columns."""

    def start(*arguments: str, **variables: str) -> Screen:
        environment = environment_of(shared, tmp_path) | {"TERM": "xterm"} | variables
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        process = subprocess.Popen(
            [sys.executable, "-m", "kubernaut.cli", *arguments],
            env=environment,
            cwd=tmp_path,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        process.returncode = 0  # `end` waits for it
        return Screen(process.pid, ours)

    return start


def environment_of(shared: Path, home: Path) -> dict[str, str]:
    return {
        "HOME": str(home),
        "KUBECONFIG": str(shared),
        "PATH": f"{SCRIPTS}:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": ":".join(sys.path),
        "LANG": "C.UTF-8",
    }


@pytest.fixture
def slow(at_cluster: Kubernaut, tmp_path: Path, shared: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A run whose second step is tried again only after minutes."""
    name = "slow-" + re.sub(r"\W+", "-", request.node.name.removeprefix("test_").replace("_", "-"))[:40].strip("-")
    file = tmp_path / "slow.yaml"
    file.write_text(
        (FOLDER / "slow.yaml").read_text().replace("name: slow", f"name: {name}").replace("NAME", name)
    )
    assert at_cluster("run", "-f", str(file)).code == Exit.SUCCEEDED

    async def wait() -> None:
        async with Cluster.connect(shared) as cluster:
            await until(cluster, name, "Running", "canary")

    speak(wait())
    yield name
    assert at_cluster("delete", name, "--wait").code == Exit.SUCCEEDED


def test_a_picture_shows_the_steps_and_an_interrupt_says_how_to_go_on(
    at_terminal: Open, slow: str, at_cluster: Kubernaut
) -> None:
    screen = at_terminal("watch", slow)
    screen.read_until("● canary")
    assert "✓ look" in screen.plain
    assert "○ scale" in screen.plain
    assert "\x1b[32m" in screen.written
    os.kill(screen.pid, signal.SIGINT)
    assert screen.end() == Exit.INTERRUPTED
    assert f"follow it with: kubernaut watch {slow}" in screen.plain
    assert "interrupted" in screen.plain
    assert "Traceback" not in screen.plain
    assert at_cluster("get", slow, "-o", "name").code == Exit.SUCCEEDED


def test_no_color_leaves_a_picture_without_colours(at_terminal: Open, slow: str) -> None:
    screen = at_terminal("watch", slow, NO_COLOR="1", PYTHONIOENCODING="ascii")
    screen.read_until("* canary")
    os.kill(screen.pid, signal.SIGINT)
    assert screen.end() == Exit.INTERRUPTED
    assert re.findall(r"\x1b\[\d+m", screen.written) == []


def test_all_executions_are_drawn_as_one_table(at_terminal: Open, slow: str) -> None:
    screen = at_terminal("watch", "-l", f"story={slow}", "--timeout", "1s")
    assert screen.end() == Exit.SUCCEEDED
    assert "namespace kubernaut-workflows: 1 Running" in screen.plain
    assert re.search(rf"{slow}  Running +1/3 .*canary", screen.plain)


def test_an_interrupted_wait_after_submitting_leaves_the_execution_alone(
    at_terminal: Open, slow: str, at_cluster: Kubernaut
) -> None:
    cancelled = at_cluster("cancel", slow, "--wait")
    assert cancelled.code == Exit.SUCCEEDED
    screen = at_terminal("retry", slow, "--wait")
    screen.read_until("● canary")
    os.kill(screen.pid, signal.SIGINT)
    assert screen.end() == Exit.INTERRUPTED
    assert f"{slow}-retry-1 goes on; follow it with: kubernaut watch {slow}-retry-1" in screen.plain
    assert at_cluster("abort", f"{slow}-retry-1", "--wait").code == Exit.SUCCEEDED
    assert at_cluster("delete", f"{slow}-retry-1", "--wait").code == Exit.SUCCEEDED


def test_logs_are_followed_into_steps_that_start_later(shared: Path, slow: str, tmp_path: Path) -> None:
    environment = environment_of(shared, tmp_path)
    following = subprocess.Popen(
        [sys.executable, "-m", "kubernaut.cli", "logs", slow, "--follow"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with following:
        assert following.stdout is not None
        first = following.stdout.readline()
        cancel = subprocess.run(
            [sys.executable, "-m", "kubernaut.cli", "cancel", slow],
            env=environment,
            capture_output=True,
            check=False,
        )
        rest, errors = following.communicate(timeout=30)
    assert cancel.returncode == Exit.SUCCEEDED
    assert following.returncode == Exit.SUCCEEDED, errors
    assert first.startswith(("look[1]  ", "canary[1]  "))
    assert "canary[1]  " in first + rest
    assert "look[1]  " in first + rest


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
def test_bash_completes_commands_options_and_names_of_the_cluster(shared: Path, slow: str, tmp_path: Path) -> None:
    script = subprocess.run(
        ["kubernaut", "completion", "bash"],
        env=environment_of(shared, tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    (tmp_path / "completion.bash").write_text(script.stdout)

    def completed(*words: str) -> list[str]:
        typed = " ".join(f"'{word}'" for word in words)
        lines = f"source completion.bash; COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; "
        lines += '_kubernaut_completion kubernaut; printf "%s\\n" "${COMPREPLY[@]}"'
        done = subprocess.run(
            ["bash", "--norc", "-c", lines],
            env=environment_of(shared, tmp_path),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr.replace("bash: no job control in this shell\n", "") == ""
        return done.stdout.split()

    assert completed("kubernaut", "sus") == ["suspend"]
    assert "--from-step" in completed("kubernaut", "retry", "--f")
    assert completed("kubernaut", "describe", slow[:-3]) == [slow]
    assert completed("kubernaut", "logs", slow, "--step", "c") == ["canary"]
    assert completed("kubernaut", "catalog", "show", "kubernetes/scale_d") == ["kubernetes/scale_deployment"]
    assert completed("kubernaut", "action", "r") == ["run"]
    assert "kubernaut-workflows" in completed("kubernaut", "get", "-n", "kubernaut-")
    assert completed("kubernaut", "get", "--context", "dev") == ["devcluster"]


@pytest.mark.peer
def test_kubectl_finds_and_completes_the_plugin(shared: Path, slow: str, tmp_path: Path) -> None:
    program = peer("kubectl")

    def kubectl(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *arguments],
            env=environment_of(shared, tmp_path),
            capture_output=True,
            text=True,
            check=False,
        )

    got = kubectl("kubernaut", "get", slow, "-o", "name")
    assert (got.returncode, got.stdout.rpartition("/")[2]) == (0, f"{slow}\n"), got.stderr
    wrong = kubectl("kubernaut", "lint")
    assert wrong.returncode == Exit.USAGE
    assert "See: kubectl kubernaut lint --help" in wrong.stderr
    assert "suspend\tLet nothing new start." in kubectl("__complete", "kubernaut", "sus").stdout
    named = kubectl("__complete", "kubernaut", "describe", slow[:-2]).stdout.splitlines()
    assert named[0] == f"{slow}\tRunning"
    assert named[-1] == ":4"
    assert kubectl("__complete", "kubernaut", "run", "-f", "").stdout.splitlines()[-1] == ":0"
