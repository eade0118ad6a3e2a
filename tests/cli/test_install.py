"""Installing kubernaut in a cluster."""

import json
from pathlib import Path

import pytest
import yaml

from kubernaut.api import names
from kubernaut.cli.building import build_all, named_in
from kubernaut.cli.exits import Exit
from kubernaut.cli.installing import EVERYWHERE, installation, shipped_contracts
from kubernaut.cli.terminal import Terminal

from .conftest import Kubernaut, Shell

ROOT = Path(__file__).resolve().parents[2]
CONTROLLER = f"r.example/controller@sha256:{'0' * 64}"


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    build_all(Terminal({"HOME": str(folder)}), folder / "layout", "slim", with_controller=False)
    return folder / "layout"


def manifests(*targets: str) -> list[dict[str, object]]:
    contracts = {f"r.example/a{n}@sha256:{'1' * 64}": c for n, c in enumerate(shipped_contracts())}
    return installation({**contracts, CONTROLLER: None}, targets, with_controller=True)


def of_kind(kind: str, *targets: str) -> dict[str, dict[str, object]]:
    found = [item for item in manifests(*targets) if item["kind"] == kind]
    return {str(item["metadata"]["name"]): item for item in found}


def test_nothing_is_in_the_way_of_pod_security_restricted() -> None:
    for namespace in of_kind("Namespace").values():
        labels = namespace["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    pod = of_kind("Deployment")["kubernaut-controller"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["image"] == CONTROLLER


def test_actions_may_touch_no_namespace_that_was_not_named() -> None:
    def bound(*targets: str) -> set[tuple[str, str]]:
        return {
            (str(item["kind"]), str(item["metadata"].get("namespace")))
            for item in manifests(*targets)
            if str(item["kind"]).endswith("Binding") and str(item["metadata"]["name"]).endswith("-action")
        }

    assert bound() == set()
    assert bound("production") == {("RoleBinding", "production")}
    assert bound(EVERYWHERE) == {("ClusterRoleBinding", "None")}


def test_an_action_has_the_permissions_of_its_contract_and_no_others() -> None:
    roles = of_kind("ClusterRole")
    for contract in shipped_contracts():
        name = f"kubernaut-{names.short_type(contract.metadata.name)}-action"
        # What is needed cluster-wide (nodes) stands in a role of its own: only that is bound everywhere.
        for role, is_cluster in ((name, False), (f"{name}-cluster", True)):
            wanted = {
                (group, resource, verb)
                for rule in contract.spec.rbac.permissions
                if rule.cluster == is_cluster
                for group in rule.api_groups
                for resource in rule.resources
                for verb in rule.verbs
            }
            given = {
                (group, resource, verb)
                for rule in roles.get(role, {"rules": []})["rules"]
                for group in rule["apiGroups"]
                for resource in rule["resources"]
                for verb in rule["verbs"]
            }
            assert given == wanted


def test_no_role_holds_a_wildcard() -> None:
    for kind in ("Role", "ClusterRole"):
        for role in of_kind(kind).values():
            assert "*" not in json.dumps(role)


def test_the_controller_has_its_own_account_and_may_grant_nothing_to_anybody() -> None:
    account = of_kind("ServiceAccount")["kubernaut-controller"]
    assert account["metadata"]["namespace"] == "kubernaut-system"
    pod = of_kind("Deployment")["kubernaut-controller"]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "kubernaut-controller"
    rules = [
        *of_kind("Role")["kubernaut-controller"]["rules"],
        *of_kind("ClusterRole")["kubernaut-controller"]["rules"],
    ]
    for rule in rules:
        assert "rbac.authorization.k8s.io" not in rule["apiGroups"]
        assert "serviceaccounts" not in rule["resources"]
        assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])


def test_the_shipped_catalogue_acts_on_kubernetes_only() -> None:
    assert {contract.metadata.name.partition("/")[0] for contract in shipped_contracts()} == {"kubernetes"}


def test_a_kustomize_base_holds_the_same_objects() -> None:
    base = ROOT / "deploy/base"
    listed = yaml.safe_load((base / "kustomization.yaml").read_text())["resources"]
    stored = [item for name in listed for item in yaml.safe_load_all((base / name).read_text())]

    def key(item: dict[str, object]) -> tuple[str, str, str]:
        metadata: dict[str, object] = item["metadata"]
        return str(item["kind"]), str(metadata.get("namespace")), str(metadata["name"])

    left_out = {"Deployment", "ActionDefinition"}
    wanted = {key(item) for item in manifests() if item["kind"] not in left_out}
    assert {key(item) for item in stored} == wanted


@pytest.mark.timeout(20)
def test_manifests_are_printed_as_yaml_that_names_images_by_digest(kubernaut: Kubernaut, layout: Path) -> None:
    said = kubernaut("install", "--images", str(layout), "--registry", "r.example/k", "--target-namespace", "shop")
    assert said.code == Exit.SUCCEEDED, said.err
    printed = list(yaml.safe_load_all(said.out))
    definitions = [item for item in printed if item["kind"] == "ActionDefinition"]
    assert {item["spec"]["image"] for item in definitions} == set(named_in(layout, "r.example/k"))
    assert any(item["metadata"].get("namespace") == "shop" for item in printed)


@pytest.mark.journey
@pytest.mark.timeout(60)
async def test_applying_again_changes_nothing_and_a_dry_run_neither(shell: Shell, layout: Path) -> None:
    line = ("install", "--apply", "--images", str(layout), "--registry", "r.example/k", "--no-controller")
    tried = await shell(*line, "--dry-run")
    assert tried.code == Exit.SUCCEEDED, tried.err
    assert "configured (dry run)" in tried.out  # the catalogue names another registry
    first, second = await shell(*line), await shell(*line)
    assert (first.code, second.code) == (Exit.SUCCEEDED, Exit.SUCCEEDED), first.err + second.err
    assert "actiondefinition/kubernetes.scale-deployment configured" in first.out
    assert [text for text in second.out.splitlines() if "as they should be" not in text] == []


async def test_an_embedded_cluster_keeps_the_catalogue_that_its_node_can_run(shell: Shell, tmp_path: Path) -> None:
    said = await shell("install", "--apply", "--images", str(tmp_path / "none"))
    assert said.code == Exit.FAILED
    assert "kubernaut dev" in said.err
    assert "mend:" in said.err
    assert not (tmp_path / "none").exists(), "images were built for nothing"
