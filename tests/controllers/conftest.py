"""One embedded cluster a test; it starts in a fraction of a second."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from controllers.bench import Bench, open_bench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncGenerator[Bench]:
    async with open_bench(tmp_path) as made:
        yield made
