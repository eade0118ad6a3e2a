from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from action_worlds import ActionWorld, action_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[ActionWorld]:
    async with action_world(tmp_path) as made:
        yield made


@pytest.fixture
async def still_world(tmp_path: Path) -> AsyncGenerator[ActionWorld]:
    """Without controllers and nodes: objects stand as they are written."""
    async with action_world(tmp_path, workloads=False) as made:
        yield made
