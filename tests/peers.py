"""Programs that tests compare kubernaut with."""

import os
import shutil

import pytest


def peer(program: str) -> str:
    """The path of a real peer program; where it is missing the test is skipped, but CI fails."""
    path = shutil.which(program)
    if path is not None:
        return path
    if os.environ.get("CI") == "true":  # noqa: TID251
        pytest.fail(f"{program} is not installed, and CI must have it")
    pytest.skip(f"{program} is not installed")
