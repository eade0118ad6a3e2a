"""Completion in zsh and fish: the shells themselves, with the scripts that `kubernaut completion` prints."""

import os
import pty
import shutil
import subprocess
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from peers import peer

from .conftest import Kubernaut
from .test_terminal import Screen, environment_of

pytestmark = [pytest.mark.peer, pytest.mark.journey]

UNPACKED = Path(__file__).resolve().parents[2] / ".peers" / "root"


@pytest.fixture
def run_there(at_cluster: Kubernaut, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of an execution in the cluster, whether it works or not."""
    name = f"{request.node.name.replace('test_', '').replace('_', '-')[:20].strip('-')}-run"
    file = tmp_path / "one.yaml"
    file.write_text(
        f"""
apiVersion: workflowexecution.kubernaut.ai/v1alpha1
kind: WorkflowExecution
metadata: {{name: {name}}}
spec:
  steps:
  - name: look
    actionType: kubernetes/collect_diagnostics
    inputs: {{namespace: production, deployment: payment-service}}
"""
    )
    assert at_cluster("run", "-f", str(file)).code == 0
    yield name
    at_cluster("delete", name, "--wait")


def script_of(shell: str, folder: Path, environment: dict[str, str]) -> Path:
    done = subprocess.run(
        ["kubernaut", "completion", shell], env=environment, capture_output=True, text=True, check=True
    )
    path = folder / f"completion.{shell}"
    path.write_text(done.stdout)
    return path


def functions_of(shell: str) -> list[Path]:
    """Where the shell's own functions are: beside the system, if it was unpacked there."""
    found = UNPACKED / "usr/share" / shell / "functions"
    roots = [found] if found.is_dir() else []
    return [folder for root in roots for folder in [root, *sorted(root.rglob("*"))] if folder.is_dir()]


def test_fish_completes_commands_options_files_and_names_with_their_whole_descriptions(
    shared: Path, run_there: str, tmp_path: Path
) -> None:
    fish = peer("fish")
    environment = environment_of(shared, tmp_path) | {"TERM": "dumb"}
    script = script_of("fish", tmp_path, environment)
    (tmp_path / "a file.yaml").write_text("")
    own = " ".join(map(str, functions_of("fish")))

    def completed(line: str) -> list[str]:
        asked = f"set -a fish_function_path {own}; source {script}; complete -C '{line}'"
        done = subprocess.run(
            [fish, "--no-config", "-c", asked],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        return done.stdout.splitlines()

    assert completed("kubernaut desc") == [
        "describe\tTell what an execution did, why it stands so, and what to type next."
    ]
    assert [word.split("\t")[0] for word in completed("kubernaut retry --from")] == ["--from-step"]
    assert completed("kubernaut action run scale_d") + completed("kubernaut action run kubernetes/scale_d") != []
    [named] = completed(f"kubernaut describe {run_there[:-2]}")
    assert named.split("\t")[0] == run_there
    assert completed(f"kubernaut logs {run_there} --step lo")[0].startswith("look")
    assert [word.split("\t")[0] for word in completed("kubernaut lint a")] == ["a file.yaml"]


@contextmanager
def zsh_line(shared: Path, folder: Path, before: str) -> Generator[Callable[[str], str]]:
    """What stands on zsh's command line once somebody has typed this, and a tab."""
    zsh = shutil.which("zsh") or peer("zsh-static")
    environment = environment_of(shared, folder) | {"TERM": "dumb", "PS1": "ready> "}
    script = script_of("zsh", folder, environment)
    if functions := functions_of("zsh"):
        environment["FPATH"] = ":".join(map(str, functions))
    os.mkfifo(folder / "line")
    ours, theirs = pty.openpty()
    shell = subprocess.Popen(
        [zsh, "-f", "-i"],
        env=environment,
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    screen = Screen(shell.pid, ours)

    def typed(line: str) -> str:
        os.write(ours, f"{line}\t\x18".encode())  # control and x: the widget below
        return (folder / "line").read_text().rstrip("\n")

    try:
        # Tells the line to whoever reads the pipe, and empties it.
        os.write(ours, b"show() { print -r -- \"$BUFFER\" >line; BUFFER= }; zle -N show; bindkey '^X' show\n")
        os.write(ours, f"{before}source {script}; print al''l set\n".encode())
        screen.read_until("all set")
        yield typed
    finally:
        os.close(ours)
        shell.terminate()
        shell.wait(10)


def test_zsh_completes_commands_options_files_and_names(shared: Path, run_there: str, tmp_path: Path) -> None:
    (tmp_path / "a file.yaml").write_text("")
    with zsh_line(shared, tmp_path, "autoload -Uz compinit; compinit -u -D; ") as typed:
        assert typed("kubernaut desc") == "kubernaut describe "
        assert typed("kubernaut retry --from") == "kubernaut retry --from-step "
        assert typed("kubernaut catalog show kubernetes/scale_d") == (
            "kubernaut catalog show kubernetes/scale_deployment "
        )
        assert typed(f"kubernaut describe {run_there[:-2]}") == f"kubernaut describe {run_there} "
        assert typed(f"kubernaut logs {run_there} --step lo") == f"kubernaut logs {run_there} --step look "
        assert typed("kubernaut lint a") == "kubernaut lint a\\ file.yaml "


def test_zsh_completes_for_those_who_never_asked_it_for_completion(shared: Path, tmp_path: Path) -> None:
    with zsh_line(shared, tmp_path, "compaudit() { }; ") as typed:
        assert typed("kubernaut sus") == "kubernaut suspend "
