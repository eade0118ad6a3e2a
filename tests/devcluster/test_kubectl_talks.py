"""What an SRE types at the API server alone: apply, explain, wait, auth, custom kinds."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from conformance.objects import definition, deployment
from kubernaut.concurrency import Supervisor
from kubernaut.devcluster import DevCluster
from kubernaut.devcluster.resources import DEPLOYMENTS, NAMESPACES
from peers import peer

pytestmark = [pytest.mark.journey, pytest.mark.peer, pytest.mark.timeout(60)]


@dataclass
class Kubectl:
    program: str
    folder: Path
    cluster: DevCluster

    async def __call__(self, line: str, *, given: Any = None, fails: bool = False) -> str:
        """Run `kubectl <line>`, with `given` (an object) as `-f -`; everything it printed."""
        process = await asyncio.create_subprocess_exec(
            self.program,
            f"--kubeconfig={self.folder / 'kubeconfig'}",
            f"--cache-dir={self.folder / 'cache'}",
            *line.split(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        text = b"" if given is None else yaml.safe_dump(given).encode()
        output, _ = await process.communicate(text)
        assert (process.returncode != 0) == fails, output.decode()
        return output.decode()


@pytest.fixture
async def kubectl(tmp_path: Path) -> AsyncGenerator[Kubectl, None]:
    program = peer("kubectl")
    async with DevCluster(tmp_path) as cluster:
        yield Kubectl(program, tmp_path, cluster)


async def test_apply_creates_changes_leaves_alone_and_drops(kubectl: Kubectl) -> None:
    wanted = deployment(replicas=2)
    wanted["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "A", "value": "1"}]
    assert await kubectl("apply -f -", given=wanted) == "deployment.apps/web created\n"
    assert await kubectl("apply -f -", given=wanted) == "deployment.apps/web unchanged\n"
    await kubectl("scale deployment web --replicas=7")
    del wanted["spec"]["template"]["spec"]["containers"][0]["env"]
    del wanted["spec"]["replicas"]
    assert await kubectl("apply -f -", given=wanted) == "deployment.apps/web configured\n"
    stored = kubectl.cluster.store.get(DEPLOYMENTS, "web", "default")
    assert "env" not in stored["spec"]["template"]["spec"]["containers"][0]
    # The field that was applied before and now is not goes back to its default.
    assert stored["spec"]["replicas"] == 1


async def test_server_side_apply_takes_over_from_client_side_apply(kubectl: Kubectl) -> None:
    await kubectl("apply -f -", given=deployment(replicas=2))
    assert await kubectl("apply --server-side -f -", given=deployment(replicas=2)) == (
        "deployment.apps/web serverside-applied\n"
    )
    await kubectl("scale deployment web --replicas=5")
    refused = await kubectl("apply --server-side -f -", given=deployment(replicas=2), fails=True)
    assert "conflict" in refused
    assert ".spec.replicas" in refused
    await kubectl("apply --server-side --force-conflicts -f -", given=deployment(replicas=2))
    assert kubectl.cluster.store.get(DEPLOYMENTS, "web", "default")["spec"]["replicas"] == 2


async def test_mistakes_in_a_file_are_told_before_anything_happens(kubectl: Kubectl) -> None:
    wrong = deployment()
    wrong["spec"]["replica"] = 3
    refused = await kubectl("apply -f -", given=wrong, fails=True)
    assert 'unknown field "spec.replica"' in refused
    wrong = deployment()
    wrong["spec"]["selector"]["matchLabels"] = {"app": "other"}
    refused = await kubectl("apply -f -", given=wrong, fails=True)
    assert "`selector` does not match template `labels`" in refused
    assert await kubectl("get deployments") == "No resources found in default namespace.\n"


async def test_a_dry_run_and_a_diff_change_nothing(kubectl: Kubectl) -> None:
    assert "created (server dry run)" in await kubectl("create --dry-run=server -f -", given=deployment())
    await kubectl("apply -f -", given=deployment(replicas=2))
    difference = await kubectl("diff -f -", given=deployment(replicas=3), fails=True)
    assert "-  replicas: 2" in difference
    assert "+  replicas: 3" in difference


async def test_custom_kinds_are_found_explained_waited_for_and_deleted(kubectl: Kubectl) -> None:
    crd = definition("talk")
    crd["spec"]["names"] |= {"shortNames": ["th"], "categories": ["kubernaut"]}
    await kubectl("apply -f -", given=crd)
    waited = await kubectl("wait --for=condition=Established crd/things.talk.example.com --timeout=5s")
    assert "condition met" in waited
    thing = {"apiVersion": "talk.example.com/v1", "kind": "Thing", "metadata": {"name": "one"}}
    await kubectl("apply -f -", given={**thing, "spec": {"mode": "a"}})
    assert (await kubectl("get th")).splitlines()[0].split() == ["NAME", "MODE"]
    assert (await kubectl("get kubernaut")).split() == ["NAME", "MODE", "one", "a"]
    explained = await kubectl("explain things.spec.steps")
    assert "FIELD: steps <[]Object>" in explained
    assert "-required-" in explained
    refused = await kubectl("apply -f -", given={**thing, "spec": {"mode": "q"}}, fails=True)
    assert 'spec.mode: Unsupported value: "q": supported values: "a", "b", "c"' in refused
    await kubectl("delete crd things.talk.example.com --timeout=10s")
    # kubectl still knows the kind from its own cache.
    assert "could not find the requested resource" in await kubectl("get th", fails=True)


async def test_who_may_what(kubectl: Kubectl) -> None:
    await kubectl("create role reader --verb=get,list --resource=pods")
    await kubectl("create rolebinding reader --role=reader --serviceaccount=default:default")
    robot = "--as=system:serviceaccount:default:default"
    assert await kubectl(f"auth can-i list pods {robot}") == "yes\n"
    assert await kubectl(f"auth can-i delete pods {robot}", fails=True) == "no\n"
    assert "[get list]" in await kubectl(f"auth can-i --list {robot}")
    assert "devcluster-admin" in await kubectl("auth whoami")
    refused = await kubectl(f"get secrets {robot}", fails=True)
    assert refused.startswith('Error from server (Forbidden): secrets is forbidden: User "system:serviceaccount')
    token = (await kubectl("create token default")).strip()
    assert token.count(".") == 2


async def test_everything_kubectl_creates_by_flags_arrives(kubectl: Kubectl) -> None:
    for line in (
        "create configmap c --from-literal=a=b",
        "create secret generic s --from-literal=a=b",
        "create deployment d --image=busybox --replicas=2 --port=80",
        "create job j --image=busybox -- echo hi",
        "create cronjob cj --image=busybox --schedule=*/5_*_*_*_*",
        "create serviceaccount sa",
        "create service clusterip svc --tcp=80:8080",
        "create poddisruptionbudget pdb --selector=a=b --min-available=50%",
        "create quota q --hard=pods=5",
        "create priorityclass pc --value=5",
        "create clusterrole cr --verb=get --resource=deployments.apps",
        "create clusterrolebinding crb --clusterrole=cr --group=people",
        "run p --image=busybox --restart=Never --env=A=b -- sleep 1",
        "expose deployment d --name=d2",
    ):
        words = [word.replace("_", " ") for word in line.split()]
        process = await asyncio.create_subprocess_exec(
            kubectl.program,
            f"--kubeconfig={kubectl.folder / 'kubeconfig'}",
            *words,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, (line, output.decode())
    store = kubectl.cluster.store
    deployed = store.get(DEPLOYMENTS, "d", "default")["spec"]
    assert deployed["replicas"] == 2
    assert deployed["template"]["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert store.get("secrets", "s", "default")["data"] == {"a": "Yg=="}
    assert store.get("cronjobs.batch", "cj", "default")["spec"]["schedule"] == "*/5 * * * *"
    budget = store.get("poddisruptionbudgets.policy", "pdb", "default")["spec"]
    assert budget == {"minAvailable": "50%", "selector": {"matchLabels": {"a": "b"}}}
    assert store.get("resourcequotas", "q", "default")["spec"]["hard"] == {"pods": "5"}
    assert store.get("services", "svc", "default")["spec"]["ports"][0]["targetPort"] == 8080
    shown = await kubectl("get all,cm,secret,sa,pdb,quota -o wide")
    assert "replicaset" not in shown
    assert "deployment.apps/d" in shown


async def test_get_w_shows_changes_as_they_come(kubectl: Kubectl) -> None:
    await kubectl("create configmap a --from-literal=x=1")
    process = await asyncio.create_subprocess_exec(
        kubectl.program,
        f"--kubeconfig={kubectl.folder / 'kubeconfig'}",
        *["get", "configmaps", "-w", "--field-selector=metadata.name!=kube-root-ca.crt"],
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    first = [await process.stdout.readline(), await process.stdout.readline()]
    assert first[1].split()[:2] == [b"a", b"1"]
    async with Supervisor() as supervisor:
        supervisor.start("change", kubectl("create configmap b --from-literal=x=1 --from-literal=y=2"))
    assert (await process.stdout.readline()).split()[:2] == [b"b", b"2"]
    process.terminate()
    await process.wait()


async def test_a_namespace_is_gone_when_delete_returns(kubectl: Kubectl) -> None:
    await kubectl("create namespace short")
    await kubectl("create configmap a -n short")
    await kubectl("delete namespace short --timeout=10s")
    assert kubectl.cluster.store.find(NAMESPACES, "short") is None


async def test_api_resources_and_raw_pages(kubectl: Kubectl) -> None:
    rows = (await kubectl("api-resources --no-headers")).splitlines()
    named = {row.split()[0] for row in rows}
    assert {"pods", "deployments", "jobs", "leases", "roles", "customresourcedefinitions"} <= named
    assert await kubectl("get --raw /readyz") == "ok"
    assert json.loads(await kubectl("get --raw /version"))["minor"] == "34"
