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
    finally:
        down = kubernaut("dev", "down")
    assert (down.returncode, down.stdout) == (Exit.SUCCEEDED, "the cluster is down\n")
    assert not kubeconfig.exists()
    assert kubernaut("dev", "status").returncode == Exit.UNREACHABLE
