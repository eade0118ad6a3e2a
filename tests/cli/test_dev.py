"""A cluster that stays: started in the background, used, stopped."""

import subprocess
import sys
from pathlib import Path

import pytest

from kubernaut.cli.exits import Exit

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

    up = kubernaut("dev", "up")
    try:
        assert up.returncode == Exit.SUCCEEDED, up.stderr
        assert f"export KUBECONFIG={kubeconfig}" in up.stdout
        assert kubeconfig.stat().st_mode & 0o077 == 0
        assert "up already" in kubernaut("dev", "up").stdout
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
