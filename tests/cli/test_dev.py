"""A cluster that stays: started in the background, used, stopped."""

import base64
import json
import ssl
import subprocess
import sys
import urllib.request
from contextlib import aclosing
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from kubernaut.cli.commands.dev import command
from kubernaut.cli.exits import Exit
from kubernaut.cli.session import speak
from kubernaut.cluster import Cluster, apply_manifests, kinds

pytestmark = [pytest.mark.journey, pytest.mark.timeout(60)]


def test_a_cluster_is_started_used_and_stopped(tmp_path: Path) -> None:
    variables = {"HOME": str(tmp_path), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    kubeconfig = tmp_path / ".local/state/kubernaut/dev/kubeconfig"

    def kubernaut(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kubernaut.cli", *arguments],
            env={**variables, "KUBECONFIG": str(kubeconfig)},
            capture_output=True,
            text=True,
            check=False,
            timeout=40,
        )

    up = kubernaut("dev", "up", "--nodes", "2", "--allocatable", "cpu=4,pods=30", "--runtime", "plain")
    try:
        assert up.returncode == Exit.SUCCEEDED, up.stderr
        assert f"export KUBECONFIG={kubeconfig}" in up.stdout
        assert kubeconfig.stat().st_mode & 0o077 == 0
        assert "up already" in kubernaut("dev", "up").stdout
        assert "push images to localhost:" in up.stdout
        assert _nodes(kubeconfig) == {"devcluster": ("4", "30"), "devcluster-2": ("4", "30")}
        assert kubernaut("dev", "status").returncode == Exit.SUCCEEDED
        assert "kubernetes/scale_deployment" in kubernaut("get", "ad").stdout
        kubernaut("dev", "fault", "add", "too-many", "--resource", "pods", "--verb", "list", "--times", "2")
        assert "resources pods" in kubernaut("dev", "fault", "list").stdout
        assert kubernaut("dev", "fault", "clear", "9").returncode == Exit.FAILED
        assert kubernaut("dev", "fault", "clear").stdout == "nothing is broken any more\n"
        assert "fault 10: gone" in kubernaut("dev", "fault", "storm", "7").stdout
        kubernaut("dev", "fault", "clear")
    finally:
        down = kubernaut("dev", "down")
    assert (down.returncode, down.stdout) == (Exit.SUCCEEDED, "the cluster is down\n")
    assert not kubeconfig.exists()
    assert kubernaut("dev", "status").returncode == Exit.UNREACHABLE


@pytest.mark.long
def test_a_simulated_program_falls_ill_in_real_time_and_is_mended(tmp_path: Path) -> None:
    kubeconfig = tmp_path / ".local/state/kubernaut/dev/kubeconfig"
    story = Path(__file__).parents[2] / "scenarios" / "crashloop"

    def kubernaut(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kubernaut.cli", *arguments],
            env={"HOME": str(tmp_path), "PATH": "/usr/local/bin:/usr/bin:/bin", "KUBECONFIG": str(kubeconfig)},
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
        )

    assert kubernaut("dev", "up").returncode == Exit.SUCCEEDED
    try:
        speak(_fall_ill(kubeconfig, story))
        mended = kubernaut("run", "-f", str(story / "workflow.yaml"), "--wait")
        assert mended.returncode == Exit.SUCCEEDED, mended.stdout + mended.stderr
        assert "fromRevision=2" in mended.stdout
    finally:
        kubernaut("dev", "down")


async def _fall_ill(kubeconfig: Path, story: Path) -> None:
    """Until a pod of the new template waits to be started again."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    async with Cluster.connect(kubeconfig) as cluster:
        for file, wanted in (("workload.yaml", "'ready': True"), ("fault.yaml", "CrashLoopBackOff")):
            await apply_manifests(cluster, [namespace, yaml.safe_load((story / file).read_text())])
            found = await cluster.list(kinds.PODS, "shop")
            if wanted in str(found.items):
                continue
            watching = cluster.watch(kinds.PODS, "shop", resource_version=found.resource_version)
            async with aclosing(watching) as events:
                async for event in events:
                    if wanted in str(event.object):
                        break


def _nodes(kubeconfig: Path) -> dict[str, tuple[str, str]]:
    """What each has of CPU and pods, asked by HTTP alone."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    trusted = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    asked = urllib.request.Request(
        f"{cluster['server']}/api/v1/nodes", headers={"Authorization": f"Bearer {user['token']}"}
    )
    with urllib.request.urlopen(asked, context=trusted, timeout=10) as answer:
        found = json.load(answer)["items"]
    have = {node["metadata"]["name"]: node["status"]["allocatable"] for node in found}
    return {name: (amounts["cpu"], amounts["pods"]) for name, amounts in have.items()}


@pytest.mark.parametrize("text", ["cpu", "cpu=much", "=4", "cpu=-1"])
def test_what_a_node_is_to_have_is_checked_before_anything_starts(text: str, tmp_path: Path) -> None:
    asked = CliRunner().invoke(command, ["up", "--allocatable", text], env={"XDG_STATE_HOME": str(tmp_path)})
    assert asked.exit_code == Exit.USAGE
    assert "is not a resource and its quantity, such as cpu=4" in asked.output
    assert not list(tmp_path.iterdir())
