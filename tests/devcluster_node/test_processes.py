"""Action images run as real processes: in a sandbox where there is one, plainly where there is none."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from kubernaut.devcluster.node import LogQuery
from kubernaut.devcluster.node.bubblewrap import Bubblewrap
from kubernaut.devcluster.node.plain import Plain
from kubernaut.devcluster.node.runtime import Runtime
from kubernaut.devcluster.resources import CONFIG_MAPS, JOBS, NODES, PERSISTENT_VOLUME_CLAIMS, PODS, SECRETS
from kubernaut.oci import ImageLayout, LayerFile
from peers import peer

from .layouts import busybox_image, make_layout, python_image
from .worlds import NAMESPACE, World, ended, make_world, waiting_reason

pytestmark = pytest.mark.timeout(20)

SAFE = {"readOnlyRootFilesystem": True, "runAsNonRoot": True, "runAsUser": 65532}


async def sandbox() -> Runtime:
    peer("bwrap")
    found = await Bubblewrap.find()
    if found is None:
        pytest.skip("this machine does not let bubblewrap make sandboxes")
    return found


@pytest.fixture(params=["bubblewrap", "plain"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[World]:
    runtime = await sandbox() if request.param == "bubblewrap" else Plain()
    async with make_world(tmp_path, runtime=runtime) as made:
        yield made


@pytest.fixture
async def sandboxed(tmp_path: Path) -> AsyncGenerator[World]:
    async with make_world(tmp_path, runtime=await sandbox()) as made:
        yield made


@pytest.fixture
async def plain(tmp_path: Path) -> AsyncGenerator[World]:
    async with make_world(tmp_path, runtime=Plain()) as made:
        yield made


def script(world: World, folder: Path, text: str, **config: Any) -> str:
    """Register an image that runs this Python; returns its reference by digest."""
    digest = python_image(folder / "images", text, **config)
    world.node.register_images(folder / "images")
    return f"local/action@{digest}"


def shell(world: World, folder: Path, text: str) -> str:
    busybox_image(folder / "images", entrypoint=("/bin/sh", "-c", text))
    world.node.register_images(folder / "images")
    return "local/busybox:1"


async def run(world: World, name: str, image: str, **more: Any) -> dict[str, Any]:
    world.create_pod(name, image=image, **more)
    return await world.until_phase(name, "Succeeded", "Failed")


async def test_a_script_runs_to_its_end_and_its_log_is_kept(world: World, tmp_path: Path) -> None:
    image = script(world, tmp_path, "print('hello'); print('{\"replicas\": 3}')")
    pod = await run(world, "action", image)
    state = ended(pod)
    assert (state["exitCode"], state["reason"]) == (0, "Completed")
    assert state["startedAt"] <= state["finishedAt"]
    assert (await world.log("action")).splitlines()[-2:] == ["hello", '{"replicas": 3}']
    assert pod["status"]["containerStatuses"][0]["imageID"].startswith("sha256:")
    assert world.reasons("action") == ["Scheduled", "Pulled", "Created", "Started"]


@pytest.mark.peer
async def test_an_image_with_its_own_programs_runs_by_tag(world: World, tmp_path: Path) -> None:
    pod = await run(world, "shell", shell(world, tmp_path, "echo from busybox; exit 7"))
    assert ended(pod)["exitCode"] == 7
    assert ended(pod)["reason"] == "Error"
    assert "from busybox" in await world.log("shell")


async def test_environment_from_everywhere(world: World, tmp_path: Path) -> None:
    world.create(CONFIG_MAPS, {"metadata": {"name": "settings"}, "data": {"COLOR": "blue", "SIZE": "9"}})
    world.create(SECRETS, {"metadata": {"name": "credentials"}, "stringData": {"password": "hunter2"}})
    text = "import json, os; print(json.dumps(dict(os.environ)))"
    env = [
        {"name": "GREETING", "value": "hi $(COLOR) $$(COLOR) $(NOBODY)"},
        {"name": "UID_OF_POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
        {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "credentials", "key": "password"}}},
        {"name": "ABSENT", "valueFrom": {"secretKeyRef": {"name": "no", "key": "no", "optional": True}}},
        {"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
    ]
    container = {
        "env": env,
        "envFrom": [{"configMapRef": {"name": "settings"}, "prefix": ""}],
        "resources": {"limits": {"cpu": "250m"}},
    }
    image = script(world, tmp_path, text, env={"FROM_IMAGE": "yes", "COLOR": "red"})
    pod = await run(world, "action", image, container=container, metadata={"labels": {"app": "x"}})
    seen = json.loads((await world.log("action")).splitlines()[-1])
    wanted = {
        "FROM_IMAGE": "yes",
        "COLOR": "blue",
        "SIZE": "9",
        "GREETING": "hi blue $(COLOR) $(NOBODY)",
        "UID_OF_POD": pod["metadata"]["uid"],
        "LABEL": "x",
        "PASSWORD": "hunter2",
        "LIMIT": "250",
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": "6443",
        "HOSTNAME": "action",
    }
    assert wanted.items() <= seen.items()
    assert "ABSENT" not in seen


async def test_command_and_args_replace_entrypoint(world: World, tmp_path: Path) -> None:
    start = ("python3", "/app/main.py", "from", "image")
    image = script(world, tmp_path, "import sys; print(sys.argv[1:])", entrypoint=start)
    await run(world, "both", image)
    await run(world, "args", image, container={"args": ["$(HOSTNAME)"]})
    command = ["python3", "-c", "print('other')"]
    await run(world, "command", image, container={"command": command})
    last = {name: (await world.log(name)).splitlines()[-1] for name in ("both", "args", "command")}
    assert last == {"both": "['from', 'image']", "args": "['from', 'image', 'args']", "command": "other"}


async def test_the_termination_message_is_read_and_cut(world: World, tmp_path: Path) -> None:
    text = (
        "import os\n"
        "path = os.environ.get('KUBERNAUT_TERMINATION_LOG', '/dev/termination-log')\n"
        "open(path, 'w').write('x' * 5000)\n"
        "raise SystemExit(70)\n"
    )
    pod = await run(world, "action", script(world, tmp_path, text))
    assert ended(pod)["exitCode"] == 70
    assert ended(pod)["message"] == "x" * 4096


async def test_without_a_message_the_log_speaks_if_asked(world: World, tmp_path: Path) -> None:
    image = script(world, tmp_path, "print('the reason'); raise SystemExit(3)")
    asked = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    assert "the reason" in ended(await run(world, "asked", image, container=asked))["message"]
    assert "message" not in ended(await run(world, "unasked", image))


async def test_the_service_account_is_at_hand(world: World, tmp_path: Path) -> None:
    text = (
        "import os\n"
        "there = '/var/run/secrets/kubernetes.io/serviceaccount'\n"
        "folder = os.environ.get('KUBERNAUT_SERVICEACCOUNT_DIR', there)\n"
        "for name in ('token', 'namespace', 'ca.crt'):\n"
        "    print(open(os.path.join(folder, name)).read().strip())\n"
    )
    image = script(world, tmp_path, text)
    await run(world, "action", image, serviceAccountName="runner")
    assert (await world.log("action")).splitlines()[-3:] == ["token-of-runner", NAMESPACE, "the ca"]
    pod = await run(world, "without", image, automountServiceAccountToken=False)
    assert ended(pod)["exitCode"] != 0


async def test_volumes_are_seen_where_they_are_mounted(world: World, tmp_path: Path) -> None:
    world.create(CONFIG_MAPS, {"metadata": {"name": "settings"}, "data": {"a.txt": "one", "b.txt": "two"}})
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    world.create(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "workspace"}, "spec": claim})
    text = (
        "import os, sys\n"
        "workspace, settings, scratch = sys.argv[1:]\n"
        "open(os.path.join(workspace, 'seen'), 'a').write('x')\n"
        "open(os.path.join(scratch, 'f'), 'w').write('y')\n"
        "print(os.listdir(scratch), open(os.path.join(workspace, 'seen')).read(),"
        " open(settings).read())\n"
    )
    volumes = [
        {"name": "workspace", "persistentVolumeClaim": {"claimName": "workspace"}},
        {"name": "settings", "configMap": {"name": "settings", "items": [{"key": "b.txt", "path": "c"}]}},
        {"name": "scratch", "emptyDir": {}},
    ]
    mounts = [
        {"name": "workspace", "mountPath": "/workspace"},
        {"name": "settings", "mountPath": "/etc/settings", "readOnly": True},
        {"name": "scratch", "mountPath": "/scratch"},
    ]
    image = script(world, tmp_path, text)
    container = {
        "volumeMounts": mounts,
        "args": ["/workspace", "/etc/settings/c", "/scratch"],
        "securityContext": SAFE,
    }
    for name, seen in (("first", "x"), ("second", "xx")):
        await run(world, name, image, volumes=volumes, container=container)
        assert (await world.log(name)).splitlines()[-1] == f"['f'] {seen} two"
    bound = world.get(PERSISTENT_VOLUME_CLAIMS, "workspace")
    assert bound["status"]["phase"] == "Bound"
    world.store.delete(PERSISTENT_VOLUME_CLAIMS, "workspace", NAMESPACE)
    await world.until_true(lambda: not any((tmp_path / "volumes").iterdir()))


HANDLES_TERM = (
    "import os, signal, sys, time\n"
    "signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'stopping\\n'), sys.exit(9)))\n"
    "os.write(1, b'up\\n')\n"
    "time.sleep(60)\n"
)
IGNORES_TERM = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(60)\n"
)


async def until_up(world: World, name: str) -> None:
    await world.until_phase(name, "Running")
    async for chunk in world.node.logs(NAMESPACE, name, "", _FOLLOW):
        if b"up" in chunk:
            return


_FOLLOW = LogQuery(follow=True)


async def test_a_deleted_pod_is_asked_first_and_its_own_exit_code_counts(world: World, tmp_path: Path) -> None:
    image = script(world, tmp_path, HANDLES_TERM)
    world.create_pod("action", image=image, metadata={"finalizers": ["example.com/keep"]})
    await until_up(world, "action")
    world.store.delete(PODS, "action", NAMESPACE)
    pod = await world.until_phase("action", "Failed")
    assert ended(pod)["exitCode"] == 9
    assert "stopping" in await world.log("action")
    world.store.patch(PODS, "action", NAMESPACE, {"metadata": {"finalizers": None}})
    await world.until_gone(PODS, "action")


async def test_who_does_not_listen_is_killed_after_the_grace_period(world: World, tmp_path: Path) -> None:
    image = script(world, tmp_path, IGNORES_TERM)
    world.create_pod("action", image=image, metadata={"finalizers": ["example.com/keep"]})
    await until_up(world, "action")
    world.store.delete(PODS, "action", NAMESPACE, grace=1)
    pod = await world.until_phase("action", "Failed")
    assert (ended(pod)["exitCode"], ended(pod)["reason"]) == (137, "Error")


async def test_a_forced_deletion_kills_what_runs(world: World, tmp_path: Path) -> None:
    image = script(world, tmp_path, IGNORES_TERM)
    world.create_pod("action", image=image, container={"args": [str(tmp_path)]})
    await until_up(world, "action")
    assert _processes_of(tmp_path)
    world.store.delete(PODS, "action", NAMESPACE, grace=0)
    assert world.store.find(PODS, "action", NAMESPACE) is None
    await world.until_true(lambda: not _processes_of(tmp_path))


async def test_the_deadline_kills_and_says_so(world: World, tmp_path: Path) -> None:
    image = script(world, tmp_path, HANDLES_TERM)
    world.create_pod("action", image=image, activeDeadlineSeconds=1, terminationGracePeriodSeconds=1)
    pod = await world.until_phase("action", "Failed")
    assert pod["status"]["reason"] == "DeadlineExceeded"
    assert ended(pod)["exitCode"] in {9, 137, 143}  # on a busy machine it may not be listening yet


async def test_nothing_is_left_when_the_node_stops(world: World, tmp_path: Path) -> None:
    text = (
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(61)', sys.argv[1]])\n"
    )
    image = script(world, tmp_path, text + IGNORES_TERM)
    world.create_pod("action", image=image, container={"args": [str(tmp_path)]})
    await until_up(world, "action")
    assert len(_processes_of(tmp_path)) >= 2
    await world.node.stop()
    await world.until_true(lambda: not _processes_of(tmp_path))


def _processes_of(folder: Path) -> list[int]:
    """Processes of this machine with the folder in their command line or as working directory."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            told = (entry / "cmdline").read_bytes().decode(errors="replace")
            where = os.readlink(entry / "cwd")
        except OSError:
            continue
        if str(folder) in told or where.startswith(str(folder)):
            found.append(int(entry.name))
    return found


async def test_a_program_that_is_not_there_is_told_as_a_start_error(world: World, tmp_path: Path) -> None:
    image = script(world, tmp_path, "")
    pod = await run(world, "action", image, container={"command": ["no-such-program"]})
    assert (ended(pod)["exitCode"], ended(pod)["reason"]) == (128, "StartError")
    assert "executable file not found in $PATH" in ended(pod)["message"]


async def test_a_user_who_must_not_be_root_is_not(world: World, tmp_path: Path) -> None:
    image = script(world, tmp_path, "")
    world.create_pod("action", image=image, container={"securityContext": {"runAsNonRoot": True}})
    pod = await world.until(PODS, "action", lambda p: waiting_reason(p) == "CreateContainerConfigError")
    assert "runAsNonRoot" in pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"]


async def test_a_job_with_an_unknown_image_does_not_pretend(world: World) -> None:
    world.create_job("run", "example.com/action@sha256:" + "0" * 64)
    event = await world.until_event("Failed")
    pod = world.pods()[0]
    assert event["involvedObject"]["name"] == pod["metadata"]["name"]
    await world.until(
        PODS, pod["metadata"]["name"], lambda p: waiting_reason(p) in {"ErrImagePull", "ImagePullBackOff"}
    )


async def test_images_are_found_below_their_repository(world: World, tmp_path: Path) -> None:
    python_image(tmp_path / "images", "print('found')", "scale:v1.0.0")
    world.node.register_images(tmp_path / "images", "ghcr.io/example/actions")
    pod = await run(world, "action", "ghcr.io/example/actions/scale:v1.0.0")
    assert "found" in await world.log("action")
    assert ended(pod)["exitCode"] == 0


async def test_a_damaged_image_is_a_pull_error(world: World, tmp_path: Path) -> None:
    digest = make_layout(tmp_path / "images", "local/bad:1", [LayerFile("/x", content=b"x")])
    layout = ImageLayout(tmp_path / "images")
    layout.path(layout.manifest(digest).layers[0].digest).write_bytes(b"no archive")
    world.node.register_images(tmp_path / "images")
    world.create_pod("action", image=f"local/bad@{digest}")
    pod = await world.until(PODS, "action", lambda p: waiting_reason(p) == "ErrImagePull")
    assert "described are" in pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"]


async def test_files_of_a_pod_go_with_it_and_logs_stay_until_then(world: World, tmp_path: Path) -> None:
    pod = await run(world, "action", script(world, tmp_path, "print('kept')"))
    folder = tmp_path / "node" / "pods" / pod["metadata"]["uid"]
    assert folder.is_dir()
    assert "kept" in await world.log("action")
    world.store.delete(PODS, "action", NAMESPACE)
    await world.until_true(lambda: not folder.exists())


async def test_a_second_start_keeps_the_first_log(world: World, tmp_path: Path) -> None:
    image = script(world, tmp_path, "import os, time; print('start'); raise SystemExit(1)")
    world.create_pod("action", image=image, restartPolicy="OnFailure")
    await world.until(PODS, "action", lambda p: waiting_reason(p) == "CrashLoopBackOff")
    chunks = world.node.logs(NAMESPACE, "action", "", LogQuery(), previous=True)
    assert b"start" in b"".join([chunk async for chunk in chunks])


# -- what only a sandbox can give ----------------------------------------------------------------------


@pytest.mark.peer
async def test_a_sandbox_shows_nothing_of_the_host(sandboxed: World, tmp_path: Path) -> None:
    image = shell(sandboxed, tmp_path, "id; echo pid $$; ls /; touch /x; touch /tmp/y && ls /tmp; ls /home")
    pod = await run(sandboxed, "inside", image, container={"securityContext": SAFE})
    lines = (await sandboxed.log("inside")).splitlines()
    assert lines[0].startswith("uid=65532")
    assert lines[1] == "pid 1"
    assert {"bin", "dev", "etc", "proc", "tmp"} <= set(lines)
    assert not {"home", "root", "usr", "work"} & set(lines)
    assert any("Read-only file system" in line for line in lines)
    assert "y" in lines
    assert ended(pod)["exitCode"] == 1


@pytest.mark.peer
async def test_a_writable_root_belongs_to_one_start_alone(sandboxed: World, tmp_path: Path) -> None:
    image = shell(sandboxed, tmp_path, "ls /bin/mark; touch /bin/mark && echo written")
    for name in ("first", "second"):
        await run(sandboxed, name, image)
        log = await sandboxed.log(name)
        assert "No such file" in log
        assert "written" in log


async def test_a_borrowed_interpreter_does_not_bring_the_hosts_secrets(sandboxed: World, tmp_path: Path) -> None:
    text = (
        "import os\n"
        "print(sorted(os.listdir('/')), os.path.exists('/etc/shadow'), os.path.exists('/root/.ssh'))\n"
        "import kubernaut, msgspec\n"
        "open('/app/x', 'w')\n"
    )
    image = script(sandboxed, tmp_path, text)
    pod = await run(sandboxed, "inside", image, container={"securityContext": SAFE})
    log = await sandboxed.log("inside")
    assert "False False" in log
    assert "Read-only file system" in log
    assert ended(pod)["exitCode"] == 1


@pytest.mark.peer
async def test_nothing_is_left_however_early_it_is_killed(sandboxed: World, tmp_path: Path) -> None:
    image = shell(sandboxed, tmp_path, "sleep 62")
    container = {"args": [str(tmp_path)], "securityContext": SAFE}
    for number in range(30):
        sandboxed.create_pod(f"brief-{number}", image=image, container=container)
        await sandboxed.clock.sleep(number / 1000)
        sandboxed.store.delete(PODS, f"brief-{number}", NAMESPACE, grace=0)
    for number in range(10):
        sandboxed.create_pod(f"last-{number}", image=image, container=container)
    await sandboxed.clock.sleep(0.02)
    await sandboxed.node.stop()
    await sandboxed.until_true(lambda: not _processes_of(tmp_path))


async def test_plain_processes_are_announced_as_what_they_are(plain: World, tmp_path: Path) -> None:
    image = script(plain, tmp_path, "print('x')")
    await run(plain, "action", image)
    assert "without isolation" in await plain.log("action")
    node = plain.store.get(NODES, plain.node.name)
    found = {c["type"]: c["status"] for c in node["status"]["conditions"]}
    assert found["ContainerIsolation"] == "False"
    assert found["Ready"] == "True"
    assert "isolation" in node["metadata"]["annotations"]["devcluster.kubernaut.ai/notice"]


_CLUSTER = """
import asyncio, pathlib, sys
sys.path.insert(0, {tests!r})
from devcluster_node.layouts import python_image
from devcluster_node.worlds import make_world
from kubernaut.devcluster.node.bubblewrap import Bubblewrap
from kubernaut.devcluster.node.plain import Plain

async def main():
    folder = pathlib.Path({folder!r})
    runtime = Plain() if {plain} else await Bubblewrap.find()
    async with make_world(folder, runtime=runtime) as world:
        digest = python_image(folder / "images", "import time; print('up', flush=True); time.sleep(63)")
        world.node.register_images(folder / "images")
        world.create_pod("action", image=f"local/action@{{digest}}", container={{"args": [{folder!r}]}})
        await world.until_phase("action", "Running")
        print("running", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.journey
@pytest.mark.timeout(60)
async def test_what_runs_dies_with_a_cluster_that_is_killed(world: World, tmp_path: Path) -> None:
    folder, tests = tmp_path / "other", Path(__file__).parents[1]
    plain = world.node.runtime == "plain"
    text = _CLUSTER.format(tests=str(tests), folder=str(folder), plain=plain)
    cluster = await asyncio.create_subprocess_exec(
        sys.executable, "-c", text, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert cluster.stdout is not None
    assert b"running" in await cluster.stdout.readline()
    inner = [pid for pid in _processes_of(folder) if pid != cluster.pid]
    assert inner
    cluster.kill()
    await cluster.wait()
    await world.until_true(lambda: not _processes_of(folder))


LIMITED = {"resources": {"limits": {"memory": "64Mi"}}}


async def test_a_container_over_its_memory_limit_is_killed_and_says_so(world: World, tmp_path: Path) -> None:
    image = script(world, tmp_path, "print('eating', flush=True); eaten = bytearray(10**9); print('full')")
    pod = await run(world, "glutton", image, container=LIMITED)
    assert (ended(pod)["exitCode"], ended(pod)["reason"]) == (137, "OOMKilled")
    assert pod["status"]["phase"] == "Failed"
    assert ended(pod)["startedAt"] <= ended(pod)["finishedAt"]
    said = await world.log("glutton")
    assert "eating" in said
    assert "full" not in said


async def test_memory_is_that_of_all_processes_of_a_container(world: World, tmp_path: Path) -> None:
    text = (
        "import os, sys\n"
        "if not os.fork():\n"
        "    os.setsid()\n"
        "    eaten = b'x' * 10**8\n"
        "    sys.stdin.read() or os.read(os.pipe()[0], 1)\n"
        "os.wait()\n"
    )
    pod = await run(world, "family", script(world, tmp_path, text), container=LIMITED)
    assert (ended(pod)["exitCode"], ended(pod)["reason"]) == (137, "OOMKilled")


async def test_what_processes_share_counts_once(world: World, tmp_path: Path) -> None:
    text = (
        "import os, time\n"
        "shared = b'x' * (30 * 2**20)\n"
        "children = [os.fork() for _ in range(2)]\n"
        "time.sleep(0.3)\n"
    )
    pod = await run(world, "twins", script(world, tmp_path, text), container=LIMITED)
    assert ended(pod)["reason"] == "Completed"


async def test_a_job_counts_a_container_that_ran_out_of_memory(world: World, tmp_path: Path) -> None:
    image = script(world, tmp_path, "eaten = bytearray(10**9)")
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [137]}}
    world.create_job(
        "run", image, container=LIMITED, podFailurePolicy={"rules": [rule]}, podReplacementPolicy="Failed"
    )
    job = await world.until(JOBS, "run", lambda job: job["status"].get("failed"))
    assert (job["status"]["failed"], job["status"].get("ready")) == (1, 0)
    assert "failed with exit code 137" in job["status"]["conditions"][-1]["message"]
