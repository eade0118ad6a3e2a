"""What RBAC cannot say, as admission policies of the API server (admissionregistration.k8s.io/v1).

A pod may write into a fence only its own name, only while nobody holds it; and nobody may ask for something in
another's name.
"""

from typing import Any

from kubernaut.api import names
from kubernaut.cli.installing.places import PART_OF
from kubernaut.cli.options import EXECUTION_NAMESPACE

Json = dict[str, Any]

_POD_UID = "request.userInfo.extra['authentication.kubernetes.io/pod-uid'][0]"
_ACTIONS = f"system:serviceaccounts:{EXECUTION_NAMESPACE}"
_USER = "request.userInfo.username"

FENCE_RULES = {
    f"{_POD_UID} != '' && has(object.spec.holderIdentity) && "
    f"object.spec.holderIdentity.startsWith({_POD_UID} + '/')": "a pod takes a fence in its own name only",
    "!has(oldObject.spec.holderIdentity) || oldObject.spec.holderIdentity == ''": "the fence is held already",
    "object.spec.leaseTransitions == oldObject.spec.leaseTransitions": "a pod does not arm a fence",
}
REQUESTER_RULES = {
    "!has(object.spec.requester) || !has(object.spec.requester.username) || "
    f"object.spec.requester.username == {_USER} || "
    "(oldObject != null && has(oldObject.spec.requester) && object.spec.requester == oldObject.spec.requester)": (
        "spec.requester.username must be your own"
    ),
    "!has(object.spec.requests) || object.spec.requests.all(asked, "
    "(oldObject != null && has(oldObject.spec.requests) && asked in oldObject.spec.requests) || "
    f"!has(asked.requester) || !has(asked.requester.username) || asked.requester.username == {_USER})": (
        "the author of a request must be you"
    ),
}


def policy_manifests() -> list[Json]:
    """Policies and their bindings."""
    fences = {
        "resourceRules": [_resources("coordination.k8s.io", "v1", "leases", "UPDATE")],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": EXECUTION_NAMESPACE}},
    }
    requesters = {
        "resourceRules": [
            _resources(names.WORKFLOW_GROUP, names.VERSION, "workflowexecutions", "CREATE", "UPDATE")
        ]
    }
    # Only actions are held to the fence: the controller arms and voids it.
    condition = {"name": "is-an-action", "expression": f"'{_ACTIONS}' in request.userInfo.groups"}
    return [
        *_policy("kubernaut-fences", fences, FENCE_RULES, [condition]),
        *_policy("kubernaut-requesters", requesters, REQUESTER_RULES, []),
    ]


def _resources(group: str, version: str, plural: str, *operations: str) -> Json:
    return {
        "apiGroups": [group],
        "apiVersions": [version],
        "resources": [plural],
        "operations": list(operations),
    }


def _policy(name: str, match: Json, rules: dict[str, str], conditions: list[Json]) -> list[Json]:
    metadata = {"name": name, "labels": dict(PART_OF)}
    spec: Json = {
        "failurePolicy": "Fail",
        "matchConstraints": match,
        **({"matchConditions": conditions} if conditions else {}),
        "validations": [
            {"expression": expression, "message": message, "reason": "Forbidden"}
            for expression, message in rules.items()
        ],
    }
    api = "admissionregistration.k8s.io/v1"
    return [
        {"apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": metadata, "spec": spec},
        {
            "apiVersion": api,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": metadata,
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        },
    ]
