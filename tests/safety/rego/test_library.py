"""The shipped policies: their own tests pass, tests reach every line, and their verdict is quick."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
import pytest

from kubernaut.api.policy import PolicyInput, example
from kubernaut.planning.policies import DECISIONS
from kubernaut.safety.rego import RegoEngine, from_paths, judge, shipped, to_document
from kubernaut.safety.rego.linting import doubts
from kubernaut.safety.rego.listing import packages_of
from kubernaut.safety.rego.policy_set import LIBRARY
from kubernaut.safety.rego.testing import coverage_of, listed_tests, percent, run_test

# Each goes through a process of its own, whose start a busy machine makes slow.
pytestmark = pytest.mark.journey


async def test_the_library_passes_its_own_tests_which_reach_every_line() -> None:
    engine = await RegoEngine.load(shipped(with_tests=True))
    results = [await run_test(engine, test) for test in listed_tests(engine)]
    assert [one for one in results if one.outcome != "passed"] == []
    assert len(results) > 50
    files = await coverage_of(engine)
    assert {one.path: one.missed for one in files if one.missed} == {}
    assert percent(files) == 100
    await engine.aclose()


async def test_every_shipped_package_says_what_it_is_and_has_tests() -> None:
    engine = await RegoEngine.load(shipped())
    for package in packages_of(engine):
        assert package.title, package.name
        assert package.description, package.name
        assert all(
            (LIBRARY / f"{name.removeprefix('shipped:')[:-5]}_test.rego").exists() for name in package.files
        )
    assert {rule.name for rule in engine.rules} >= set(DECISIONS) - {"min_autonomy"}
    await engine.aclose()


async def test_the_library_has_nothing_doubtful(tmp_path: Path) -> None:
    """Linted as if it were somebody's own."""
    for path, text in shipped().sources:
        (tmp_path / path.removeprefix("shipped:")).write_text(text)
    engine = await RegoEngine.load(from_paths([tmp_path]))
    assert [str(one) for one in doubts(engine.modules)] == []
    await engine.aclose()


async def test_the_example_is_allowed_and_what_it_does_not_say_is_absent() -> None:
    engine = await RegoEngine.load(shipped())
    verdict = await judge(engine, example())
    assert verdict.allowed, verdict.reason
    document = to_document(
        PolicyInput(api_version="policy.kubernaut.ai/v1", action=example().action, time=example().time)
    )
    assert set(document) == {"apiVersion", "action", "time"}
    assert "null" not in json.dumps(document)
    await engine.aclose()


async def test_without_the_library_s_parameters_nothing_is_allowed() -> None:
    """A rule whose parameter is missing would never fire."""
    library = shipped()
    engine = await RegoEngine.load(
        type(library)(library.sources, {"kubernaut": {"settings": {"allowed_actions": ["**"]}}})
    )
    assert not (await judge(engine, example())).allowed
    await engine.aclose()


def test_the_document_tells_every_field_of_the_input() -> None:
    told = (Path(__file__).parents[3] / "docs/policies.md").read_text()
    missing = [
        path for path in _fields(PolicyInput, "") if f"| `{path}` |" not in told and f"| `{path}[]` |" not in told
    ]
    assert missing == []


def _fields(struct: Any, prefix: str) -> Iterator[str]:
    for one in msgspec.structs.fields(struct):
        path = f"{prefix}{one.encode_name}"
        yield path
        for part in get_args(one.type) or (one.type,):
            if isinstance(part, type) and issubclass(part, msgspec.Struct):
                yield from _fields(part, f"{path}.")
            elif get_origin(part) is tuple and issubclass(get_args(part)[0], msgspec.Struct):
                yield from _fields(get_args(part)[0], f"{path}[].")
