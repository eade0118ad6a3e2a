"""Files nested thousands of levels deep are refused where the depth begins, without a traceback."""

from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Kubernaut

HEAD = "apiVersion: workflowexecution.kubernaut.ai/v1alpha1\nkind: WorkflowExecution\nmetadata: {name: w}\nspec:\n"


def flow(levels: int) -> str:
    return f"{HEAD}  parameters: {{p: {'[' * levels}{']' * levels}}}\n  steps: []\n"


def block(levels: int) -> str:
    lines = "".join(f"{' ' * (4 + n)}a:\n" for n in range(levels))
    return f"{HEAD}  steps: []\n  parameters:\n{lines}"


@pytest.mark.parametrize("command", [["lint"], ["run", "-f"]])
@pytest.mark.parametrize(
    ("form", "levels"), [(flow, 200), (flow, 900), (flow, 5000), (block, 200), (block, 900), (block, 1500)]
)
def test_a_deep_file_is_refused_with_its_place(
    kubernaut: Kubernaut, tmp_path: Path, command: list[str], levels: int, form: Callable[[int], str]
) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(form(levels))
    said = kubernaut(*command, str(file))
    assert said.code != 0
    line = 5 if form is flow else 134
    assert f"{file}:{line}:" in said.err
    assert "nested more than 128 levels deep" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("levels", [65, 100])
def test_what_can_be_read_and_not_be_stored_is_the_doors_to_refuse(
    kubernaut: Kubernaut, tmp_path: Path, levels: int
) -> None:
    (tmp_path / "w.yaml").write_text(flow(levels))
    said = kubernaut("lint", str(tmp_path / "w.yaml"))
    assert "nested more than 64 levels deep" in said.out


@pytest.mark.timeout(20)
def test_deep_settings_and_kubeconfigs_are_refused(kubernaut: Kubernaut, tmp_path: Path) -> None:
    file = tmp_path / "deep.yaml"
    file.write_text(f"a: {'[' * 5000}{']' * 5000}")
    for arguments in (["controller", "--settings", str(file)], ["get", "wfe", "--kubeconfig", str(file)]):
        said = kubernaut(*arguments)
        assert said.code != 0
        assert "nested too deeply" in said.err
        assert "Traceback" not in said.err
