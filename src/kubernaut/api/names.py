"""Groups, labels, finalizers, and the names of everything that kubernaut creates.

Derived names are `<readable part>-<hash>` within 63 characters; the hash covers everything that makes the
object unique, so that cutting the readable part can never make two objects meet. Full names stand in labels
(values up to 63 characters) or annotations.
"""

import hashlib
import re

WORKFLOW_GROUP = "workflowexecution.kubernaut.ai"
EXECUTION_GROUP = "execution.kubernaut.ai"
GROUP = "kubernaut.ai"
VERSION = "v1alpha1"

WORKFLOW_API = f"{WORKFLOW_GROUP}/{VERSION}"
EXECUTION_API = f"{EXECUTION_GROUP}/{VERSION}"
CORE_API = f"{GROUP}/{VERSION}"

CATEGORY = "kubernaut"
FIELD_MANAGER = "kubernaut"

LABEL_WORKFLOW = "kubernaut.ai/workflow-execution"
LABEL_STEP = "kubernaut.ai/step"
LABEL_ACTION_TYPE = "kubernaut.ai/action-type"
LABEL_EXECUTION = "kubernaut.ai/action-execution"
LABEL_ATTEMPT = "kubernaut.ai/attempt"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_COMPONENT = "app.kubernetes.io/component"
# The two labels that older tools look for; written besides ours.
LABEL_SEED_WORKFLOW = "kubernaut.io/workflow"
LABEL_SEED_ACTION_TYPE = "kubernaut.io/action-type"

ANNOTATION_WORKFLOW = "kubernaut.ai/workflow-execution"
ANNOTATION_STEP = "kubernaut.ai/step"
ANNOTATION_ACTION_TYPE = "kubernaut.ai/action-type"
ANNOTATION_SCHEMA_VERSION = "kubernaut.ai/schema-version"
ANNOTATION_CONTRACT_VERSION = "kubernaut.ai/contract-version"
"""On an ActionDefinition: apiVersion of the ActionContract that it repeats. Absent: the oldest, v1alpha1."""
ANNOTATION_RELEASED_AT = "kubernaut.ai/released-at"
"""On a Job that was created suspended: when it was let start, RFC 3339."""

FINALIZER = "kubernaut.ai/workflow-execution"
"""Holds a WorkflowExecution until its steps are stopped, `finally` has run and the outcome is recorded.

The way out without a controller: `kubectl patch wfe NAME --type=merge -p '{"metadata":{"finalizers":null}}'`.
"""

IMAGE_LABEL_CONTRACT = "ai.kubernaut.action-contract"
CONTRACT_PATH = "/action-contract.yaml"
ENTRYPOINT_PATH = "/action-entrypoint"
ACTION_CONTAINER = "action"
WORKSPACE_PATH = "/workspace"
SECRETS_PATH = "/run/kubernaut/secret-inputs"
INPUTS_PATH = "/run/kubernaut/inputs"
SECRET_DEPENDENCIES_PATH = "/run/kubernaut/secrets"
CONFIG_MAP_DEPENDENCIES_PATH = "/run/kubernaut/configmaps"

VOID_HOLDER = "void"
"""Holder that the controller writes into a fence to make sure that no pod can take it any more."""

SCHEMA_VERSION = 4
"""Raised with every change of the CRDs; an installed CRD with a lower number is too old for this code."""

NAME_LIMIT = 63
_HASH_LENGTH = 8
_UNFIT = re.compile(r"[^a-z0-9-]+")


def derived_name(readable: str, *unique: str) -> str:
    """`<readable, cut to fit>-<8 hex characters of sha256 over unique>`, a DNS label."""
    digest = hashlib.sha256("\x00".join(unique).encode()).hexdigest()[:_HASH_LENGTH]
    part = _UNFIT.sub("-", readable.lower()).strip("-")[: NAME_LIMIT - _HASH_LENGTH - 1].rstrip("-")
    return f"{part}-{digest}" if part else f"x{digest}"


def execution_name(workflow: str, workflow_uid: str, step: str) -> str:
    """Name of the ActionExecution that runs a step; room is left for the Job's `-<attempt>`."""
    return derived_name(f"{workflow}-{step}"[:50], workflow_uid, step)


def fence_name(execution_uid: str) -> str:
    """Name of the Lease that lets one process at most carry out an ActionExecution's attempt."""
    return f"fence-{execution_uid}"


def job_name(execution: str, execution_uid: str, attempt: int) -> str:
    """Name of the Job that carries out an attempt (counted from 1) of an ActionExecution."""
    return derived_name(f"{execution[:50]}-{attempt}", execution_uid, str(attempt))


def overflow_name(execution_uid: str) -> str:
    """Name of the ConfigMap that holds results too large for a termination message."""
    return f"results-{execution_uid}"


def workspace_name(workflow: str, workflow_uid: str) -> str:
    """`<workflow>-workspace`, or a derived name where that would be too long for a label."""
    plain = f"{workflow}-workspace"
    return plain if len(plain) <= NAME_LIMIT else derived_name(plain, workflow_uid)


def dependency_variable(kind: str, name: str) -> str:
    """The environment variable that says where a dependency is mounted; `kind` is `secret` or `configmap`.

    `git-credentials` -> KUBERNAUT_SECRET_DIR_GIT_CREDENTIALS
    """
    return f"KUBERNAUT_{kind.upper()}_DIR_{re.sub('[^A-Z0-9]', '_', name.upper())}"


def label_value(text: str) -> str:
    """A text as a label value: itself where that is allowed, else readable part and hash."""
    if len(text) <= NAME_LIMIT and re.fullmatch(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?", text):
        return text
    return derived_name(text.replace("/", "."), text)


def short_type(action_type: str) -> str:
    """`kubernetes/scale_deployment` -> `scale-deployment`, for object names."""
    return _UNFIT.sub("-", action_type.rsplit("/", 1)[-1].lower()).strip("-")
