"""Probes, hooks and sidecars: when a container is ready, when it is ended, and in which order."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubernaut.concurrency import VirtualClock
from kubernaut.devcluster.node import ScriptResult, ScriptStart
from kubernaut.devcluster.node.bubblewrap import Bubblewrap
from kubernaut.devcluster.node.plain import Plain
from kubernaut.devcluster.node.probing import Count, Probe
from kubernaut.devcluster.resources import EVENTS, PODS
from peers import peer

from .layouts import python_image
from .worlds import NAMESPACE, Object, World, ended, make_world, state_of, waiting_reason

IMAGE = "example.com/server:1"
CHECK = {"exec": {"command": ["check"]}}


@pytest.fixture
async def virtual(tmp_path: Path) -> AsyncGenerator[World]:
    async with make_world(tmp_path, VirtualClock(), Plain()) as made:
        yield made


async def serve(start: ScriptStart) -> ScriptResult:
    await start.terminated.wait()
    return ScriptResult(0)


class Server:
    """A scripted server whose commands succeed or fail as told, and are noted with their time."""

    def __init__(self, world: World, answer: Callable[[float], int], image: str = IMAGE) -> None:
        """`answer`: seconds since the first start -> exit code."""
        self._world = world
        self._answer = answer
        self._began: float | None = None
        self.calls: list[tuple[float, str]] = []
        world.node.scripted.register(image, serve, self.execute)

    async def execute(self, start: ScriptStart, argv: tuple[str, ...]) -> tuple[int, bytes]:
        return self._answer(self.note(" ".join(argv))), b"so it is"

    def note(self, what: str) -> float:
        now = self._world.clock.monotonic()
        if self._began is None:
            self._began = now
        self.calls.append((round(now - self._began, 1), what))
        return now - self._began


def is_ready(pod: Object) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def restarts(pod: Object) -> int:
    return int((pod["status"].get("containerStatuses") or [{"restartCount": 0}])[0]["restartCount"])


def messages(world: World, reason: str) -> list[str]:
    return [e["message"] for e in world.store.list(EVENTS, NAMESPACE).items if e["reason"] == reason]


def web(world: World, **more: Any) -> None:
    world.create_pod("web", image=IMAGE, **{"restartPolicy": "Always", **more})


async def test_a_pod_is_ready_only_after_as_many_successes_as_asked(virtual: World) -> None:
    server = Server(virtual, lambda at: 0 if at >= 6 else 1)
    probe = {**CHECK, "initialDelaySeconds": 5, "periodSeconds": 3, "successThreshold": 2}
    begun = virtual.clock.monotonic()
    web(virtual, container={"readinessProbe": probe})
    pod = await virtual.until_phase("web", "Running")
    assert not is_ready(pod)
    assert pod["status"]["containerStatuses"][0]["started"] is True
    await virtual.until(PODS, "web", is_ready)
    # Counted from the first call, which comes 5 s after the start: failures at 0 and 3, successes at 6 and 9.
    assert [at for at, _ in server.calls] == [0, 3, 6, 9]
    assert virtual.clock.monotonic() - begun >= 14
    assert set(messages(virtual, "Unhealthy")) == {"Readiness probe failed: so it is"}


async def test_readiness_is_lost_after_as_many_failures_as_asked_and_nothing_is_restarted(virtual: World) -> None:
    Server(virtual, lambda at: 1 if 10 <= at < 30 else 0)
    web(virtual, container={"readinessProbe": {**CHECK, "periodSeconds": 5, "failureThreshold": 2}})
    await virtual.until(PODS, "web", is_ready)
    begun = virtual.clock.monotonic()
    pod = await virtual.until(PODS, "web", lambda p: not is_ready(p))
    assert virtual.clock.monotonic() - begun == pytest.approx(15, abs=0.5)
    condition = next(c for c in pod["status"]["conditions"] if c["type"] == "Ready")
    assert condition["reason"] == "ContainersNotReady"
    pod = await virtual.until(PODS, "web", is_ready)
    assert restarts(pod) == 0


async def test_a_container_that_fails_its_liveness_probe_is_restarted_and_then_backs_off(virtual: World) -> None:
    Server(virtual, lambda at: 1)
    web(virtual, container={"livenessProbe": {**CHECK, "periodSeconds": 2}})
    pod = await virtual.until(PODS, "web", lambda p: restarts(p) == 1)
    assert messages(virtual, "Unhealthy") == ["Liveness probe failed: so it is"]
    assert messages(virtual, "Killing") == ["Container main failed liveness probe, will be restarted"]
    pod = await virtual.until(PODS, "web", lambda p: waiting_reason(p) == "CrashLoopBackOff")
    # It ended as asked, with 0, and is restarted all the same.
    assert pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 0


async def test_a_container_that_may_not_be_restarted_ends_its_pod(virtual: World) -> None:
    Server(virtual, lambda at: 1)
    web(virtual, restartPolicy="Never", container={"livenessProbe": {**CHECK, "failureThreshold": 1}})
    await virtual.until_phase("web", "Succeeded", "Failed")
    assert messages(virtual, "Killing") == ["Container main failed liveness probe"]


async def test_until_it_has_started_no_other_probe_is_made(virtual: World) -> None:
    server = Server(virtual, lambda at: 0 if at >= 20 else 1)
    startup = {"exec": {"command": ["startup"]}, "periodSeconds": 10, "failureThreshold": 5}
    web(virtual, container={"startupProbe": startup, "livenessProbe": CHECK, "readinessProbe": CHECK})
    pod = await virtual.until_phase("web", "Running")
    assert pod["status"]["containerStatuses"][0]["started"] is False
    await virtual.until(PODS, "web", is_ready)
    assert server.calls[:3] == [(0, "startup"), (10, "startup"), (20, "startup")]
    assert server.calls[3:5] == [(20, "check"), (20, "check")]
    await virtual.clock.sleep(60)
    assert sum(what == "startup" for _, what in server.calls) == 3


async def test_what_never_starts_is_ended(virtual: World) -> None:
    Server(virtual, lambda at: 1)
    web(virtual, container={"startupProbe": {**CHECK, "failureThreshold": 2, "periodSeconds": 5}})
    await virtual.until(PODS, "web", lambda p: restarts(p) == 1)
    assert messages(virtual, "Killing") == ["Container main failed startup probe, will be restarted"]


async def test_a_probe_that_takes_too_long_has_failed(virtual: World) -> None:
    async def slow(start: ScriptStart, argv: tuple[str, ...]) -> tuple[int, bytes]:
        await asyncio.Event().wait()
        return 0, b""

    virtual.node.scripted.register(IMAGE, serve, slow)
    web(virtual, container={"readinessProbe": {**CHECK, "timeoutSeconds": 4}})
    await virtual.until_event("Unhealthy", "web")
    said = 'Readiness probe failed: command timed out: "check" timed out after 4s'
    assert messages(virtual, "Unhealthy") == [said]


async def test_a_probe_that_cannot_be_made_counts_for_nothing(virtual: World) -> None:
    async def missing(start: ScriptStart, argv: tuple[str, ...]) -> tuple[int, bytes]:
        raise OSError("no such program")

    virtual.node.scripted.register(IMAGE, serve, missing)
    web(virtual, container={"livenessProbe": {**CHECK, "failureThreshold": 1, "periodSeconds": 1}})
    await virtual.until_event("Unhealthy", "web")
    await virtual.clock.sleep(30)
    assert restarts(virtual.get(PODS, "web")) == 0
    said = "Liveness probe errored and resulted in unknown state: failed to exec in container: no such program"
    assert messages(virtual, "Unhealthy") == [said]


async def test_the_hook_before_the_end_comes_before_the_signal_and_its_time_is_that_of_the_grace(
    virtual: World,
) -> None:
    server = Server(virtual, lambda at: 0)
    ends: list[float] = []

    async def stubborn(start: ScriptStart) -> ScriptResult:
        await start.terminated.wait()
        server.note("SIGTERM")
        ends.append(virtual.clock.monotonic())
        await asyncio.Event().wait()
        return ScriptResult(0)

    virtual.node.scripted.register(IMAGE, stubborn, server.execute)
    hooks = {"preStop": {"sleep": {"seconds": 12}}, "postStart": {"exec": {"command": ["warm-up"]}}}
    web(virtual, container={"lifecycle": hooks}, terminationGracePeriodSeconds=20)
    await virtual.until_phase("web", "Running")
    begun = virtual.clock.monotonic()
    virtual.store.delete(PODS, "web", NAMESPACE)
    await virtual.until_gone(PODS, "web")
    assert [what for _, what in server.calls] == ["warm-up", "SIGTERM"]
    assert ends[0] - begun == pytest.approx(12, abs=0.5)
    assert virtual.clock.monotonic() - begun == pytest.approx(20, abs=0.5)


async def test_a_hook_that_takes_all_of_the_grace_leaves_two_seconds(virtual: World) -> None:
    Server(virtual, lambda at: 0)
    web(
        virtual, container={"lifecycle": {"preStop": {"sleep": {"seconds": 100}}}}, terminationGracePeriodSeconds=5
    )
    await virtual.until_phase("web", "Running")
    begun = virtual.clock.monotonic()
    virtual.store.delete(PODS, "web", NAMESPACE)
    await virtual.until_gone(PODS, "web")
    # It listens to the signal, so the two seconds are not used up.
    assert virtual.clock.monotonic() - begun <= 7


async def test_a_container_whose_first_hook_fails_is_ended(virtual: World) -> None:
    Server(virtual, lambda at: 1)
    web(virtual, container={"lifecycle": {"postStart": CHECK}})
    await virtual.until_event("FailedPostStartHook", "web")
    await virtual.until(PODS, "web", lambda p: waiting_reason(p) == "CrashLoopBackOff")


async def test_a_sidecar_is_up_before_the_others_and_ends_after_them(virtual: World) -> None:
    order: list[str] = []

    async def script(start: ScriptStart) -> ScriptResult:
        order.append(f"{start.container} begins")
        if start.container.startswith("sidecar"):
            await start.terminated.wait()
        else:
            await virtual.clock.sleep(5)
        order.append(f"{start.container} ends")
        return ScriptResult(0)

    async def check(start: ScriptStart, argv: tuple[str, ...]) -> tuple[int, bytes]:
        order.append(f"{start.container} is up")
        return 0, b""

    virtual.node.scripted.register(IMAGE, script, check)
    first = [
        {"name": "sidecar-1", "image": IMAGE, "restartPolicy": "Always", "startupProbe": CHECK},
        {"name": "prepare", "image": IMAGE},
        {"name": "sidecar-2", "image": IMAGE, "restartPolicy": "Always"},
    ]
    web(virtual, restartPolicy="Never", initContainers=first)
    pod = await virtual.until(PODS, "web", is_ready)
    assert [s["started"] for s in pod["status"]["initContainerStatuses"]] == [True, False, True]
    pod = await virtual.until_phase("web", "Succeeded", "Failed")
    assert pod["status"]["phase"] == "Succeeded"
    assert order == [
        *("sidecar-1 begins", "sidecar-1 is up", "prepare begins", "prepare ends", "sidecar-2 begins"),
        *("main begins", "main ends", "sidecar-2 ends", "sidecar-1 ends"),
    ]


async def test_while_init_containers_run_the_others_say_so(virtual: World) -> None:
    virtual.node.scripted.register(IMAGE, serve)
    web(virtual, initContainers=[{"name": "prepare", "image": IMAGE}])
    pod = await virtual.until(
        PODS, "web", lambda p: p["status"].get("initContainerStatuses", [{}])[0].get("started")
    )
    assert waiting_reason(pod) == "PodInitializing"
    assert pod["status"]["phase"] == "Pending"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["bubblewrap", "plain"])
async def test_real_programs_are_asked_by_request_connection_and_command(tmp_path: Path, kind: str) -> None:
    if kind == "bubblewrap":
        peer("bwrap")
        assert await Bubblewrap.find() is not None
    runtime = Plain() if kind == "plain" else await Bubblewrap.find()
    async with make_world(tmp_path, runtime=runtime) as world:
        port = _free_port()
        image = _server_image(world, tmp_path, port)
        port_ref = {"port": "http"}
        container = {
            "args": ["/state/asked"],
            "ports": [{"name": "http", "containerPort": port}],
            "startupProbe": {"tcpSocket": port_ref, "periodSeconds": 1, "failureThreshold": 30},
            "readinessProbe": {
                "exec": {"command": ["python3", "-c", "import sys; open(sys.argv[1], 'w')", "/state/asked"]},
                "periodSeconds": 1,
                "timeoutSeconds": 10,
            },
            "livenessProbe": {"httpGet": {"path": "/live", **port_ref}, "periodSeconds": 1, "failureThreshold": 1},
            "volumeMounts": [{"name": "state", "mountPath": "/state"}],
        }
        volumes: list[Object] = [{"name": "state", "emptyDir": {}}]
        more: Object = {"volumes": volumes, "restartPolicy": "Always", "terminationGracePeriodSeconds": 0}
        world.create_pod("web", image=image, container=container, **more)
        await world.until(PODS, "web", is_ready)
        await world.until(PODS, "web", lambda p: restarts(p) == 1)
        assert "Liveness probe failed: HTTP probe failed with statuscode: 500" in messages(world, "Unhealthy")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _server_image(world: World, folder: Path, port: int) -> str:
    """A server that is sick once the command of its readiness probe has run inside it."""
    program = (
        "import http.server, os, sys\n"
        "class Answer(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(500 if os.path.exists(sys.argv[1]) else 200)\n"
        "        self.end_headers()\n"
        f"http.server.ThreadingHTTPServer(('127.0.0.1', {port}), Answer).serve_forever()\n"
    )
    digest = python_image(folder / "images", program)
    world.node.register_images(folder / "images")
    return f"local/action@{digest}"


async def test_a_probe_by_grpc_is_refused_clearly(world: World, tmp_path: Path) -> None:
    digest = python_image(tmp_path / "images", "pass")
    world.node.register_images(tmp_path / "images")
    probe = {"grpc": {"port": 5000}}
    world.create_pod("web", image=f"local/action@{digest}", container={"livenessProbe": probe})
    pod = await world.until(PODS, "web", lambda p: waiting_reason(p) == "CreateContainerConfigError")
    assert state_of(pod)["waiting"]["message"].startswith("livenessProbe by gRPC is not supported by this node")
    assert not ended(pod)


@given(
    st.lists(st.booleans(), min_size=1, max_size=30),
    st.integers(min_value=1, max_value=5),
    st.integers(min_value=1, max_value=5),
)
def test_a_verdict_comes_with_as_many_equal_results_in_a_row_as_asked(
    results: list[bool], good: int, bad: int
) -> None:
    probe = Probe("readiness", {}, success_threshold=good, failure_threshold=bad)
    count = Count()
    for number, result in enumerate(results, 1):
        count = count.after(result)
        wanted = good if result else bad
        enough = number >= wanted and all(r is result for r in results[number - wanted : number])
        assert count.verdict(probe) is (result if enough else None)
