"""Commands that need no cluster, or find none."""

import json
from pathlib import Path

import pytest
import yaml

from kubernaut.cli.examples import example
from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import failure_from
from kubernaut.cluster import Unreachable

from .conftest import Kubernaut

SCALE = example("scale.yaml")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["scale.yaml", "restart-and-scale.yaml", "five-steps.yaml"])
def test_the_examples_pass_the_door(kubernaut: Kubernaut, name: str) -> None:
    said = kubernaut("lint", str(example(name)))
    assert said.out == ""
    assert said.code == Exit.SUCCEEDED


@pytest.mark.timeout(20)
def test_every_fault_is_told_with_file_line_column_and_path(kubernaut: Kubernaut, tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(SCALE.read_text().replace("replicas: 10", "replicas: ten\n        replica: 3"))
    said = kubernaut("lint", str(file), "-o", "json")
    assert said.code == Exit.REFUSED
    found = {fault["path"]: (fault["line"], fault["column"]) for fault in json.loads(said.out)}
    lines = file.read_text().splitlines()
    for key in ("replicas", "replica"):
        line = next(n for n, text in enumerate(lines, 1) if text.strip().startswith(f"{key}:"))
        assert found[f"spec.steps[0].inputs.{key}"] == (line, 9)


@pytest.mark.parametrize("command", [["lint"], ["run", "-f"]])
def test_malformed_yaml_is_told_with_line_and_column(
    kubernaut: Kubernaut, tmp_path: Path, command: list[str]
) -> None:
    file = tmp_path / "w.yaml"
    file.write_text("kind: WorkflowExecution\nspec:\n  steps: [\n")
    said = kubernaut(*command, str(file))
    assert said.code == Exit.REFUSED
    assert f"{file}:4:1: not valid YAML" in said.err


def test_a_missing_file_is_named(kubernaut: Kubernaut) -> None:
    said = kubernaut("lint", "nowhere.yaml")
    assert (said.code, said.err) == (Exit.FAILED, "error: nowhere.yaml: No such file or directory\n")


@pytest.mark.timeout(20)
def test_a_cluster_that_does_not_answer_is_named_with_what_to_do(kubernaut: Kubernaut, tmp_path: Path) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "gone", "cluster": {"server": "http://127.0.0.1:1"}}],
        "contexts": [{"name": "gone", "context": {"cluster": "gone"}}],
        "current-context": "gone",
    }
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    for command in (["get"], ["doctor"]):
        said = kubernaut(*command, KUBECONFIG=str(tmp_path / "config"))
        assert said.code == Exit.UNREACHABLE
        assert "kubernaut dev up" in said.err + said.out


def test_no_kubeconfig_at_all_is_one_clear_line(kubernaut: Kubernaut) -> None:
    said = kubernaut("get")
    assert said.code == Exit.UNREACHABLE
    assert said.err.startswith("error: ")
    assert "Traceback" not in said.err


@pytest.mark.timeout(20)
def test_a_setting_that_does_not_exist_is_named(kubernaut: Kubernaut) -> None:
    said = kubernaut("controller", "--set", "controller.worker=3")
    assert said.code == Exit.USAGE
    assert "controller.worker" in said.err


@pytest.mark.timeout(20)
def test_settings_are_shown_with_their_source(kubernaut: Kubernaut) -> None:
    said = kubernaut("controller", "--show-settings", "--set", "cluster.qps=7")
    assert said.code == Exit.SUCCEEDED
    assert "cluster.qps: 7" in said.out


def test_durations_are_read_as_kubernetes_writes_them(kubernaut: Kubernaut) -> None:
    said = kubernaut("watch", "x", "--timeout", "soon")
    assert said.code == Exit.USAGE
    assert "no duration" in said.err


def test_dev_status_without_a_cluster_says_how_to_get_one(kubernaut: Kubernaut) -> None:
    said = kubernaut("dev", "status")
    assert said.code == Exit.UNREACHABLE
    assert "kubernaut dev up" in said.out
    assert kubernaut("dev", "down").out == "no cluster is up\n"


def test_who_has_no_cluster_yet_is_told_where_one_comes_from(kubernaut: Kubernaut) -> None:
    said = kubernaut("get")
    assert said.code == Exit.UNREACHABLE
    assert "no cluster is known" in said.err
    assert "mend:  Name one with --kubeconfig, or start one of your own: kubernaut dev up" in said.err


def test_a_certificate_that_is_not_trusted_is_not_taken_for_a_server_that_is_down() -> None:
    failure = failure_from(
        Unreachable("the certificate of https://x is not trusted", refused=True, untrusted=True)
    )
    assert failure is not None
    assert "certificate-authority-data" in failure.mend
    assert "running" not in failure.mend


def test_a_folder_that_is_not_there_is_not_looked_for_at_a_registry(kubernaut: Kubernaut) -> None:
    said = kubernaut("action", "contract", "show", "nowhere")
    assert said.code == Exit.FAILED
    assert said.err.startswith(
        "error: there is no file or folder nowhere\nmend:  Name a folder, a file, or an image"
    )
