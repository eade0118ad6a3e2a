"""The way of an author, from nothing to an action that a cluster runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kubernaut.cli.exits import Exit
from kubernaut.cli.packages import open_package
from kubernaut.cluster import kinds
from kubernaut.oci import ImageLayout, unpack_image
from peers import peer

from .conftest import Kubernaut, Shell

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {"containers": [{"name": "app", "image": "app:1"}]},
}
INPUTS = ("-i", "namespace=default", "-i", "pod=web", "-i", "labelKey=team", "-i", "value=shop")


@pytest.fixture
def package(kubernaut: Kubernaut, tmp_path: Path) -> Path:
    """The folder that `action init` makes."""
    said = kubernaut("action", "init", "team/mark-pod", "--in", str(tmp_path))
    assert said.code == Exit.SUCCEEDED, said.err
    return tmp_path / "mark-pod"


def change(package: Path, before: str, after: str) -> None:
    source = package / "src/mark_pod/__init__.py"
    text = source.read_text()
    assert before in text
    source.write_text(text.replace(before, after))


def test_a_new_action_has_one_function_one_test_one_scenario_and_one_page(package: Path) -> None:
    files = sorted(str(path.relative_to(package)) for path in package.rglob("*") if path.is_file())
    parts = ("expectation", "workflow", "workload")
    scenario = [f"scenarios/mark-pod/{part}.yaml" for part in parts]
    assert files == [
        "README.md",
        "pyproject.toml",
        *scenario,
        "src/mark_pod/__init__.py",
        "tests/test_mark_pod.py",
    ]


def test_what_is_there_is_never_overwritten(package: Path, kubernaut: Kubernaut) -> None:
    (package / "README.md").write_text("mine")
    said = kubernaut("action", "init", "mark_pod", "--in", str(package.parent))
    assert said.code == Exit.REFUSED
    assert "is there already" in said.err
    assert (package / "README.md").read_text() == "mine"


@pytest.mark.parametrize(
    "name", ["", "Mark", "a b", "../up", "team/", "team/x/y", "1st", "class/-", "kubernaut", "class", "json", "a."]
)
def test_names_that_can_be_none_are_refused(name: str, kubernaut: Kubernaut, tmp_path: Path) -> None:
    said = kubernaut("action", "init", name, "--in", str(tmp_path))
    assert said.code == Exit.USAGE, said.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.journey
def test_its_test_runs(package: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"],
        cwd=package,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_a_new_action_has_nothing_to_complain_about(package: Path, kubernaut: Kubernaut) -> None:
    said = kubernaut("action", "lint", str(package), "--strict")
    assert (said.code, said.out) == (Exit.SUCCEEDED, ""), said.out


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (
            "    namespace: Annotated[DnsLabel,",
            "    namespace: Annotated[dict[int, bytes] | int,",
            "MarkPodInputs.namespace",
        ),
        ('timeout="30s"', 'timeout="20m"', "spec.timeout: is above maxTimeout"),
        ('pattern="^[a-z0-9.-]+$"', 'pattern="["', "mark_pod: error: unterminated character set"),
        ("    namespace: Annotated", "    namespace Annotated", "mark_pod: SyntaxError"),
        ("from msgspec import Meta", "from msgspec import Metre", "cannot import name 'Metre'"),
        ('    "team/mark_pod"', '    "mark_pod"', "metadata.name: has no domain"),
    ],
)
def test_every_fault_is_told_with_the_line_that_made_it(
    package: Path, kubernaut: Kubernaut, before: str, after: str, told: str
) -> None:
    change(package, before, after)
    source = package / "src/mark_pod/__init__.py"
    (line,) = [n for n, text in enumerate(source.read_text().splitlines(), 1) if after.strip() in text]
    said = kubernaut("action", "lint", str(package))
    assert said.code == Exit.REFUSED
    (fault,) = said.out.splitlines()
    # A decorator is a call of several lines; what stands in none of its keywords is told where it begins.
    at = line - 1 if after == '    "mark_pod"' else line
    assert fault.startswith(f"{source}:{at}:"), fault
    assert told in fault


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('verbs=("get", "patch")', 'verbs=("get", "patch", "delete")', "delete is not used by any call"),
        ('resources=("pods",)', 'resources=("pods", "services")', "services is of no kind"),
        ('verbs=("get", "patch")', 'verbs=("*",)', "verbs: is a wildcard"),
        ("reversible=True", "reversible=False", "spec.reversible: is not promised"),
        ('resources=("pods",)', 'resources=("pods", "secrets")', "gives all Secrets of a namespace"),
    ],
)
def test_what_is_doubtful_is_a_warning_and_refused_only_on_demand(
    package: Path, kubernaut: Kubernaut, before: str, after: str, told: str
) -> None:
    change(package, before, after)
    said = kubernaut("action", "lint", str(package))
    assert said.code == Exit.SUCCEEDED
    assert "warning: " in said.out
    assert told in said.out
    assert kubernaut("action", "lint", str(package), "--strict").code == Exit.REFUSED
    rows = json.loads(kubernaut("action", "lint", str(package), "-o", "json").out)
    assert {row["severity"] for row in rows} == {"warning"}


def test_an_image_is_made_the_same_each_time_and_a_version_is_not_made_twice(
    package: Path, kubernaut: Kubernaut, tmp_path: Path
) -> None:
    line = ("action", "build", str(package), "--base", "slim", "-o")
    first = kubernaut(*line, str(tmp_path / "one"))
    again = kubernaut(*line, str(tmp_path / "two"))
    assert first.code == Exit.SUCCEEDED, first.err
    assert first.out == again.out
    assert first.out.startswith("mark-pod:v1.0.0@sha256:")
    assert list(ImageLayout(tmp_path / "one").images()) == ["mark-pod:v1.0.0"]
    change(package, 'max_length=63, description="What', 'max_length=20, description="What')
    refused = kubernaut(*line, str(tmp_path / "one"))
    assert refused.code == Exit.REFUSED
    assert "Make it 2.0.0." in refused.err
    change(package, 'version="1.0.0"', 'version="2.0.0"')
    assert kubernaut(*line, str(tmp_path / "one")).code == Exit.SUCCEEDED


def test_a_library_that_is_not_here_is_missed_when_the_image_is_made(
    package: Path, kubernaut: Kubernaut, tmp_path: Path
) -> None:
    project = package / "pyproject.toml"
    project.write_text(
        project.read_text().replace('["kubernaut"]', '["kubernaut", "msgspec>=0.1", "no-such-thing"]')
    )
    said = kubernaut("action", "build", str(package), "--base", "slim", "-o", str(tmp_path / "layout"))
    assert said.code == Exit.FAILED
    assert "asks for no-such-thing, which is not installed" in said.err


def test_a_contract_is_printed_and_compared(package: Path, kubernaut: Kubernaut, tmp_path: Path) -> None:
    old = tmp_path / "old.yaml"
    old.write_text(kubernaut("action", "contract", str(package)).out)
    assert yaml.safe_load(old.read_text())["metadata"] == {"name": "team/mark_pod", "version": "1.0.0"}
    compare = ("action", "contract", "diff", str(old), str(package))
    same = kubernaut(*compare)
    assert (same.code, same.out) == (Exit.SUCCEEDED, "compatible: 1.0.0 -> 1.0.0\n")

    change(package, 'timeout="30s"', 'timeout="10s"')
    silent = kubernaut(*compare)
    assert silent.code == Exit.REFUSED
    assert "Make it 2.0.0" in silent.err
    change(package, 'version="1.0.0"', 'version="2.0.0"')
    said = kubernaut(*compare)
    assert said.code == Exit.FAILED
    assert said.out.splitlines() == [
        "breaking: spec.timeout: steps that do not say have less time: 10s instead of 30s",
        "breaking: 1.0.0 -> 2.0.0",
    ]
    assert json.loads(kubernaut(*compare, "-o", "json").out)["verdict"] == "breaking"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "apiVersion: kubernaut.ai/v2\nkind: ActionContract\n",
            "1:1: apiVersion: is of a version that this program",
        ),
        ("kind: ActionContract\n", "apiVersion: is missing"),
        (
            "apiVersion: kubernaut.ai/v1alpha1\nkind: ActionContract\nmetadata: {name: a/b, version: '1'}",
            "3:23: metadata.version:",
        ),
        (
            "apiVersion: kubernaut.ai/v1alpha1\nkind: ActionContract\nmetadata: {name: a/b, version: 1.0.0}\n"
            "spec:\n  inputs:\n  - name: a\n    typo: integer\n",
            "7:5: spec.inputs[0].typo",
        ),
    ],
    ids=["newer", "no version", "version", "typo"],
)
def test_a_contract_that_this_program_does_not_know_is_refused_with_its_place(
    text: str, told: str, kubernaut: Kubernaut, tmp_path: Path
) -> None:
    (tmp_path / "action-contract.yaml").write_text(text)
    said = kubernaut("action", "contract", str(tmp_path / "action-contract.yaml"))
    assert said.code == Exit.REFUSED
    assert told in said.err, said.err
    lint = kubernaut("action", "lint", str(tmp_path))
    assert lint.code == Exit.REFUSED
    assert told in lint.out, lint.out


@pytest.mark.journey
def test_an_action_runs_here_and_now_at_a_cluster_made_for_it(
    package: Path, kubernaut: Kubernaut, tmp_path: Path
) -> None:
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump(POD))
    line = ("action", "run", "--local", str(package), "--embedded", "-f", str(tmp_path / "pod.yaml"))
    said = kubernaut(*line, *INPUTS)
    assert said.code == Exit.SUCCEEDED, said.err
    rollback, outputs = said.out.splitlines()
    assert rollback.startswith("ROLLBACK_INFO: {")
    assert json.loads(outputs) == {"previous": ""}
    assert "patch Pod default/web" in said.err
    assert '  metadata.labels.team: (absent) -> "shop"' in said.err
    refused = kubernaut(*line, *INPUTS, "-i", "colour=red")
    assert refused.code == Exit.REFUSED
    assert "inputs.colour: the contract declares no such input" in refused.err


@pytest.mark.journey
async def test_an_installed_action_runs_as_all_others_do(shell: Shell, package: Path) -> None:
    await shell.cluster.create(kinds.PODS, POD, "default")
    local = await shell("action", "run", "--local", str(package), *INPUTS)
    assert local.code == Exit.SUCCEEDED, local.err
    installed = await shell("action", "install", str(package))
    assert installed.code == Exit.SUCCEEDED, installed.err
    assert "actiondefinition/team.mark-pod created" in installed.out
    again = await shell("action", "install", str(package))
    assert again.out == "5 objects were as they should be\n"
    ran = await shell("action", "run", "team/mark_pod", *INPUTS[:-1], "value=garden", "--name", "mark", "--wait")
    assert ran.code == Exit.SUCCEEDED, ran.out + ran.err
    pod = await shell.cluster.get(kinds.PODS, "web", "default")
    assert pod["metadata"]["labels"]["team"] == "garden"
    done = await shell.cluster.get(kinds.ACTION_EXECUTIONS, "mark", "kubernaut-workflows")
    assert done["status"]["outputs"] == {"previous": "shop"}
    assert done["status"]["executed"] == "yes"

    change(package, 'timeout="30s"', 'timeout="10s"')
    misfit = await shell("action", "install", str(package))
    assert misfit.code == Exit.REFUSED
    assert "Make it 2.0.0." in misfit.err
    assert (await shell("action", "install", str(package), "--force")).code == Exit.SUCCEEDED


@pytest.mark.journey
async def test_nobody_gets_the_account_of_another_action(
    shell: Shell, kubernaut: Kubernaut, tmp_path: Path
) -> None:
    kubernaut("action", "init", "team/scale-deployment", "--in", str(tmp_path))
    said = await shell("action", "install", str(tmp_path / "scale-deployment"))
    assert said.code == Exit.REFUSED
    assert "kubernetes/scale_deployment runs as scale-deployment-sa already" in said.err


@pytest.mark.peer
@pytest.mark.long
@pytest.mark.timeout(240)
def test_a_complete_image_of_an_authors_action_needs_nothing_of_the_machine(
    package: Path, tmp_path: Path, image_cache: Path
) -> None:
    bwrap = peer("bwrap")
    peer("dpkg-deb")
    opened = open_package(package)
    built = opened.build(tmp_path / "layout", image_cache, "debian", lambda _: None)
    root = tmp_path / "root"
    unpack_image(ImageLayout(tmp_path / "layout"), built.image.digest, root)
    command = [bwrap, "--ro-bind", str(root), "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]
    done = subprocess.run(
        [*command, "--unshare-all", "--uid", "65532", "--clearenv", "/action-entrypoint"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 64, done.stderr
    assert "no inputs" in done.stderr


@pytest.mark.journey
async def test_a_missing_dependency_is_told_when_an_action_is_installed_and_when_it_is_run(
    shell: Shell, package: Path
) -> None:
    change(package, "    reversible=True,", '    reversible=True,\n    secrets=["git"],')
    change(package, 'inputs.label_key, "")', 'inputs.label_key, "") + run.secret("git", "token")[:1]')
    await shell.cluster.create(kinds.PODS, POD, "default")
    local = await shell("action", "run", "--local", str(package), *INPUTS)
    assert local.code == Exit.REFUSED
    assert "there is no Secret git in namespace kubernaut-workflows" in local.err
    installed = await shell("action", "install", str(package))
    assert "note: it needs the Secret git, which is not in namespace kubernaut-workflows" in installed.err
    shown = await shell("catalog", "show", "team/mark_pod")
    assert "Needs:       Secret git" in shown.out
    told = await shell("action", "run", "team/mark_pod", *INPUTS, "--name", "early")
    assert "it needs the Secret git" in told.err
    secret = {"metadata": {"name": "git"}, "stringData": {"token": "x-hunter2"}}
    await shell.cluster.create(kinds.SECRETS, secret, "kubernaut-workflows")
    # Alone, it was only waiting; the next one does not even wait.
    ran = await shell("action", "run", "team/mark_pod", *INPUTS, "--name", "late", "--wait")
    assert ran.code == Exit.SUCCEEDED, ran.out + ran.err
    followed = await shell("watch", "ae/early")
    assert followed.code == Exit.SUCCEEDED, followed.out
    assert (await shell("action", "run", "--local", str(package), *INPUTS)).code == Exit.SUCCEEDED
