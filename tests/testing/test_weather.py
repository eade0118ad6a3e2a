"""Random weather by seed: a remediation comes through it, and the same seed brings the same."""

from dataclasses import replace
from pathlib import Path

import pytest

from kubernaut.testing.playing import play
from kubernaut.testing.scenario import SIMULATOR, Scenario, Weather, find_scenario
from kubernaut.testing.stage import open_stage

pytestmark = [pytest.mark.journey, pytest.mark.timeout(60)]


def in_storm(name: str, seed: int) -> Scenario:
    storm = Weather(api_version=SIMULATOR, storm=seed, users=("controller",), seed=seed)
    return replace(find_scenario(name), breaks=[storm])


async def played(name: str, seed: int, folder: Path) -> list[tuple[str, str, str]]:
    """Every request that met a fault, after all came as it was expected."""
    async with open_stage(folder) as stage:
        result = await play(stage, in_storm(name, seed))
        assert result.is_as_expected, "\n".join(map(str, result.failures))
        return [*stage.dev.faults.met]


@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.long) for n in range(2, 21))])
async def test_a_rollback_comes_through_any_weather(seed: int, tmp_path: Path) -> None:
    assert await played("crashloop", seed, tmp_path)


@pytest.mark.long
async def test_two_workflows_at_once_come_through_any_weather(tmp_path: Path) -> None:
    for seed in range(3):
        assert await played("concurrent-cross-namespace", seed, tmp_path / str(seed))


async def test_the_same_seed_brings_the_same_weather(tmp_path: Path) -> None:
    first, second = [await played("hpa-maxed", 5, tmp_path / name) for name in ("a", "b")]
    assert first == second != await played("hpa-maxed", 6, tmp_path / "c")
