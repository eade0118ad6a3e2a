"""What a cluster is given for an attempt: one restricted pod that nothing repeats."""

from typing import Any

import pytest

from kubernaut.api.action import ActionExecution, ActionSpec, SecretInput
from kubernaut.api.contract import ContractSpec
from kubernaut.api.meta import LocalReference, ObjectMeta, SecretKeyRef
from kubernaut.engines.job import compile_fence, compile_inputs, compile_job

IMAGE = "registry.example/actions/scale@sha256:" + "a" * 64


def execution(**changes: Any) -> ActionExecution:
    spec = {
        "action_type": "kubernetes/scale_deployment",
        "image": IMAGE,
        "inputs": {"deployment": "payment-service", "replicas": 10},
        "service_account_name": "scale-deployment-sa",
        "timeout": "5m",
        "contract": ContractSpec(fenced=True),
        "workflow_ref": LocalReference(name="scale", uid="w-1"),
        "step": "scale-deployment",
    }
    meta = ObjectMeta(name="scale-scale-deployment-1234abcd", namespace="kubernaut-workflows", uid="e-1")
    return ActionExecution(metadata=meta, spec=ActionSpec(**(spec | changes)))


def job_of(**changes: Any) -> dict[str, Any]:
    return compile_job(execution(**changes), 1, suspended=False, grace_seconds=30)


def container_of(job: dict[str, Any]) -> dict[str, Any]:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return container


def environment_of(job: dict[str, Any]) -> dict[str, str]:
    return {e["name"]: e.get("value", "") for e in container_of(job)["env"]}


def test_nothing_repeats_an_attempt_by_itself() -> None:
    spec = job_of()["spec"]
    assert (spec["backoffLimit"], spec["completions"], spec["parallelism"]) == (0, 1, 1)
    assert spec["podReplacementPolicy"] == "Failed"
    assert {rule["action"] for rule in spec["podFailurePolicy"]["rules"]} == {"FailJob"}
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_a_finished_job_stays_until_its_outcome_is_recorded() -> None:
    assert "ttlSecondsAfterFinished" not in job_of()["spec"]


def test_the_pod_is_restricted() -> None:
    pod = job_of()["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    inner = container_of(job_of())["securityContext"]
    assert inner["allowPrivilegeEscalation"] is False
    assert inner["readOnlyRootFilesystem"] is True
    assert inner["capabilities"] == {"drop": ["ALL"]}


def test_the_runner_stops_ten_seconds_before_the_job_does() -> None:
    job = job_of(timeout="5m")
    assert job["spec"]["activeDeadlineSeconds"] == 300
    assert environment_of(job)["KUBERNAUT_DEADLINE_SECONDS"] == "290"


def test_older_tools_find_workflow_and_action_type_by_their_labels() -> None:
    labels = job_of()["metadata"]["labels"]
    assert labels["kubernaut.io/workflow"] == "scale"
    assert labels["kubernaut.io/action-type"] == "kubernetes.scale_deployment"


def test_secret_inputs_are_mounted_and_never_in_the_environment() -> None:
    secret = SecretInput(input="password", secret_key_ref=SecretKeyRef(name="db", key="pw"))
    job = job_of(secret_inputs=(secret,))
    assert "pw" not in str(container_of(job)["env"])
    volume = next(v for v in job["spec"]["template"]["spec"]["volumes"] if v["name"] == "secrets")
    source = volume["projected"]["sources"][0]["secret"]
    assert source == {"name": "db", "items": [{"key": "pw", "path": "password"}]}


@pytest.mark.parametrize(("size", "is_file"), [(1_000, False), (70_000, True)])
def test_inputs_too_large_for_an_environment_string_are_mounted_as_a_file(size: int, is_file: bool) -> None:
    inputs = {"text": "x" * size}
    environment = environment_of(job_of(inputs=inputs))
    assert ("ACTION_INPUTS_FILE" in environment) is is_file
    assert ("ACTION_INPUTS" in environment) is not is_file
    assert (compile_inputs(execution(inputs=inputs)) is not None) is is_file


def test_pods_that_share_a_workspace_go_to_the_same_node() -> None:
    template = job_of(workspace_claim="scale-workspace")["spec"]["template"]
    (term,) = template["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    selected = term["labelSelector"]["matchLabels"]
    assert selected.items() <= template["metadata"]["labels"].items()


def test_a_fence_is_armed_for_the_first_attempt_and_held_by_nobody() -> None:
    assert compile_fence(execution())["spec"] == {"leaseTransitions": 1}


def test_names_of_attempts_differ_and_fit_a_label() -> None:
    names = {
        compile_job(execution(), attempt, suspended=False, grace_seconds=30)["metadata"]["name"]
        for attempt in range(1, 12)
    }
    assert len(names) == 11
    assert max(map(len, names)) <= 63


def test_an_image_without_the_runner_is_told_of_no_fence() -> None:
    assert "KUBERNAUT_LEASE" not in environment_of(job_of(contract=ContractSpec(fenced=False)))
