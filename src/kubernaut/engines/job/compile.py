"""An ActionExecution's attempt as a Job, its fence as a Lease, its workspace as a claim. Pure.

The pod is Pod Security `restricted` whatever the contract says; nothing in a workflow can loosen it. The Job
never repeats anything by itself (backoffLimit 0, podFailurePolicy FailJob, podReplacementPolicy Failed) and
lives until its outcome is recorded (no TTL here).
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from kubernaut.api import names
from kubernaut.api.action import ActionExecution
from kubernaut.api.duration import from_duration
from kubernaut.api.workflow import WorkflowExecution

Object = dict[str, Any]

LARGE_INPUTS = 64 * 1024
"""Bytes of inputs beyond which they are mounted as a file: Linux caps one environment string at 128 kB."""
RUNNER_MARGIN = 10.0
"""Seconds by which the runner's own deadline comes before the Job's, so that it can still say what it did."""
LABEL_WORKSPACE = "kubernaut.ai/workspace"


def compile_job(execution: ActionExecution, attempt: int, *, suspended: bool, grace_seconds: float) -> Object:
    """The Job of one attempt (counted from 1)."""
    meta, spec = execution.metadata, execution.spec
    labels = labels_of(execution) | {names.LABEL_ATTEMPT: str(attempt)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": names.job_name(meta.name, meta.uid, attempt),
            "namespace": meta.namespace,
            "labels": labels,
            "annotations": annotations_of(execution),
            "ownerReferences": [owner_reference(execution)],
        },
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "suspend": suspended,
            "podReplacementPolicy": "Failed",
            "activeDeadlineSeconds": max(1, math.ceil(from_duration(spec.timeout))),
            "podFailurePolicy": {
                "rules": [
                    # First: an evicted process has an exit code too, and the first rule that fits is told.
                    {
                        "action": "FailJob",
                        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                    },
                    {
                        "action": "FailJob",
                        "onExitCodes": {
                            "containerName": names.ACTION_CONTAINER,
                            "operator": "NotIn",
                            "values": [0],
                        },
                    },
                ]
            },
            "template": {
                "metadata": {"labels": labels | _workspace_label(execution)},
                "spec": _pod(execution, attempt, grace_seconds),
            },
        },
    }


def compile_fence(execution: ActionExecution) -> Object:
    """The Lease that one process at most may take, armed for attempt 1.

    holderIdentity: `<pod uid>/<nonce>` of the process that carries the action out; leaseTransitions: the attempt
    for which it is armed. It has no duration: it never expires by itself.
    """
    meta = execution.metadata
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": names.fence_name(meta.uid),
            "namespace": meta.namespace,
            "labels": labels_of(execution),
            "annotations": annotations_of(execution),
            "ownerReferences": [owner_reference(execution)],
        },
        "spec": {"leaseTransitions": 1},
    }


def compile_inputs(execution: ActionExecution) -> Object | None:
    """The ConfigMap of inputs too large for an environment variable, or None while they fit."""
    text = _inputs_text(execution)
    if len(text.encode()) <= LARGE_INPUTS:
        return None
    meta = execution.metadata
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": inputs_name(meta.uid),
            "namespace": meta.namespace,
            "labels": labels_of(execution),
            "ownerReferences": [owner_reference(execution)],
        },
        "immutable": True,
        "data": {"inputs.json": text},
    }


def compile_workspace(workflow: WorkflowExecution, name: str, size: str, storage_class: str) -> Object:
    """The claim that the steps of a workflow share. `size` is a Kubernetes quantity."""
    meta = workflow.metadata
    spec: Object = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    if storage_class:
        spec["storageClassName"] = storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": name,
            "namespace": meta.namespace,
            "labels": {
                names.LABEL_WORKFLOW: names.label_value(meta.name),
                names.LABEL_SEED_WORKFLOW: names.label_value(meta.name),
                names.LABEL_MANAGED_BY: "kubernaut",
            },
            "ownerReferences": [
                {
                    "apiVersion": workflow.api_version,
                    "kind": workflow.kind,
                    "name": meta.name,
                    "uid": meta.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": spec,
    }


def inputs_name(execution_uid: str) -> str:
    """Name of the ConfigMap with large inputs."""
    return f"inputs-{execution_uid}"


def labels_of(execution: ActionExecution) -> dict[str, str]:
    """Labels of everything that belongs to an ActionExecution, ours and the two of older tools."""
    spec = execution.spec
    action_type = names.label_value(spec.action_type.replace("/", "."))
    labels = {
        names.LABEL_MANAGED_BY: "kubernaut",
        names.LABEL_COMPONENT: "action",
        names.LABEL_EXECUTION: names.label_value(execution.metadata.name),
        names.LABEL_ACTION_TYPE: action_type,
        names.LABEL_SEED_ACTION_TYPE: action_type,
    }
    if spec.workflow_ref is not None:
        workflow = names.label_value(spec.workflow_ref.name)
        labels |= {names.LABEL_WORKFLOW: workflow, names.LABEL_SEED_WORKFLOW: workflow}
    if spec.step:
        labels[names.LABEL_STEP] = names.label_value(spec.step)
    return labels


def annotations_of(execution: ActionExecution) -> dict[str, str]:
    """Full names, where a label could only hold a part."""
    spec = execution.spec
    found = {names.ANNOTATION_ACTION_TYPE: spec.action_type, names.ANNOTATION_STEP: spec.step}
    if spec.workflow_ref is not None:
        found[names.ANNOTATION_WORKFLOW] = spec.workflow_ref.name
    return {key: value for key, value in found.items() if value}


def owner_reference(execution: ActionExecution) -> Object:
    """Makes an object go with its ActionExecution."""
    return {
        "apiVersion": execution.api_version,
        "kind": execution.kind,
        "name": execution.metadata.name,
        "uid": execution.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _inputs_text(execution: ActionExecution) -> str:
    return msgspec.json.encode(execution.spec.inputs).decode()


def _workspace_label(execution: ActionExecution) -> dict[str, str]:
    claim = execution.spec.workspace_claim
    return {LABEL_WORKSPACE: names.label_value(claim)} if claim else {}


def _pod(execution: ActionExecution, attempt: int, grace_seconds: float) -> Object:
    spec = execution.spec
    security = spec.contract.security_context
    pod: Object = {
        "restartPolicy": "Never",
        "serviceAccountName": spec.service_account_name or "default",
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": max(1, math.ceil(grace_seconds)),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": max(1, security.run_as_user),
            "runAsGroup": security.run_as_group,
            "fsGroup": security.run_as_group,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(execution, attempt)],
        "volumes": _volumes(execution),
    }
    if spec.workspace_claim:
        pod["affinity"] = _beside_others(execution)
    return pod


def _container(execution: ActionExecution, attempt: int) -> Object:
    spec = execution.spec
    resources = spec.contract.resources
    return {
        "name": names.ACTION_CONTAINER,
        "image": spec.image,
        "env": _environment(execution, attempt),
        "resources": {"requests": dict(resources.requests), "limits": dict(resources.limits)},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "File",
        "volumeMounts": _mounts(execution),
    }


def _environment(execution: ActionExecution, attempt: int) -> list[Object]:
    meta, spec = execution.metadata, execution.spec
    timeout = from_duration(spec.timeout)
    values = {
        "ACTION_TYPE": spec.action_type,
        "CORRELATION_ID": spec.correlation_id or meta.uid,
        "KUBERNAUT_EXECUTION": meta.name,
        "KUBERNAUT_EXECUTION_UID": meta.uid,
        "KUBERNAUT_NAMESPACE": meta.namespace,
        "KUBERNAUT_ATTEMPT": str(attempt),
        "KUBERNAUT_DEADLINE_SECONDS": f"{max(timeout - RUNNER_MARGIN, timeout / 2):g}",
        "KUBERNAUT_OVERFLOW": names.overflow_name(meta.uid),
        "HOME": "/tmp",
        "TMPDIR": "/tmp",
    }
    if spec.contract.fenced:
        values["KUBERNAUT_LEASE"] = names.fence_name(meta.uid)
    if compile_inputs(execution) is None:
        values["ACTION_INPUTS"] = _inputs_text(execution)
    else:
        values["ACTION_INPUTS_FILE"] = f"{names.INPUTS_PATH}/inputs.json"
    if spec.secret_inputs:
        values["KUBERNAUT_SECRETS_DIR"] = names.SECRETS_PATH
    for dependency in _dependencies(execution):
        values[names.dependency_variable(dependency.kind, dependency.name)] = dependency.path
    if spec.workspace_claim:
        values["WORKSPACE_PATH"] = names.WORKSPACE_PATH
    pod_uid = {"name": "KUBERNAUT_POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}
    return [*({"name": key, "value": value} for key, value in values.items()), pod_uid]


def _volumes(execution: ActionExecution) -> list[Object]:
    spec = execution.spec
    volumes: list[Object] = [{"name": "tmp", "emptyDir": {}}]
    if spec.workspace_claim:
        claim = {"claimName": spec.workspace_claim}
        volumes.append({"name": "workspace", "persistentVolumeClaim": claim})
    if compile_inputs(execution) is not None:
        volumes.append({"name": "inputs", "configMap": {"name": inputs_name(execution.metadata.uid)}})
    if spec.secret_inputs:
        sources = [
            {
                "secret": {
                    "name": secret.secret_key_ref.name,
                    "items": [{"key": secret.secret_key_ref.key, "path": secret.input}],
                }
            }
            for secret in spec.secret_inputs
        ]
        volumes.append({"name": "secrets", "projected": {"sources": sources, "defaultMode": 0o440}})
    return [*volumes, *(dependency.volume for dependency in _dependencies(execution))]


def _mounts(execution: ActionExecution) -> list[Object]:
    spec = execution.spec
    mounts: list[Object] = [{"name": "tmp", "mountPath": "/tmp"}]
    if spec.workspace_claim:
        mounts.append({"name": "workspace", "mountPath": names.WORKSPACE_PATH})
    if compile_inputs(execution) is not None:
        mounts.append({"name": "inputs", "mountPath": names.INPUTS_PATH, "readOnly": True})
    if spec.secret_inputs:
        mounts.append({"name": "secrets", "mountPath": names.SECRETS_PATH, "readOnly": True})
    for dependency in _dependencies(execution):
        mounts.append({"name": dependency.volume["name"], "mountPath": dependency.path, "readOnly": True})
    return mounts


class _Dependency(NamedTuple):
    """A Secret or ConfigMap that the contract has mounted."""

    kind: str
    name: str
    path: str
    volume: Object


def _dependencies(execution: ActionExecution) -> Iterator[_Dependency]:
    asked = execution.spec.contract.dependencies
    for number, name in enumerate(asked.secrets):
        path = f"{names.SECRET_DEPENDENCIES_PATH}/{name}"
        source: Object = {"secret": {"secretName": name, "defaultMode": 0o440}}
        yield _Dependency("secret", name, path, {"name": f"secret-{number}", **source})
    for number, name in enumerate(asked.config_maps):
        path = f"{names.CONFIG_MAP_DEPENDENCIES_PATH}/{name}"
        source = {"configMap": {"name": name, "defaultMode": 0o444}}
        yield _Dependency("configmap", name, path, {"name": f"configmap-{number}", **source})


def _beside_others(execution: ActionExecution) -> Object:
    """A ReadWriteOnce volume attaches to one node: pods that use it at the same time go to the same one."""
    selector = {"matchLabels": _workspace_label(execution)}
    term = {"labelSelector": selector, "topologyKey": "kubernetes.io/hostname"}
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
