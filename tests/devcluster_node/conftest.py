"""A cluster without a network: store, controllers and node in this process."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from .worlds import World, make_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    """On the machine's own clock, with whatever runtime is best here."""
    async with make_world(tmp_path) as made:
        yield made
