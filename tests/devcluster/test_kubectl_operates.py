"""What an SRE types at workloads, pods and nodes, by the kubectl that most have and by the newest at hand."""

import asyncio
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from conformance.objects import deployment
from devcluster.test_kubectl_talks import Kubectl
from kubernaut.devcluster import DevCluster
from kubernaut.devcluster.node.machinery import Machinery
from kubernaut.devcluster.node.scripted import ScriptResult, ScriptStart
from kubernaut.devcluster.resources import DEPLOYMENTS, NODES, PODS
from peers import peer

pytestmark = [pytest.mark.journey, pytest.mark.peer, pytest.mark.timeout(60)]


async def play(start: ScriptStart) -> ScriptResult:
    start.log(f"{start.container} began\n")
    start.log(f"{start.container} works\n")
    await start.terminated.wait()
    return ScriptResult(0)


@pytest.fixture(params=["kubectl", pytest.param("kubectl-newest", marks=pytest.mark.long)])
async def kubectl(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Kubectl, None]:
    """With a Deployment of two pods of two containers, and a CronJob."""
    name = str(request.param)
    if name != "kubectl" and shutil.which(name) is None:
        pytest.skip(f"no {name}: scripts/peers fetches it where Debian's unstable suite can be reached")
    program = peer("kubectl") if name == "kubectl" else name
    machinery = Machinery(tmp_path / "machinery")
    async with DevCluster(tmp_path, hooks=[machinery]) as cluster:
        for version in (1, 2):
            machinery.node.scripted.register(f"example.com/web:{version}", play)
        kubectl = Kubectl(program, tmp_path, cluster)
        await kubectl("apply -f -", given=web(2))
        await kubectl("create cronjob night --image=example.com/web:1 --schedule=@daily")
        await kubectl("rollout status deployment/web --timeout=20s")
        yield kubectl


def web(replicas: int) -> dict[str, object]:
    body = deployment(replicas=replicas)
    spec = body["spec"]["template"]["spec"]
    spec["terminationGracePeriodSeconds"] = 1
    spec["containers"] = [{"name": name, "image": "example.com/web:1"} for name in ("main", "side")]
    return body


async def test_looking_around(kubectl: Kubectl) -> None:
    pod = str(kubectl.cluster.store.list(PODS, "default").items[0]["metadata"]["name"])
    for line, words in (
        ("version", ["Server Version: v1.", "devcluster"]),
        ("cluster-info", ["control plane", kubectl.cluster.url]),
        ("api-resources --api-group=apps -o wide", ["deployments", "deploy", "patch,update,watch"]),
        ("api-versions", ["apps/v1\n", "batch/v1\n", "\nv1\n"]),
        ("get all", ["deployment.apps/web   2/2", "replicaset.apps/web-", "pod/web-", "cronjob.batch/night"]),
        ("get pods -o wide", ["NODE", "devcluster"]),
        ("get deploy web -o yaml", ["kind: Deployment", "readyReplicas: 2"]),
        ("get deploy web -o jsonpath={.status.readyReplicas}", ["2"]),
        ("get pods -o custom-columns=N:.metadata.name,P:.status.phase", [f"{pod}   Running"]),
        ("get pods -A --sort-by=.metadata.creationTimestamp --show-labels", ["NAMESPACE", "app=web"]),
        ("get pods --field-selector=status.phase=Failed", ["No resources found"]),
        ("describe deployment web", ["2 desired | 2 updated", "ScalingReplicaSet"]),
        (f"describe pod {pod}", ["Controlled By:  ReplicaSet/web-", "Started container main"]),
        ("describe node devcluster", ["Non-terminated Pods:", pod, "Allocated resources:"]),
        ("describe cronjob night", ["Schedule:", "@daily"]),
        ("explain pod.spec.containers.resources", ["limits", "<map[string]string>"]),
        ("explain deployment --recursive", ["minReadySeconds", "terminationGracePeriodSeconds"]),
        ("get events --field-selector=reason=Started", ["Started container side"]),
        ("events --for=deployment/web", ["ScalingReplicaSet"]),
    ):
        shown = await kubectl(line)
        assert [word for word in words if word not in shown] == [], (line, shown)
    assert "Metrics API not available" in await kubectl("top pods", fails=True)


async def test_rolling_out_and_back(kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch) -> None:
    for line, words in (
        ("set image deployment/web main=example.com/web:2", "image updated"),
        ("rollout status deployment/web --timeout=20s", "successfully rolled out"),
        ("rollout history deployment/web", "REVISION"),
        ("rollout history deployment/web --revision=2", "example.com/web:2"),
        ("rollout undo deployment/web", "rolled back"),
        ("rollout pause deployment/web", "paused"),
        ("set env deployment/web A=b", "env updated"),
        ("set resources deployment/web -c main --limits=cpu=200m", "resource requirements updated"),
        ("rollout resume deployment/web", "resumed"),
        ("rollout restart deployment/web", "restarted"),
        ("rollout status deployment/web --timeout=20s", "successfully rolled out"),
        ("wait --for=condition=Available deployment/web --timeout=10s", "condition met"),
        ("wait --for=jsonpath={.status.phase}=Running pod -l app=web --timeout=10s", "condition met"),
        ("label deployment web tier=front", "labeled"),
        ("annotate deployment web note=hello", "annotated"),
        ("""patch deployment web --type=json -p [{"op":"remove","path":"/metadata/labels/tier"}]""", "patched"),
    ):
        shown = await kubectl(line)
        assert words in shown, (line, shown)
    stored = kubectl.cluster.store.get(DEPLOYMENTS, "web", "default")
    main = stored["spec"]["template"]["spec"]["containers"][0]
    assert main == main | {"image": "example.com/web:1", "env": [{"name": "A", "value": "b"}]}
    assert main["resources"] == {"limits": {"cpu": "200m"}}
    assert "tier" not in stored["metadata"].get("labels", {})
    editor = kubectl.folder / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/^  replicas: 2/  replicas: 3/' \"$1\"\n")
    editor.chmod(0o700)
    monkeypatch.setenv("KUBE_EDITOR", str(editor))
    assert await kubectl("edit deployment web") == "deployment.apps/web edited\n"
    assert kubectl.cluster.store.get(DEPLOYMENTS, "web", "default")["spec"]["replicas"] == 3
    assert await kubectl("replace -f -", given=web(1)) == "deployment.apps/web replaced\n"
    assert "AlreadyExists" in await kubectl("create --dry-run=server -f -", given=web(1), fails=True)
    assert "server dry run" in await kubectl("delete deployment web --dry-run=server")
    await kubectl("delete deployment web --cascade=foreground --timeout=20s")
    assert "web" not in await kubectl("get deployments,replicasets")


async def test_reading_logs_and_what_pods_cannot_do_here(kubectl: Kubectl) -> None:
    pod = str(kubectl.cluster.store.list(PODS, "default").items[0]["metadata"]["name"])
    assert await kubectl(f"logs {pod} -c main") == "main began\nmain works\n"
    assert await kubectl(f"logs {pod} -c side --tail=1") == "side works\n"
    assert (await kubectl(f"logs {pod} -c main --since=1h --timestamps")).count("T") == 2
    everything = await kubectl("logs -l app=web --all-containers --prefix")
    assert everything.count("began\n") == 4
    assert f"[pod/{pod}/side] side works" in everything
    assert "Defaulted container" in await kubectl(f"logs {pod}")
    assert "previous terminated container" in await kubectl(f"logs {pod} -c main -p", fails=True)
    for line, word in (
        ("exec deployment/web -c main -- ls", "exec"),
        ("attach deployment/web -c main", "attach"),
        ("port-forward deployment/web 8080:80", "portforward"),
    ):
        told = await kubectl(line, fails=True)
        assert f"this embedded cluster does not do {word} of pods" in told
    following = await asyncio.create_subprocess_exec(
        kubectl.program,
        f"--kubeconfig={kubectl.folder / 'kubeconfig'}",
        *("logs", "-f", pod, "-c", "main"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert following.stdout is not None
    assert await following.stdout.readline() == b"main began\n"
    await kubectl(f"delete pod {pod} --timeout=20s")
    output, _ = await following.communicate()
    assert output == b"main works\n"


async def test_emptying_a_node_and_starting_a_job_by_hand(kubectl: Kubectl) -> None:
    store = kubectl.cluster.store
    assert await kubectl("taint nodes devcluster dedicated=a:NoSchedule") == "node/devcluster tainted\n"
    assert await kubectl("taint nodes devcluster dedicated-") == "node/devcluster untainted\n"
    assert await kubectl("cordon devcluster") == "node/devcluster cordoned\n"
    assert "Ready,SchedulingDisabled" in await kubectl("get nodes")
    drained = await kubectl("drain devcluster --ignore-daemonsets --timeout=30s")
    assert drained.count("evicted") == 2
    assert {pod["status"]["phase"] for pod in store.list(PODS, "default").items} == {"Pending"}
    await kubectl("uncordon devcluster")
    assert "unschedulable" not in store.get(NODES, "devcluster")["spec"]
    await kubectl("rollout status deployment/web --timeout=20s")
    await starting_a_job_from_its_schedule(kubectl)


async def starting_a_job_from_its_schedule(kubectl: Kubectl) -> None:
    assert await kubectl("create job --from=cronjob/night now") == "job.batch/now created\n"
    assert "CronJob/night" in await kubectl("describe job now")
    assert await kubectl("delete cronjob night --cascade=orphan")
    assert "now" in await kubectl("get jobs")
