"""What holds for all tests."""

import pytest

JOURNEY_SECONDS = 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A journey goes through real processes or a whole cluster: two seconds are not enough for it."""
    for item in items:
        if item.get_closest_marker("journey") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(JOURNEY_SECONDS))
