"""`kubernaut import`: older shapes become today's, and nothing is dropped in silence."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kubernaut.cli.exits import Exit
from kubernaut.cli.importing import NotOlder, translate
from kubernaut.cli.installing import shipped_contracts
from kubernaut.cli.linting import faults_in, shipped_catalogue
from kubernaut.cli.manifests import Manifest

from .conftest import Kubernaut

Json = dict[str, Any]
CONTRACTS = {contract.metadata.name: contract for contract in shipped_contracts()}
DIGEST = "r.example/k/scale@sha256:" + "0" * 64

LABELLED = '{"metadata": {"labels": {"a": "b"}}}'
RICH = """
apiVersion: workflowexecution.kubernaut.io/v1alpha1
kind: WorkflowExecution
metadata: {name: mem-pressure, namespace: kubernaut-system, finalizers: [a/b]}
spec:
  remediationRequestRef: {name: rr-1, namespace: default}
  workflowDefinition:
    name: memory-pressure
    version: v1.2
    dependencies: {Scale Up: [1]}
    steps:
    - stepNumber: 1
      name: restart
      action: restartDeployment
      parameters: {restartDeployment: {namespace: prod, deployment: web, gracePeriod: 30s}}
      criticalStep: false
      maxRetries: 1
      timeout: 5m0s
    - stepNumber: 2
      name: Scale Up
      action: scale-deployment
      targetCluster: ""
      parameters: {scaleDeployment: {namespace: prod, deployment: web, replicas: 5}}
      rollbackSpec: {action: scaleDeployment}
    - stepNumber: 3
      action: updateImage
      parameters: {updateImage: {namespace: prod, deployment: web, container: app, newImage: "r/a:2"}}
      dependsOn: [1, 2]
  executionStrategy: {approvalRequired: true, dryRunFirst: true, rollbackStrategy: automatic, maxRetries: 2}
  adaptiveOrchestration: {optimizationEnabled: true}
status: {phase: completed}
"""


def lost(document: Json) -> dict[str, str]:
    return {r.path: r.message for r in translate(document, CONTRACTS).remarks if r.is_loss}


def only(document: Json) -> Json:
    (made,) = translate(document, CONTRACTS).documents
    faults = faults_in([Manifest(made, "made")], shipped_catalogue(), is_offline=True)
    assert not faults, [str(fault) for fault in faults]
    return made


def older_execution(action: str, **parameters: Any) -> Json:
    return {
        "apiVersion": "kubernetesexecution.kubernaut.io/v1alpha1",
        "kind": "KubernetesExecution",
        "metadata": {"name": "ke-1"},
        "spec": {"action": action, "parameters": parameters},
    }


def test_numbered_steps_become_named_ones_and_what_has_no_home_is_named() -> None:
    document = yaml.safe_load(RICH)
    made = only(document)
    assert made["metadata"] == {"name": "mem-pressure", "namespace": "kubernaut-workflows"}
    spec = made["spec"]
    assert spec["workflowType"] == "memory-pressure"
    assert (spec["requiresApproval"], spec["rollbackStrategy"]) == (True, "automatic")
    first, second, third = spec["steps"]
    assert first == {
        "name": "restart",
        "actionType": "kubernetes/restart_deployment",
        "inputs": {"namespace": "prod", "deployment": "web"},
        "timeout": "5m",
        "retry": {"limit": 1},
        "critical": False,
    }
    assert second["name"] == "scale-up"
    assert second["runAfter"] == ["restart"]
    assert second["retry"] == {"limit": 2}, "the strategy's retries hold where a step names none"
    assert third["runAfter"] == ["restart", "scale-up"]
    assert (third["inputs"]["containerName"], third["inputs"]["image"]) == ("app", "r/a:2")
    assert set(lost(document)) == {
        "metadata.finalizers",
        "spec.adaptiveOrchestration",
        "spec.workflowDefinition.steps[0].parameters.restartDeployment.gracePeriod",
        "spec.workflowDefinition.steps[1].rollbackSpec",
        "spec.workflowDefinition.version",
        "status",
    }


@pytest.mark.parametrize(
    ("action", "parameters", "kind", "inputs"),
    [
        (
            "restart_pod",
            {"restartPod": {"namespace": "p", "selector": {"app": "web"}, "gracePeriod": "30s"}},
            "kubernetes/restart_pod",
            {"namespace": "p", "labelSelector": "app=web", "gracePeriodSeconds": 30},
        ),
        (
            "ScaleDeployment",
            {"DEPLOYMENT_NAME": "web", "NAMESPACE": "p", "REPLICAS": 3},
            "kubernetes/scale_deployment",
            {"deployment": "web", "namespace": "p", "replicas": 3},
        ),
        (
            "scale_deployment",
            {"resource_name": "web", "namespace": "p", "replicas": 3},
            "kubernetes/scale_deployment",
            {"deployment": "web", "namespace": "p", "replicas": 3},
        ),
        (
            "rolloutRestart",
            {"rolloutRestart": {"deployment": "web", "namespace": "p"}},
            "kubernetes/restart_deployment",
            {"deployment": "web", "namespace": "p"},
        ),
        (
            "deletePod",
            {"deletePod": {"podName": "a", "namespace": "p", "gracePeriod": "5s"}},
            "kubernetes/delete_pod",
            {"pod": "a", "namespace": "p", "gracePeriodSeconds": 5},
        ),
        (
            "patchDeployment",
            {"patchDeployment": {"deployment": "web", "namespace": "p", "patch": LABELLED}},
            "kubernetes/patch_deployment",
            {"deployment": "web", "namespace": "p", "patch": {"metadata": {"labels": {"a": "b"}}}},
        ),
        (
            "updateConfigMap",
            {"updateConfigMap": {"name": "c", "namespace": "p", "dataUpdates": {"a": "b"}}},
            "kubernetes/update_configmap",
            {"configMap": "c", "namespace": "p", "data": {"a": "b"}},
        ),
        (
            "PatchConfigMap",
            {"CONFIGMAP_NAME": "c", "NAMESPACE": "p", "PATCH_JSON": '[{"op": "remove", "path": "/data/a"}]'},
            "kubernetes/update_configmap",
            {"configMap": "c", "namespace": "p", "operations": [{"op": "remove", "path": "/data/a"}]},
        ),
        ("cordonNode", {"cordonNode": {"node": "n"}}, "kubernetes/cordon_node", {"nodeName": "n"}),
        ("uncordonNode", {"uncordonNode": {"nodeName": "n"}}, "kubernetes/uncordon_node", {"nodeName": "n"}),
        (
            "drainNode",
            {"drainNode": {"node": "n", "gracePeriodSeconds": 30, "ignoreDaemonSets": True, "force": False}},
            "kubernetes/drain_node",
            {"nodeName": "n", "gracePeriodSeconds": 30, "ignoreDaemonsets": True, "force": False},
        ),
        (
            "applyManifest",
            {
                "applyManifest": {
                    "manifest": "{kind: ConfigMap, apiVersion: v1, metadata: {name: a, namespace: p}}"
                }
            },
            "kubernetes/apply_manifest",
            {
                "manifest": {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a", "namespace": "p"}},
                "namespace": "p",
            },
        ),
    ],
)
def test_an_execution_becomes_a_workflow_of_one_step(
    action: str, parameters: Json, kind: str, inputs: Json
) -> None:
    (step,) = only(older_execution(action, **parameters))["spec"]["steps"]
    assert (step["actionType"], step["inputs"]) == (kind, inputs)


def test_a_secret_in_clear_is_named_and_not_handed_on() -> None:
    document = older_execution(
        "updateSecret", updateSecret={"secret": "s", "namespace": "p", "data": {"a": "aHVudGVyMg=="}}
    )
    translation = translate(document, CONTRACTS)
    assert "aHVudGVyMg" not in json.dumps(translation.documents)
    assert "aHVudGVyMg" not in str(translation.remarks)
    assert "never written" in lost(document)["spec.parameters.updateSecret.data"]


@pytest.mark.parametrize(
    ("older", "today"),
    [
        ("kubernaut-scale-action-sa", "scale-deployment-sa"),
        ("kubernaut-restart-pod-action-sa", "restart-pod-sa"),
        ("scale-deployment-sa", "scale-deployment-sa"),
        ("my-own", "my-own"),
    ],
)
def test_accounts_of_both_older_schemes_get_their_name_of_today(older: str, today: str) -> None:
    document = older_execution("scale_deployment", namespace="p", deployment="w", replicas=1)
    document["spec"]["serviceAccountName"] = older
    (made,) = translate(document, CONTRACTS).documents
    assert made["spec"]["steps"][0]["serviceAccountName"] == today


@pytest.mark.parametrize("key", ["kubernetes.scale_deployment", "registry.yaml"])
def test_a_registry_becomes_catalogue_entries(key: str) -> None:
    entry = {"image": DIGEST, "contract": "/action-contract.yaml", "verification": "warn", "owner": "me"}
    value = entry if key != "registry.yaml" else {"kubernetes/scale_deployment": entry}
    document = {"kind": "ConfigMap", "metadata": {"name": "r"}, "data": {key: yaml.safe_dump(value)}}
    made = only(document)
    assert (made["kind"], made["spec"]["image"]) == ("ActionDefinition", DIGEST)
    assert made["spec"]["verification"] == {"policy": "warn"}
    assert made["spec"]["serviceAccountName"] == "scale-deployment-sa"
    assert [path for path in lost(document) if path.endswith(".owner")]


def test_a_registry_entry_by_tag_or_without_a_contract_is_named_and_not_written() -> None:
    data = {
        "kubernetes.scale_deployment": json.dumps({"image": "r.example/scale:v1"}),
        "acme.unheard-of": json.dumps({"image": DIGEST}),
    }
    translation = translate({"kind": "ConfigMap", "data": data}, CONTRACTS)
    assert translation.documents == ()
    said = [remark.message for remark in translation.remarks if remark.is_loss]
    assert any("names no digest" in text for text in said)
    assert any("contract could not be read" in text for text in said)


@pytest.mark.parametrize("kind", ["ServiceAccount", "Pod", "ConfigMap", "WorkflowExecution"])
def test_what_is_not_older_is_refused_with_what_it_is(kind: str) -> None:
    document = {"apiVersion": "workflowexecution.kubernaut.ai/v1alpha1", "kind": kind, "spec": {"steps": []}}
    with pytest.raises(NotOlder):
        translate(document, CONTRACTS)


def _objects(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from _objects(item)
    elif isinstance(value, list):
        for item in value:
            yield from _objects(item)


@given(st.data())
def test_a_field_that_nobody_knows_is_never_dropped_in_silence(data: st.DataObject) -> None:
    document = yaml.safe_load(RICH)
    places = [item for item in _objects(document) if item is not document["status"]]
    place = data.draw(st.sampled_from(places))
    place["xUnheardOf"] = data.draw(st.sampled_from(["text", 7, {"a": 1}, [1]]))
    translation = translate(document, CONTRACTS)
    is_named = any(
        "xUnheardOf" in remark.path or _holds(document, remark.path)
        for remark in translation.remarks
        if remark.is_loss
    )
    assert is_named or "xUnheardOf" in json.dumps(translation.documents), place


def _holds(document: Json, path: str) -> bool:
    """Whether what stands at this path holds the unheard-of field: then the whole was named."""
    value: Any = document
    for part in path.replace("[", ".[").split("."):
        value = value[int(part[1:-1])] if part.startswith("[") else value.get(part, {})
    return "xUnheardOf" in json.dumps(value)


def test_the_command_prints_what_can_be_linted_and_names_places(kubernaut: Kubernaut, tmp_path: Path) -> None:
    file = tmp_path / "old.yaml"
    file.write_text(RICH)
    said = kubernaut("import", str(file))
    assert said.code == Exit.SUCCEEDED
    assert f"{file}:3:1: " not in said.err
    assert f"{file}:31:1: lost: status: " in said.err
    assert "6 fields with no home today" in said.err
    (tmp_path / "new.yaml").write_text(said.out)
    assert kubernaut("lint", str(tmp_path / "new.yaml")).code == Exit.SUCCEEDED
    assert kubernaut("import", "--strict", str(file)).code == Exit.FAILED
    again = kubernaut("import", str(tmp_path / "new.yaml"))
    assert again.code == Exit.USAGE
    assert "has today's shape already" in again.err
