"""What authors get by installing kubernaut: the example of docs/simulator.md, in a repository of their own."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / "tests/cli/sessions/rollback.yaml"
pytestmark = [pytest.mark.journey, pytest.mark.timeout(60)]


@pytest.fixture(autouse=True)
def only_plugins_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    # So it is the same where the package was installed before it had the plugin, and where it was afterwards.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def example() -> str:
    page = (ROOT / "docs/simulator.md").read_text()
    found = re.search(r"^```python\n# test_remedies\.py\n(.+?)^```", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def pytest_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    plugins = ["-p", "kubernaut.testing.plugin", "-p", "asyncio"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugins, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def author(folder: Path, tests: str) -> Path:
    (folder / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
    )
    (folder / "test_remedies.py").write_text(tests)
    (folder / "rollback.yaml").write_text(WORKFLOW.read_text())
    return folder


def test_the_documented_example_passes_in_a_repository_of_its_own(tmp_path: Path) -> None:
    said = pytest_in(author(tmp_path, example()))
    assert "2 passed" in said.stdout, said.stdout + said.stderr


def test_an_author_is_told_what_a_wrong_workflow_has_not_mended(tmp_path: Path) -> None:
    wrong = 'def test_it(kubernaut_scenario):\n    kubernaut_scenario("memory-escalation", "rollback.yaml")\n'
    said = pytest_in(author(tmp_path, wrong))
    assert "1 failed" in said.stdout
    assert "scenario memory-escalation did not come as it was expected:" in said.stdout
    assert "but: mended: deployment/web in shop: status.availableReplicas is 2" in said.stdout


def test_runs_that_do_not_ask_for_a_cluster_load_none(tmp_path: Path) -> None:
    idle = """
import sys

def test_it():
    assert "kubernaut.testing.plugin" in sys.modules
    for heavy in ("aiohttp", "msgspec", "yaml", "kubernaut.devcluster", "kubernaut.testing.stage"):
        assert heavy not in sys.modules
"""
    said = pytest_in(author(tmp_path, idle), "-p", "no:asyncio")
    assert "1 passed" in said.stdout, said.stdout + said.stderr


def test_pytest_finds_the_plugin_where_kubernaut_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["pytest11"] == {"kubernaut": "kubernaut.testing.plugin"}
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert wheel["scenarios"] == "kubernaut/scenarios"
