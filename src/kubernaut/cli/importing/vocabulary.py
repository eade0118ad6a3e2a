"""What actions, their parameters and their accounts were called, and what they are called today."""

import re
from collections.abc import Iterable
from typing import cast

from kubernaut.api import names
from kubernaut.api.contract import ActionContract
from kubernaut.api.duration import from_duration

_OLDER_ACTIONS = {
    "apply_configmap": "update_configmap",
    "collect_logs": "collect_diagnostics",
    "cordon": "cordon_node",
    "drain": "drain_node",
    "patch_config_map": "update_configmap",
    "patch_configmap": "update_configmap",
    "patch_secret": "update_secret",
    "restart": "restart_deployment",
    "rollback": "rollback_deployment",
    "rollout_restart": "restart_deployment",
    "scale": "scale_deployment",
    "scale_stateful_set": "scale_statefulset",
    "uncordon": "uncordon_node",
    "update_config": "update_configmap",
    "update_config_map": "update_configmap",
    "update_image": "patch_deployment",
    "update_resource_limits": "increase_resources",
    "verify_deployment": "rollout_status",
}

_OBJECT_NAMES = """
deployment deploymentName resourceName name statefulSet statefulset statefulsetName pod podName node nodeName
configMap configmap configMapName configmapName secret secretName hpa autoscaler daemonset
"""
_SAME = (
    frozenset(_OBJECT_NAMES.split()),
    frozenset({"namespace", "targetNamespace"}),
    frozenset({"gracePeriod", "gracePeriodSeconds"}),
    frozenset({"selector", "labelSelector"}),
    frozenset({"container", "containerName"}),
    frozenset({"image", "newImage"}),
    frozenset({"operations", "patchJson"}),
    frozenset({"data", "dataUpdates", "set"}),
    frozenset({"ignoreDaemonSets", "ignoreDaemonsets"}),
    frozenset({"deleteLocalData", "deleteEmptydirData", "deleteEmptyDirData"}),
    frozenset({"manifest", "manifests"}),
    frozenset({"resourceType", "kind"}),
)

ACCOUNT = re.compile(r"^kubernaut-(?P<short>[a-z0-9-]+)-action-sa$")


def action_type(older: str, known: Iterable[str]) -> str:
    """`ScaleDeployment`, `scale-deployment`, `scale_deployment` -> `kubernetes/scale_deployment`."""
    if older in known:
        return older
    domain, slash, name = older.rpartition("/")
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()
    words = re.sub(r"[^a-z0-9_]", "_", words).strip("_") or "unknown"
    candidate = f"kubernetes/{_OLDER_ACTIONS.get(words, words)}"
    return candidate if not slash or candidate in known else f"{domain.lower()}/{name.lower()}"


def account(older: str, actions: Iterable[str]) -> str | None:
    """`kubernaut-scale-action-sa` -> `scale-deployment-sa`; None where it is none, or unclear whose."""
    found = ACCOUNT.match(older)
    if found is None:
        return None
    short = found["short"]
    translated = action_type(short, actions)
    if translated in set(actions):
        return f"{names.short_type(translated)}-sa"
    fitting = [name for name in actions if names.short_type(name).startswith(f"{short}-")]
    return f"{names.short_type(fitting[0])}-sa" if len(fitting) == 1 else None


def input_named(older: str, contract: ActionContract | None) -> str:
    """What the contract calls it; the older name in camelCase where nobody knows."""
    camel = _camel(older)
    if contract is None:
        return camel
    declared = [parameter.name for parameter in contract.spec.inputs]
    if camel in declared:
        return camel
    for group in _SAME:
        if camel in group:
            return next((name for name in declared if name in group), "")
    return ""


def input_value(name: str, value: object) -> object:
    """Values that were written differently: durations for seconds, maps for selectors."""
    as_it_was = value
    if name == "gracePeriodSeconds" and isinstance(value, str):
        try:
            return int(from_duration(value))
        except ValueError:
            return value
    if name == "labelSelector" and isinstance(value, dict):
        labels = cast("dict[str, object]", value)
        plain = labels.get("matchLabels", labels)
        if isinstance(plain, dict) and "matchExpressions" not in labels:
            pairs = cast("dict[str, object]", plain)
            return ",".join(f"{key}={item}" for key, item in pairs.items())
    return as_it_was


def _camel(name: str) -> str:
    if name.isupper():
        name = name.lower()
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)
