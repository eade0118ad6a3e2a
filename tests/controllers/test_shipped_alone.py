"""Shipped actions without a workflow: what is wrong is named, all of it, before anything is created."""

from typing import Any

import pytest

from kubernaut.cli.installing import shipped_contracts
from kubernaut.cli.installing.actions import account_of, definition_manifest
from kubernaut.cluster import Json, kinds

from .bench import NAMESPACE, Bench
from .test_door import LEASES, lone, until_action_ended

CONTRACTS = {contract.metadata.name: contract for contract in shipped_contracts()}
IMAGE = "registry.example/shipped@sha256:" + "e" * 64


async def submit(bench: Bench, action: str, **more: Any) -> Json:
    contract = CONTRACTS[action]
    definition = definition_manifest(contract, IMAGE)
    await bench.admin.create(kinds.ACTION_DEFINITIONS, definition)
    spec = {
        "actionType": action,
        "image": IMAGE,
        "contract": definition["spec"]["contract"],
        "serviceAccountName": account_of(contract),
    }
    await bench.admin.create(kinds.ACTION_EXECUTIONS, lone("alone", **spec | more), NAMESPACE)
    ended = await until_action_ended(bench, "alone")
    return dict(ended["status"])


@pytest.mark.parametrize(
    ("action", "more", "said"),
    [
        (
            "kubernetes/drain_node",
            {"inputs": {"nodeName": "Node A", "gracePeriodSeconds": 3601, "force": "yes"}, "timeout": "16m"},
            [
                "spec.timeout: is longer",
                "spec.inputs.nodeName: does not match",
                "spec.inputs.gracePeriodSeconds: must be at most 3600",
                "spec.inputs.force: must be of type boolean",
            ],
        ),
        (
            "kubernetes/update_secret",
            {"inputs": {"namespace": "shop", "secretName": "db", "key": "password", "value": "in clear"}},
            ["spec.inputs.value: secrets are not given in inputs"],
        ),
        (
            "kubernetes/update_configmap",
            {"inputs": {"configmap": "settings"}},
            [
                "spec.inputs.configmap: kubernetes/update_configmap has no such input. Did you mean configMap?",
                "required input namespace is missing",
                "required input configMap is missing",
            ],
        ),
        (
            "kubernetes/cordon_node",
            {"inputs": {"nodeName": "a"}, "serviceAccountName": "drain-node-sa"},
            ["spec.serviceAccountName: kubernetes/cordon_node runs as cordon-node-sa, and as nobody else"],
        ),
        (
            "kubernetes/apply_manifest",
            {"inputs": {"namespace": "shop", "manifest": "kind: ConfigMap"}},
            ["spec.inputs.manifest: must be of type object, not string"],
        ),
    ],
)
async def test_every_fault_of_an_action_alone_is_named_before_a_fence_or_a_job(
    bench: Bench, action: str, more: dict[str, Any], said: list[str]
) -> None:
    async with bench.controller():
        status = await submit(bench, action, **more)
    assert (status["phase"], status["reason"], status["executed"]) == ("Failed", "Refused", "no")
    for text in said:
        assert text in status["message"]
    assert "in clear" not in status["message"]
    assert not bench.objects(LEASES)
    assert not bench.objects("jobs.batch")
