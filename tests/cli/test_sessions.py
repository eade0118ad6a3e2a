"""Real sessions at a cluster: what is typed, what is answered, word for word.

A file of `sessions/` is one story, with names of its own. `$ ` begins a command, `! ` a line of standard error,
`? ` the exit code where it is not 0; other lines are standard output. `...` alone stands for any lines, `[..]` for
anything within a line. `@ until NAME PHASE` waits, `@ forget NAME STEP` makes a step's outcome unknown.
"""

import re
import shlex
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from kubernaut.cli.app import COMMANDS
from kubernaut.cli.session import speak
from kubernaut.cluster import Cluster, kinds
from kubernaut.concurrency import SystemClock

from .conftest import Kubernaut, Said

pytestmark = [pytest.mark.journey, pytest.mark.timeout(60)]

FOLDER = Path(__file__).parent / "sessions"
STORIES = sorted(FOLDER.glob("*.session"))
NAMESPACE = "kubernaut-workflows"
_NO_SANDBOX = "kubernaut: containers run as plain processes of this machine"
# These have a journey of their own, or no end.
ELSEWHERE = {"apply", "controller", "demo", "dev", "images", "import", "install"}


@pytest.mark.parametrize("story", STORIES, ids=lambda path: path.stem)
def test_a_session_goes_as_it_is_written(
    story: Path, shared: Path, at_cluster: Kubernaut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in FOLDER.glob("*.yaml"):
        text = file.read_text().replace("NAME", story.stem)
        (tmp_path / file.name).write_text(text.replace(f"name: {file.stem}", f"name: {story.stem}"))
    for file in FOLDER.glob("*.rego"):
        (tmp_path / file.name).write_text(file.read_text())
    for file in shared.parent.glob("*.kubeconfig"):
        (tmp_path / file.name).write_text(file.read_text())
    monkeypatch.chdir(tmp_path)
    speak(as_installed(shared))
    wrong: list[str] = []
    for line, expected in blocks(story):
        if line.startswith("@ "):
            speak(prepare(shared, line.split()[1:]))
            continue
        said = at_cluster(*shlex.split(line)[2:])
        if not matches(expected, transcript(said)):
            wrong += [line, *transcript(said), "  --- where was expected ---", *expected, ""]
    assert not wrong, "\n".join(["", *wrong])


def test_every_command_has_a_session_or_a_journey() -> None:
    typed = {
        line.split()[2]
        for story in STORIES
        for line in story.read_text().splitlines()
        if line.startswith("$ kubernaut ")
    }
    assert {entry.name for entry in COMMANDS} - typed - ELSEWHERE == set()


def blocks(story: Path) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    for line in story.read_text().splitlines():
        if line.startswith(("$ ", "@ ")):
            found.append((line, []))
        elif not line.startswith("# ") and (line or found):
            found[-1][1].append(line)
    return [(line, _without_last_blanks(expected)) for line, expected in found]


def _without_last_blanks(lines: list[str]) -> list[str]:
    while lines and not lines[-1]:
        lines = lines[:-1]
    return lines


def transcript(said: Said) -> list[str]:
    # Where nobody can make a sandbox, each log begins with a word about that.
    lines = [line.rstrip() for line in said.out.splitlines() if not line.startswith(_NO_SANDBOX)]
    lines = _without_last_blanks(lines) + [f"! {line}" for line in said.err.splitlines()]
    return [*lines, f"? {said.code:d}"] if said.code else lines


def matches(expected: list[str], got: list[str]) -> bool:
    if not expected:
        return not got
    first, *rest = expected
    if first == "...":
        return any(matches(rest, got[skipped:]) for skipped in range(len(got) + 1))
    return bool(got) and _alike(first, got[0]) and matches(rest, got[1:])


def _alike(pattern: str, line: str) -> bool:
    parts = [re.escape(re.sub(r" +", " ", part)) for part in pattern.split("[..]")]
    return re.fullmatch(".*".join(parts), re.sub(r" +", " ", line)) is not None


async def as_installed(kubeconfig: Path) -> None:
    """The patient with its three replicas, whatever the tests before on this cluster did to it."""
    kind, name, namespace = kinds.DEPLOYMENTS, "payment-service", "production"
    async with Cluster.connect(kubeconfig) as cluster:
        found = await cluster.patch(kind, name, namespace, {"spec": {"replicas": 3}}, "merge")
        while not _is_settled(found):
            watching = cluster.watch(
                kind, namespace, resource_version=found["metadata"]["resourceVersion"], timeout_seconds=10
            )
            async with aclosing(watching) as events:
                async for event in events:
                    if event.type != "BOOKMARK":
                        found = event.object
                    if _is_settled(found):
                        break


def _is_settled(deployment: dict[str, Any]) -> bool:
    status = deployment.get("status") or {}
    is_seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    return is_seen and status.get("replicas") == status.get("availableReplicas") == 3


async def prepare(kubeconfig: Path, words: list[str]) -> None:
    async with Cluster.connect(kubeconfig) as cluster:
        match words:
            case ["until", name, phase]:
                await until(cluster, name, phase)
            case ["until", name, step, phase]:
                await until(cluster, name, phase, step)
            case ["forget", name, step]:
                found = await cluster.get(kinds.WORKFLOW_EXECUTIONS, name, NAMESPACE)
                now = SystemClock().now().strftime("%Y-%m-%dT%H:%M:%SZ")
                for record in found["status"]["steps"]:
                    if record["name"] == step:
                        record |= {"phase": "Indeterminate", "reason": "JobGone", "message": "Its Job is gone."}
                        record |= {"executed": "unknown", "completedAt": now}
                await cluster.replace(kinds.WORKFLOW_EXECUTIONS, found, subresource="status")
                await until(cluster, name, "Indeterminate")
            case _:
                raise ValueError(f"no such preparation: {words}")


async def until(cluster: Cluster, name: str, phase: str, step: str = "") -> None:
    kind = kinds.WORKFLOW_EXECUTIONS
    found = await cluster.get(kind, name, NAMESPACE)
    while not _stands(found, phase, step):
        version = found["metadata"]["resourceVersion"]
        watching = cluster.watch(
            kind, NAMESPACE, field_selector=f"metadata.name={name}", resource_version=version, timeout_seconds=10
        )
        async for event in watching:
            if event.type != "BOOKMARK":
                found = event.object
            if _stands(found, phase, step):
                await watching.aclose()
                return


def _stands(found: dict[str, object], phase: str, step: str) -> bool:
    status = found.get("status") or {}
    assert isinstance(status, dict)
    if not step:
        return status.get("phase") == phase
    return any(one["name"] == step and one.get("phase") == phase for one in status.get("steps") or [])
