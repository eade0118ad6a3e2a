"""What holds for all tests."""

import pytest
from hypothesis import HealthCheck, settings

JOURNEY_SECONDS = 60
PROPERTY_SECONDS = 60

# Examples are counted, not timed: how long one takes depends on what else the machine does.
settings.register_profile("kubernaut", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kubernaut")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A journey goes through real processes or a whole cluster, a property through a hundred examples."""
    for item in items:
        if item.get_closest_marker("timeout"):
            continue
        if item.get_closest_marker("journey"):
            item.add_marker(pytest.mark.timeout(JOURNEY_SECONDS))
        elif hasattr(getattr(item, "obj", None), "hypothesis"):
            item.add_marker(pytest.mark.timeout(PROPERTY_SECONDS))
