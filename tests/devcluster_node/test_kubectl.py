"""What an SRE types, against the whole cluster: API server, controllers and node."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kubernaut.devcluster.cluster import DevCluster
from kubernaut.devcluster.node.machinery import Machinery
from kubernaut.devcluster.resources import PODS
from peers import peer

from .layouts import python_image

pytestmark = [pytest.mark.journey, pytest.mark.peer, pytest.mark.timeout(60)]


@dataclass
class Shell:
    kubeconfig: Path
    cluster: DevCluster
    machinery: Machinery

    async def __call__(self, line: str, *, fails: bool = False, given: str = "") -> str:
        """Run `kubectl <line>`; what it printed, errors included."""
        process = await asyncio.create_subprocess_exec(
            peer("kubectl"),
            f"--kubeconfig={self.kubeconfig}",
            *line.split(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate(given.encode())
        assert (process.returncode != 0) == fails, output.decode()
        return output.decode()


@pytest.fixture
async def kubectl(tmp_path: Path) -> AsyncGenerator[Shell]:
    machinery = Machinery(tmp_path / "machinery")
    async with DevCluster(hooks=[machinery]) as cluster:
        yield Shell(cluster.write_kubeconfig(tmp_path / "kubeconfig"), cluster, machinery)


async def test_a_deployment_is_created_rolled_restarted_and_undone(kubectl: Shell) -> None:
    await kubectl("create deployment payment --image=payment:1 --replicas=3")
    assert "successfully rolled out" in await kubectl("rollout status deployment/payment --timeout=20s")
    await kubectl("set image deployment/payment payment=payment:2")
    assert "successfully rolled out" in await kubectl("rollout status deployment/payment --timeout=20s")
    history = await kubectl("rollout history deployment/payment")
    assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["1", "2"]
    await kubectl("rollout undo deployment/payment")
    await kubectl("rollout status deployment/payment --timeout=20s")
    images = await kubectl("get deployment payment -o jsonpath={.spec.template.spec.containers[0].image}")
    assert images == "payment:1"
    await kubectl("rollout restart deployment/payment")
    assert "successfully rolled out" in await kubectl("rollout status deployment/payment --timeout=20s")
    await kubectl("scale deployment/payment --replicas=1")
    await kubectl("wait --for=jsonpath={.status.replicas}=1 deployment/payment --timeout=20s")
    ready = await kubectl("get deployment payment")
    assert ready.splitlines()[1].split()[:4] == ["payment", "1/1", "1", "1"]
    described = await kubectl("describe deployment payment")
    assert "ScalingReplicaSet" in described
    assert "NewReplicaSetAvailable" in described


async def test_a_rollout_that_fails_is_told(kubectl: Shell) -> None:
    await kubectl("create deployment payment --image=payment:1")
    await kubectl("rollout status deployment/payment --timeout=20s")
    patch = '{"spec":{"progressDeadlineSeconds":1}}'
    await kubectl(f"patch deployment payment -p {patch}")
    await kubectl("set image deployment/payment payment=example.com/does-not-exist:2")
    said = await kubectl("rollout status deployment/payment --timeout=20s", fails=True)
    assert "exceeded its progress deadline" in said
    assert "ErrImagePull" in (pods := await kubectl("get pods")) or "ImagePullBackOff" in pods


async def test_a_job_runs_a_real_process_with_its_own_rights(kubectl: Shell, tmp_path: Path) -> None:
    """The process asks the API server as its ServiceAccount: what its Role allows, and no more."""
    text = (
        "import json, os, ssl, urllib.error, urllib.request\n"
        "there = '/var/run/secrets/kubernetes.io/serviceaccount'\n"
        "folder = os.environ.get('KUBERNAUT_SERVICEACCOUNT_DIR', there)\n"
        "token = open(os.path.join(folder, 'token')).read()\n"
        "context = ssl.create_default_context(cafile=os.path.join(folder, 'ca.crt'))\n"
        "host = os.environ['KUBERNETES_SERVICE_HOST'] + ':' + os.environ['KUBERNETES_SERVICE_PORT']\n"
        "def code(path):\n"
        "    request = urllib.request.Request(f'https://{host}{path}',"
        " headers={'Authorization': f'Bearer {token}'})\n"
        "    try:\n"
        "        return urllib.request.urlopen(request, context=context).status\n"
        "    except urllib.error.HTTPError as error:\n"
        "        return error.code\n"
        "print(json.dumps([code('/api/v1/namespaces/default/configmaps'),"
        " code('/api/v1/namespaces/default/secrets')]))\n"
    )
    digest = python_image(tmp_path / "images", text)
    kubectl.machinery.node.register_images(tmp_path / "images")
    await kubectl("create serviceaccount runner")
    await kubectl("create role reader --verb=list --resource=configmaps")
    await kubectl("create rolebinding reader --role=reader --serviceaccount=default:runner")
    template = {
        "serviceAccountName": "runner",
        "restartPolicy": "Never",
        "containers": [{"name": "action", "image": f"local/action@{digest}"}],
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "run"},
        "spec": {"backoffLimit": 0, "template": {"spec": template}},
    }
    await kubectl("apply -f -", given=json.dumps(job))
    await kubectl("wait --for=condition=complete job/run --timeout=20s")
    assert (await kubectl("logs job/run")).splitlines()[-1] == "[200, 403]"
    assert "Completed" in await kubectl("get pods")
    described = await kubectl("describe job run")
    assert "SuccessfulCreate" in described
    await kubectl("delete job run")
    assert "No resources found" in await kubectl("get pods")


async def test_logs_can_be_followed_tailed_and_stamped(kubectl: Shell, tmp_path: Path) -> None:
    text = "import time\nfor n in range(5):\n    print('line', n, flush=True)\n    time.sleep(0.1)\n"
    digest = python_image(tmp_path / "images", text)
    kubectl.machinery.node.register_images(tmp_path / "images")
    await kubectl(f"run chatty --image=local/action@{digest} --restart=Never")
    await kubectl("wait --for=jsonpath={.status.phase}=Running pod/chatty --timeout=20s")
    lines = [line for line in (await kubectl("logs -f chatty")).splitlines() if line.startswith("line")]
    assert lines == [f"line {n}" for n in range(5)]
    assert (await kubectl("logs chatty --tail=1")).strip() == "line 4"
    stamped = await kubectl("logs chatty --tail=1 --timestamps")
    assert stamped.split()[0].endswith("Z")


async def test_describe_tells_why_a_pod_waits(kubectl: Shell) -> None:
    await kubectl("run broken --image=example.com/does-not-exist:1")
    await kubectl("wait --for=jsonpath={.status.containerStatuses[0].state.waiting} pod/broken --timeout=20s")
    described = await kubectl("describe pod broken")
    assert "Failed to pull image" in described
    await kubectl("cordon devcluster")
    assert "SchedulingDisabled" in await kubectl("get nodes")
    await kubectl("run stuck --image=nginx:1")

    def is_refused() -> bool:
        pod = kubectl.cluster.store.get(PODS, "stuck", "default")
        return any(c["reason"] == "Unschedulable" for c in pod["status"].get("conditions", []))

    while not is_refused():
        await kubectl.cluster.clock.sleep(0.01)
    assert "FailedScheduling" in await kubectl("describe pod stuck")
    await kubectl("uncordon devcluster")
    await kubectl("wait --for=condition=ready pod/stuck --timeout=20s")
    await kubectl("delete pod stuck broken --wait=true")
    assert "No resources found" in await kubectl("get pods")


async def test_draining_moves_pods_away(kubectl: Shell) -> None:
    await kubectl("create deployment payment --image=payment:1 --replicas=2")
    await kubectl("rollout status deployment/payment --timeout=20s")
    said = await kubectl("drain devcluster --timeout=20s --ignore-daemonsets")
    assert "drained" in said
    assert "Pending" in await kubectl("get pods")
    await kubectl("uncordon devcluster")
    await kubectl("rollout status deployment/payment --timeout=20s")
