"""Whether a node is of the kind that a pod asks for: its selector and its required affinity. PURE."""

from collections.abc import Mapping

from kubernaut.devcluster.objects import Object, labels_of
from kubernaut.devcluster.workloads.reading import items, part, parts


def suits(pod_spec: Object, node: Object) -> bool:
    """Labels and names only; taints and room are another matter."""
    wanted: Mapping[str, str] = part(pod_spec, "nodeSelector")
    return wanted.items() <= labels_of(node).items() and _likes(pod_spec, node)


def _likes(pod_spec: Object, node: Object) -> bool:
    affinity = part(pod_spec, "affinity", "nodeAffinity")
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    return any(_term_holds(term, node) for term in parts(required, "nodeSelectorTerms"))


def _term_holds(term: Object, node: Object) -> bool:
    labels, fields = labels_of(node), {"metadata.name": node["metadata"]["name"]}
    rules = [(rule, labels) for rule in parts(term, "matchExpressions")]
    rules += [(rule, fields) for rule in parts(term, "matchFields")]
    return bool(rules) and all(_rule_holds(rule, values) for rule, values in rules)


def _rule_holds(rule: Object, have: Mapping[str, str]) -> bool:
    value, values = have.get(rule["key"]), items(rule, "values")
    match rule["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt":
            return value is not None and value.isdigit() and int(value) > int(values[0])
        case _:  # Lt
            return value is not None and value.isdigit() and int(value) < int(values[0])
