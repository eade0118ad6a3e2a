from pathlib import Path

import pytest

from kubernaut.oci import ImageLayout


@pytest.fixture
def layout(tmp_path: Path) -> ImageLayout:
    return ImageLayout.create(tmp_path / "layout")
