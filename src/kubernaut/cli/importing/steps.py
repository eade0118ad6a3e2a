"""One older step, or a KubernetesExecution, as a step of today."""

import re
from collections.abc import Mapping
from typing import Any, cast

import yaml

from kubernaut.api.contract import ActionContract
from kubernaut.api.duration import from_duration, to_duration
from kubernaut.cli.importing.older import Json, Older
from kubernaut.cli.importing.vocabulary import account, action_type, input_named, input_value

Contracts = Mapping[str, ActionContract]

_CONDITIONS = "conditions of a step cannot be written yet; put a `when` or a step that checks"
_NO_HOME = {
    "rollbackSpec": "what undoes an action comes from the action itself, which saw what it changed",
    "preConditions": _CONDITIONS,
    "postConditions": _CONDITIONS,
    "approvalReceived": "an approval is never imported: it belonged to another run",
    "conditionOverrides": _CONDITIONS,
}
_SECRETS = "kubernetes/update_secret"
_SECRET_VALUES = ("data", "dataUpdates", "PATCH_JSON", "patch")
_IN_CLEAR = "a secret in clear is never written to a workflow; keep it in a Secret, and name that by secretKeyRef"
_AS_THEY_ARE = ("when", "retry", "usesWorkspace", "image")


def step_of(older: Older, number: int, contracts: Contracts) -> Json:
    """The step; `runAfter` is left to who knows the other steps."""
    known_as = older.text("actionType") or older.text("action")
    kind = action_type(known_as, contracts)
    contract = contracts.get(kind)
    step: Json = {
        "name": dns_label(older.text("name") or f"{kind.rpartition('/')[2]}-{number}"),
        "actionType": kind,
    }
    for key in _AS_THEY_ARE:
        if older.fields.get(key) is not None:
            step[key] = older.take(key)
    inputs = _inputs(older, known_as, contract)
    if inputs:
        step["inputs"] = inputs
    if contract is None:
        older.note("actionType" if "actionType" in older.fields else "action", f"{kind} is no action in the box")
    timeout = duration(older, "timeout")
    if timeout:
        step["timeout"] = timeout
    if (retries := older.take("maxRetries")) is not None:
        step["retry"] = {"limit": retries}
    for newer, key in (("critical", "criticalStep"), ("critical", "critical")):
        if (value := older.take(key)) is not None:
            step[newer] = value
    cluster = older.text("targetCluster") or older.text("cluster")
    if cluster not in ("", "local"):
        step["cluster"] = cluster
    _account(older, step, contracts)
    for key, why in _NO_HOME.items():
        if key in older.fields:
            older.lose(key, why)
    return step


def dns_label(text: str) -> str:
    """The text as a DNS label."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", text).lower()
    return re.sub(r"[^a-z0-9]+", "-", words).strip("-")[:63].strip("-") or "step"


def duration(older: Older, key: str) -> str:
    """`5m0s` -> `5m`; a number is seconds."""
    value = older.take(key)
    if value is None or value == "":
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return to_duration(value)
    try:
        return to_duration(from_duration(str(value)))
    except ValueError as error:
        older.lose(key, str(error))
        return ""


def _account(older: Older, step: Json, contracts: Contracts) -> None:
    given = older.text("serviceAccountName")
    if not given:
        return
    today = account(given, contracts)
    step["serviceAccountName"] = today or given
    if today is not None:
        older.note("serviceAccountName", f"{given} is {today} today")


def _inputs(older: Older, known_as: str, contract: ActionContract | None) -> Json:
    inputs: Json = {}
    if "inputs" in older.fields:
        given = older.take("inputs")
        if isinstance(given, dict):
            inputs.update(cast(Json, given))
    parameters = older.open("parameters")
    members = [key for key, value in parameters.fields.items() if isinstance(value, dict)]
    if len(parameters.fields) == 1 and members and not _is_input(members[0], contract):
        # A union: the one member is named like the action.
        chosen = parameters.open(members[0])
        if members[0] == "custom":
            chosen.take("actionType")
            parameters = chosen.open("config")
        else:
            parameters = chosen
    target = older.open("targetResource") if contract is not None and known_as else None
    for key in parameters.fields:
        _input(parameters, key, contract, inputs)
    _namespace_of_manifest(contract, inputs)
    if target is not None:
        _from_target(older, target, contract, inputs)
    return inputs


def _is_input(name: str, contract: ActionContract | None) -> bool:
    return contract is not None and any(parameter.name == name for parameter in contract.spec.inputs)


def _input(parameters: Older, key: str, contract: ActionContract | None, inputs: Json) -> None:
    name = input_named(key, contract)
    if contract is not None and contract.metadata.name == _SECRETS and key in _SECRET_VALUES:
        parameters.lose(key, _IN_CLEAR)
        return
    if not name:
        known = ", ".join(parameter.name for parameter in contract.spec.inputs) if contract is not None else ""
        parameters.lose(
            key, f"{contract.metadata.name if contract else 'the action'} has no such input; it has {known}"
        )
        return
    value = input_value(name, parameters.take(key))
    parameter = next((p for p in contract.spec.inputs if p.name == name), None) if contract is not None else None
    if parameter is not None and parameter.secret and not _is_reference(value):
        parameters.lose(key, _IN_CLEAR)
        return
    if parameter is not None and parameter.type in ("object", "array"):
        value = _parsed(value)
    if name != key:
        parameters.note(key, f"is {name} today")
    inputs[name] = value


def _is_reference(value: Any) -> bool:
    return isinstance(value, dict) and "secretKeyRef" in value


def _parsed(value: object) -> object:
    """What a text holds that was meant as an object: older manifests and patches were texts."""
    if not isinstance(value, str):
        return value
    try:
        found: object = yaml.safe_load(value)
    except yaml.YAMLError:
        return value
    return cast(object, found) if isinstance(found, dict | list) else value


def _namespace_of_manifest(contract: ActionContract | None, inputs: Json) -> None:
    manifest = inputs.get("manifest")
    if (
        contract is None
        or not isinstance(manifest, dict)
        or "namespace" in inputs
        or not _is_input("namespace", contract)
    ):
        return
    metadata = cast(Json, manifest).get("metadata")
    if isinstance(metadata, dict) and "namespace" in metadata:
        inputs["namespace"] = metadata["namespace"]


def _from_target(older: Older, target: Older, contract: ActionContract | None, inputs: Json) -> None:
    """The object of a KubernetesExecution fills inputs that its parameters left out."""
    for key in ("namespace", "name"):
        value = target.take(key)
        name = input_named(key, contract)
        if value is not None and name and name not in inputs:
            inputs[name] = value
    for key in ("apiVersion", "kind"):
        target.take(key)
    if (namespace := older.take("targetNamespace")) is not None:
        inputs.setdefault(input_named("namespace", contract) or "namespace", namespace)
