"""Names of a cluster at the tab key: what is loaded for them, and what happens where there are none to be had."""

import json
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from kubernaut.cli.completing import PATIENCE_SECONDS, completions
from kubernaut.cli.terminal import Terminal
from kubernaut.concurrency import SystemClock

from .test_terminal import environment_of

pytestmark = [pytest.mark.journey]

SCALE = "kubernetes/scale_deployment"


def offered(kubeconfig: Path, words: Sequence[str], incomplete: str) -> list[str]:
    return [str(item.value) for item in completions(words, incomplete, Terminal({"KUBECONFIG": str(kubeconfig)}))]


def changed(kubeconfig: Path, to: Path, section: str, inner: str, **fields: object) -> Path:
    """A kubeconfig that differs in these fields."""
    document = yaml.safe_load(kubeconfig.read_text())
    document[section][0][inner] |= fields
    to.write_text(yaml.safe_dump(document))
    return to


def test_names_are_asked_for_without_what_takes_longest_to_load(shared: Path, tmp_path: Path) -> None:
    script = """
import sys
from kubernaut.cli.completing import completions
from kubernaut.cli.terminal import Terminal
print(*(item.value for item in completions(["catalog", "show"], "kubernetes/scale_d", Terminal())))
print(*sorted({"aiohttp", "asyncio", "rich"} & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment_of(shared, tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{SCALE}\n\n"


def test_names_come_for_those_who_log_in_by_a_program(shared: Path, tmp_path: Path) -> None:
    token = yaml.safe_load(shared.read_text())["users"][0]["user"]["token"]
    version = "client.authentication.k8s.io/v1"
    said = json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": {"token": token}})
    plugin = {
        "apiVersion": version,
        "command": "echo",
        "args": [said],
        "interactiveMode": "Never",
    }
    by_program = changed(shared, tmp_path / "exec", "users", "user", token=None, exec=plugin)
    assert offered(by_program, ["catalog", "show"], "kubernetes/scale_d") == [SCALE]


@pytest.mark.parametrize("who", ["expired", "nobody"])
def test_who_may_not_look_is_offered_nothing(shared: Path, who: str) -> None:
    assert offered(shared.parent / f"{who}.kubeconfig", ["catalog", "show"], "") == []


@pytest.mark.parametrize(
    "server", ["https://127.0.0.1:1", "http://127.0.0.1:x", "nonsense", "ftp://127.0.0.1", "https://"]
)
def test_where_no_cluster_is_nothing_is_offered(shared: Path, tmp_path: Path, server: str) -> None:
    wrong = changed(shared, tmp_path / "wrong", "clusters", "cluster", server=server)
    assert offered(wrong, ["describe"], "") == []


@pytest.mark.parametrize("text", ["", "clusters: 5", "users: [me]", "contexts: [{context: 1}]", "a: ["])
def test_where_the_kubeconfig_is_none_nothing_is_offered_and_nothing_breaks(tmp_path: Path, text: str) -> None:
    file = tmp_path / "broken"
    file.write_text(text)
    assert offered(file, ["describe"], "") == []
    assert offered(file, ["get", "--context"], "") == []


def test_a_server_that_says_nothing_holds_no_shell_for_long(shared: Path, tmp_path: Path) -> None:
    clock = SystemClock()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"https://127.0.0.1:{mute.getsockname()[1]}"
        silent = changed(shared, tmp_path / "silent", "clusters", "cluster", server=address)
        began = clock.monotonic()
        assert offered(silent, ["describe"], "") == []
        assert clock.monotonic() - began < PATIENCE_SECONDS * 3
