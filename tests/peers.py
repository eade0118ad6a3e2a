"""Programs that tests compare kubernaut with."""

import os
import shutil
import subprocess

import pytest


def peer(program: str) -> str:
    """The path of a real peer program; where it is missing the test is skipped, but CI fails."""
    path = shutil.which(program)
    if path is not None:
        if program == "bwrap":
            _need_sandboxes(path)
        return path
    if os.environ.get("CI") == "true":  # noqa: TID251
        pytest.fail(f"{program} is not installed, and CI must have it")
    pytest.skip(f"{program} is not installed")


def _need_sandboxes(bwrap: str) -> None:
    """Skips the test where the kernel, or a container around us, lets nobody make a sandbox, in CI too."""
    tried = subprocess.run(
        [bwrap, "--unshare-user", "--ro-bind", "/", "/", "true"], capture_output=True, text=True, check=False
    )
    if tried.returncode != 0:
        pytest.skip(f"bubblewrap cannot make a sandbox here: {tried.stderr.strip()[:120]}")
