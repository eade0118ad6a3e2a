"""What the Job of an attempt promises in the corners: tiny timeouts, other alphabets, contracts that want root."""

from typing import Any

import pytest

from kubernaut.api.action import ActionExecution, ActionSpec
from kubernaut.api.contract import ContractSpec, Resources, SecurityContext
from kubernaut.api.meta import LocalReference, ObjectMeta
from kubernaut.api.workflow import WorkflowExecution, WorkflowSpec
from kubernaut.engines.job import compile_fence, compile_inputs, compile_job, compile_workspace

IMAGE = "registry.example/actions/scale@sha256:" + "a" * 64


def execution(**changes: Any) -> ActionExecution:
    spec = {
        "action_type": "kubernetes/scale_deployment",
        "image": IMAGE,
        "contract": ContractSpec(fenced=True),
        "workflow_ref": LocalReference(name="scale", uid="w-1"),
        "step": "scale",
    }
    meta = ObjectMeta(name="scale-scale-1234abcd", namespace="kubernaut-workflows", uid="e-1")
    return ActionExecution(metadata=meta, spec=ActionSpec(**(spec | changes)))


def job_of(attempt: int = 1, *, suspended: bool = False, grace: float = 30, **changes: Any) -> dict[str, Any]:
    return compile_job(execution(**changes), attempt, suspended=suspended, grace_seconds=grace)


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    return job["spec"]["template"]["spec"]


def environment_of(job: dict[str, Any]) -> dict[str, str]:
    return {e["name"]: e.get("value", "") for e in pod_of(job)["containers"][0]["env"]}


def test_a_disruption_is_told_before_the_exit_code_that_it_caused() -> None:
    first, second = job_of()["spec"]["podFailurePolicy"]["rules"]
    assert first["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert second["onExitCodes"]["operator"] == "NotIn"
    assert second["onExitCodes"]["values"] == [0]


def test_a_job_made_suspended_starts_nothing() -> None:
    assert job_of(suspended=True)["spec"]["suspend"] is True
    assert job_of(suspended=False)["spec"]["suspend"] is False


def test_job_fence_and_inputs_go_with_their_execution() -> None:
    large = compile_inputs(execution(inputs={"text": "x" * 70_000}))
    assert large is not None
    for made in (job_of(), compile_fence(execution()), large):
        (owner,) = made["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("ActionExecution", "e-1", True)


@pytest.mark.parametrize(
    ("timeout", "seconds", "runner"),
    [("100ms", 1, "0.05"), ("1500ms", 2, "0.75"), ("12s", 12, "6"), ("1m", 60, "50")],
)
def test_no_timeout_is_rounded_down_and_the_runner_has_at_least_half_of_it(
    timeout: str, seconds: int, runner: str
) -> None:
    job = job_of(timeout=timeout)
    assert job["spec"]["activeDeadlineSeconds"] == seconds
    assert environment_of(job)["KUBERNAUT_DEADLINE_SECONDS"] == runner


def test_no_contract_makes_a_pod_run_as_root() -> None:
    asked = ContractSpec(security_context=SecurityContext(run_as_non_root=False, run_as_user=0))
    security = pod_of(job_of(contract=asked))["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] > 0


def test_the_size_of_inputs_is_counted_in_bytes() -> None:
    job = job_of(inputs={"text": "ü" * 40_000})
    assert "ACTION_INPUTS" not in environment_of(job)
    assert compile_inputs(execution(inputs={"text": "ü" * 40_000})) is not None


def test_every_attempt_knows_its_number() -> None:
    job = job_of(3)
    assert environment_of(job)["KUBERNAUT_ATTEMPT"] == "3"
    assert job["metadata"]["labels"]["kubernaut.ai/attempt"] == "3"


@pytest.mark.parametrize(("grace", "seconds"), [(45, 45), (0.5, 1), (0, 1)])
def test_a_pod_has_the_grace_that_the_controller_counts_with(grace: float, seconds: int) -> None:
    assert pod_of(job_of(grace=grace))["terminationGracePeriodSeconds"] == seconds


def test_tools_find_a_place_to_write_though_the_root_is_read_only() -> None:
    job = job_of()
    assert {environment_of(job)[name] for name in ("HOME", "TMPDIR")} == {"/tmp"}
    (container,) = pod_of(job)["containers"]
    mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert {"name": mounted["/tmp"], "emptyDir": {}} in pod_of(job)["volumes"]


def test_a_pod_runs_as_the_account_of_its_action() -> None:
    pod = pod_of(job_of(service_account_name="kubernaut-scale-action-sa"))
    assert pod["serviceAccountName"] == "kubernaut-scale-action-sa"
    assert pod["automountServiceAccountToken"] is True


def test_a_workspace_is_one_claim_that_goes_with_its_workflow() -> None:
    asked = WorkflowExecution(
        metadata=ObjectMeta(name="scale", namespace="kubernaut-workflows", uid="w-1"),
        spec=WorkflowSpec(steps=()),
    )
    claim = compile_workspace(asked, "scale-workspace", "1Gi", "")
    assert claim["metadata"]["name"] == "scale-workspace"
    assert claim["spec"] == {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    (owner,) = claim["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("WorkflowExecution", "w-1", True)
    assert claim["metadata"]["labels"]["kubernaut.io/workflow"] == "scale"
    assert compile_workspace(asked, "w", "2Gi", "fast")["spec"]["storageClassName"] == "fast"


def test_a_pod_has_the_resources_of_its_contract() -> None:
    wanted = Resources(requests={"cpu": "1", "memory": "1Gi"}, limits={"memory": "2Gi"})
    (container,) = pod_of(job_of(contract=ContractSpec(resources=wanted)))["containers"]
    assert container["resources"] == {"requests": wanted.requests, "limits": wanted.limits}
