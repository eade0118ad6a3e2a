"""What RBAC cannot say, as admission policies of the API server (admissionregistration.k8s.io/v1).

A pod may write into a fence only its own name, only while nobody holds it; nobody may ask for something in
another's name; and nobody may decide about a plan who asked for it, in another's name, or without being asked.
"""

from typing import Any

from kubernaut.api import names
from kubernaut.cli.installing.controller import CONTROLLER
from kubernaut.cli.installing.places import PART_OF
from kubernaut.cli.options import EXECUTION_NAMESPACE, SYSTEM_NAMESPACE

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

_CONTROLLER_USER = f"system:serviceaccount:{SYSTEM_NAMESPACE}:{CONTROLLER}"
_MAY_APPROVE = (
    f"authorizer.group('{names.GROUP}').resource('approvalrequests').namespace(object.metadata.namespace)"
    ".name(object.metadata.name).check('approve').allowed()"
)
ASKING_RULES = {
    f"{_USER} == '{_CONTROLLER_USER}'": "only the controller asks for approvals, and says what came of them",
}
_WAS_SAID = "(has(oldObject.spec.decisions) && said in oldObject.spec.decisions)"


def _each_new(rule: str) -> str:
    """Of every decision that this change adds."""
    return f"!has(object.spec.decisions) || object.spec.decisions.all(said, {_WAS_SAID} || ({rule}))"


# In plain words of CEL: optional fields and `filter` would make the embedded cluster load a library.
DECISION_RULES = {
    _each_new(f"has(said.by.username) && said.by.username == {_USER}"): "the author of a decision must be you",
    _each_new("!has(said.by.groups) || said.by.groups.all(group, group in request.userInfo.groups)"): (
        "the groups of a decision must be yours"
    ),
    _each_new("said.planHash == object.spec.planHash"): (
        "the decision is about another plan: look at this one first"
    ),
    _each_new(
        "!has(oldObject.status) || !has(oldObject.status.phase) || oldObject.status.phase == 'Pending' || "
        "(oldObject.status.phase == 'Approved' && said.decision == 'reject')"
    ): "this request is decided, or over",
    _each_new(
        "has(object.spec.requestedBy.username) && object.spec.requestedBy.username != '' && "
        f"object.spec.requestedBy.username != {_USER}"
    ): "who asked for a workflow cannot decide about it",
    _each_new(
        "has(object.spec.approvers) && "
        f"((has(object.spec.approvers.users) && {_USER} in object.spec.approvers.users) || "
        "(has(object.spec.approvers.groups) && "
        "object.spec.approvers.groups.exists(group, group in request.userInfo.groups)))"
    ): "you are not among the approvers of this request",
    _each_new(_MAY_APPROVE): "you need the verb approve on approvalrequests",
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
    requests = (names.GROUP, names.VERSION)
    asking = {
        "resourceRules": [
            _resources(*requests, "approvalrequests", "CREATE"),
            _resources(*requests, "approvalrequests/status", "UPDATE"),
        ]
    }
    deciding = {"resourceRules": [_resources(*requests, "approvalrequests", "UPDATE")]}
    # Only actions are held to the fence: the controller arms and voids it.
    condition = {"name": "is-an-action", "expression": f"'{_ACTIONS}' in request.userInfo.groups"}
    return [
        *_policy("kubernaut-fences", fences, FENCE_RULES, [condition]),
        *_policy("kubernaut-requesters", requesters, REQUESTER_RULES, []),
        *_policy("kubernaut-asking", asking, ASKING_RULES, []),
        *_policy("kubernaut-decisions", deciding, DECISION_RULES, []),
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
