"""The examples of actions without kubernaut's runner: they keep the contract, and run as installed actions do."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from kubernaut.cli.exits import Exit
from kubernaut.cluster import kinds
from peers import peer
from registries import run_registry

from .conftest import Kubernaut, Shell

EXAMPLES = Path(__file__).resolve().parents[2] / "examples/actions"
CLOSED = 1
"""A port at which nothing listens."""


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the program in C, made; as a user makes it."""
    peer("cc")
    make = peer("make")
    folder = tmp_path_factory.mktemp("made") / "static"
    shutil.copytree(EXAMPLES / "static", folder, ignore=shutil.ignore_patterns("action-entrypoint"))
    done = subprocess.run([make, "-C", str(folder)], capture_output=True, text=True, check=False)
    if "cannot find -lc" in done.stderr and os.environ.get("CI") != "true":  # noqa: TID251
        pytest.skip("the C library cannot be linked statically here: apt-get install libc6-dev")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(params=["shell", "static"])
def program(request: pytest.FixtureRequest) -> list[str]:
    """The command of each example."""
    if request.param == "shell":
        return [peer("busybox"), "sh", str(EXAMPLES / "shell/action-entrypoint")]
    return [str(request.getfixturevalue("static") / "action-entrypoint")]


@pytest.fixture
async def port() -> AsyncGenerator[int]:
    """Of a server that says hello, in HTTP."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def good(port: int) -> dict[str, object]:
    """Inputs of both examples: each takes its own of them."""
    return {"url": f"http://127.0.0.1:{port}/", "address": "127.0.0.1", "port": port, "seconds": 1}


async def ended(
    command: list[str], folder: Path, given: str = "", **variables: str
) -> tuple[int, str, dict[str, str]]:
    """Exit code, standard output, and what was said in the termination message."""
    log = folder / "termination-log"
    log.write_text("")
    process = await asyncio.create_subprocess_exec(
        *command,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(folder), "KUBERNAUT_TERMINATION_LOG": str(log), **variables},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    out, _ = await process.communicate(given.encode())
    assert process.returncode is not None
    return process.returncode, out.decode(), json.loads(log.read_text() or "{}")


@pytest.mark.peer
@pytest.mark.timeout(20)
async def test_inputs_come_from_the_variable_the_file_or_standard_input(
    program: list[str], port: int, tmp_path: Path
) -> None:
    inputs = json.dumps(good(port))
    (tmp_path / "inputs.json").write_text(json.dumps(good(port), indent=2))
    ends = [
        await ended(program, tmp_path, ACTION_INPUTS=inputs),
        await ended(program, tmp_path, ACTION_INPUTS_FILE=str(tmp_path / "inputs.json")),
        await ended(program, tmp_path, given=inputs),
    ]
    for code, out, message in ends:
        assert (code, message) == (0, {})
        assert json.loads(out.splitlines()[-1]).keys() <= {"bytes", "milliseconds"}
    assert sorted(os.listdir(tmp_path)) == ["inputs.json", "termination-log"]


@pytest.mark.peer
@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("inputs", "code", "reason"),
    [
        ("", 64, "InvalidInputs"),
        ("{}", 64, "InvalidInputs"),
        (json.dumps(good(CLOSED) | {"address": "localhost", "url": "file:///etc/passwd"}), 64, "InvalidInputs"),
        (json.dumps(good(CLOSED)), 66, None),
    ],
    ids=["none", "empty", "other", "nothing there"],
)
async def test_each_failure_has_the_exit_code_and_the_reason_of_the_runner_contract(
    program: list[str], tmp_path: Path, inputs: str, code: int, reason: str | None
) -> None:
    end, out, message = await ended(program, tmp_path, given=inputs)
    assert (end, out) == (code, "")
    assert message["executed"] == "no"
    assert message["reason"] == reason or message["reason"] in ("NoAnswer", "NotInTime")


@pytest.mark.peer
@pytest.mark.timeout(20)
async def test_a_program_that_is_told_to_end_ends(program: list[str], tmp_path: Path) -> None:
    log, fifo = tmp_path / "log", tmp_path / "inputs"
    log.touch()
    os.mkfifo(fifo)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        inputs = good(CLOSED) | {"url": f"http://127.0.0.1:{silent.getsockname()[1]}/", "seconds": 30}
        process = await asyncio.create_subprocess_exec(
            *program,
            env={
                "PATH": "/usr/bin:/bin",
                "TMPDIR": str(tmp_path),
                "KUBERNAUT_TERMINATION_LOG": str(log),
                "ACTION_INPUTS_FILE": str(fifo),
            },
            stderr=asyncio.subprocess.PIPE,
        )
        # Opening it waits for the program to read, which is after it has set its handlers.
        await asyncio.to_thread(fifo.write_text, json.dumps(inputs))
        process.send_signal(signal.SIGTERM)
        await process.communicate()
    assert process.returncode == 143
    assert json.loads(log.read_text())["reason"] == "Terminated"


@pytest.mark.parametrize("name", ["shell", "static"])
def test_their_contracts_are_right_and_promise_no_fence(kubernaut: Kubernaut, name: str, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / name, tmp_path / name)
    (tmp_path / name / "action-entrypoint").touch()
    said = kubernaut("action", "lint", str(tmp_path / name), "--strict")
    assert (said.code, said.out) == (Exit.SUCCEEDED, "")
    contract = kubernaut("action", "contract", str(tmp_path / name))
    assert "fenced" not in contract.out


@pytest.mark.peer
@pytest.mark.journey
async def test_one_static_program_is_an_image_and_runs_at_a_cluster(shell: Shell, static: Path, port: int) -> None:
    await _installed(shell, static)
    inputs = ("-i", "address=127.0.0.1", "-i", "seconds=1", "-i")
    worked = await shell(
        "action", "run", "example/wait_for_port", *inputs, f"port={port}", "--name", "a", "--wait"
    )
    assert worked.code == Exit.SUCCEEDED, worked.out + worked.err
    failed = await shell(
        "action", "run", "example/wait_for_port", *inputs, f"port={CLOSED}", "--name", "b", "--wait"
    )
    assert failed.code == Exit.FAILED
    await _ended_as(shell, "a", {"phase": "Succeeded", "executed": "yes"})
    # Nobody but the program says that nothing was done, and without a fence that is not enough.
    await _ended_as(shell, "b", {"phase": "Failed", "executed": "unknown", "reason": "NotInTime"})


@pytest.mark.peer
@pytest.mark.journey
async def test_a_shell_script_and_one_debian_package_are_an_image_and_run_at_a_cluster(
    shell: Shell, port: int
) -> None:
    peer("apt-get")
    peer("dpkg-deb")
    await _installed(shell, EXAMPLES / "shell")
    url = f"url=http://127.0.0.1:{port}/"
    worked = await shell("action", "run", "example/check_url", "-i", url, "--name", "a", "--wait")
    assert worked.code == Exit.SUCCEEDED, worked.out + worked.err
    await _ended_as(shell, "a", {"phase": "Succeeded", "outputs": {"bytes": 5}})


async def _installed(shell: Shell, folder: Path) -> None:
    said = await shell("action", "install", str(folder))
    if "apt-get download failed" in said.err and os.environ.get("CI") != "true":  # noqa: TID251
        pytest.skip("Debian's packages cannot be had here")
    assert said.code == Exit.SUCCEEDED, said.err
    assert "it takes no fence" in said.err


async def _ended_as(shell: Shell, name: str, wanted: dict[str, object]) -> None:
    found = await shell.cluster.get(kinds.ACTION_EXECUTIONS, name, "kubernaut-workflows")
    assert {key: found["status"][key] for key in wanted} == wanted


@pytest.mark.peer
@pytest.mark.journey
async def test_an_image_goes_through_a_registry_into_the_catalogue_and_its_contract_is_read_there(
    shell: Shell, static: Path, port: int, tmp_path: Path
) -> None:
    layout = str(tmp_path / "layout")
    assert (await shell("action", "build", str(static), "-o", layout)).code == Exit.SUCCEEDED
    (tmp_path / "registry").mkdir()
    async with run_registry(tmp_path / "registry") as registry:
        pushed = await shell("images", "push", f"{registry}/team", "--layout", layout)
        assert pushed.code == Exit.SUCCEEDED, pushed.err
        image = f"{registry}/team/wait-for-port:v1.0.0"
        same = await shell("action", "contract", "diff", image, str(static))
        assert (same.code, same.out) == (Exit.SUCCEEDED, "compatible: 1.0.0 -> 1.0.0\n")
        installed = await shell("action", "install", image)
        assert installed.code == Exit.SUCCEEDED, installed.err
        absent = await shell("action", "contract", f"{registry}/team/other:v1")
        assert absent.code == Exit.REFUSED
        direct = await shell("action", "install", str(static), "--registry", f"{registry}/direct", "--dry-run")
        assert direct.code == Exit.SUCCEEDED, direct.err
    inputs = ("-i", "address=127.0.0.1", "-i", f"port={port}")
    ran = await shell("action", "run", "example/wait_for_port", *inputs, "--wait")
    assert ran.code == Exit.SUCCEEDED, ran.out + ran.err
    definition = await shell.cluster.get(kinds.ACTION_DEFINITIONS, "example.wait-for-port")
    assert definition["spec"]["image"].startswith(f"{image}@sha256:")
