"""A container's environment, as the kubelet makes it. PURE given a way to look objects up.

Source of the order: k8s.io/kubernetes pkg/kubelet/kubelet_pods.go: the image's own variables, those
of the cluster, envFrom, env; later ones win, and each may refer to earlier ones.
"""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from kubernaut.devcluster.node.programs import DEFAULT_PATH, expand
from kubernaut.devcluster.objects import Object
from kubernaut.devcluster.quantities import parse_quantity
from kubernaut.devcluster.resources import CONFIG_MAPS, SECRETS
from kubernaut.devcluster.workloads.reading import part, parts

Lookup = Callable[[str, str, str], Object | None]
"""resource, namespace, name -> the object, or None."""

_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class ConfigMissing(Exception):
    """Something that the container's configuration refers to is not there (yet)."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a container is told about where it runs."""

    pod: Object
    lookup: Lookup
    node_name: str
    node_ip: str
    pod_ip: str
    cluster: Mapping[str, str]
    """KUBERNETES_SERVICE_HOST and the like."""
    allocatable: Mapping[str, str]


def environment_of(
    container: Object, image_environment: Mapping[str, str], around: Surroundings
) -> dict[str, str]:
    """Raises ConfigMissing in the kubelet's words."""
    made = {"PATH": DEFAULT_PATH, **image_environment}
    made["HOSTNAME"] = around.pod["metadata"]["name"][:63]
    made |= around.cluster
    for source in parts(container, "envFrom"):
        made |= _all_of(source, around)
    for entry in parts(container, "env"):
        value = _value_of(entry, container, made, around)
        if value is not None:
            made[entry["name"]] = value
    return made


def _all_of(source: Object, around: Surroundings) -> dict[str, str]:
    prefix = source.get("prefix") or ""
    for field, resource in (("configMapRef", CONFIG_MAPS), ("secretRef", SECRETS)):
        if (reference := source.get(field)) is not None:
            values = read_keys(resource, reference, around)
            return {f"{prefix}{key}": value.decode(errors="replace") for key, value in (values or {}).items()}
    return {}


def _value_of(entry: Object, container: Object, known: Mapping[str, str], around: Surroundings) -> str | None:
    source = entry.get("valueFrom")
    if not source:
        return expand(str(entry.get("value") or ""), known)
    if (field := source.get("fieldRef")) is not None:
        return pod_field(str(field["fieldPath"]), around)
    if (field := source.get("resourceFieldRef")) is not None:
        return resource_field(field, container, around)
    for name, resource in (("configMapKeyRef", CONFIG_MAPS), ("secretKeyRef", SECRETS)):
        if (reference := source.get(name)) is not None:
            return _key_of(resource, reference, around)
    raise ConfigMissing(f"environment variable {entry['name']}: this kind of valueFrom is not supported")


def _key_of(resource: str, reference: Object, around: Surroundings) -> str | None:
    values = read_keys(resource, reference, around)
    key = str(reference["key"])
    if values is not None and key in values:
        return values[key].decode(errors="replace")
    if reference.get("optional"):
        return None
    kind = "ConfigMap" if resource == CONFIG_MAPS else "Secret"
    where = f"{around.pod['metadata']['namespace']}/{reference['name']}"
    raise ConfigMissing(f"couldn't find key {key} in {kind} {where}")


def read_keys(resource: str, reference: Object, around: Surroundings) -> dict[str, bytes] | None:
    """The content of a ConfigMap or Secret; None when it is optional and missing."""
    name = str(reference.get("name") or reference.get("secretName"))
    found = around.lookup(resource, around.pod["metadata"]["namespace"], name)
    if found is None:
        if reference.get("optional"):
            return None
        kind = "configmap" if resource == CONFIG_MAPS else "secret"
        raise ConfigMissing(f'{kind} "{name}" not found')
    return content_of(found)


def content_of(obj: Object) -> dict[str, bytes]:
    """The keys of a ConfigMap or a Secret as bytes."""
    data: dict[str, str] = part(obj, "data")
    if obj["kind"] == "Secret":
        return {key: base64.b64decode(value) for key, value in data.items()}
    binary: dict[str, str] = part(obj, "binaryData")
    texts = {key: value.encode() for key, value in data.items()}
    return texts | {key: base64.b64decode(value) for key, value in binary.items()}


def pod_field(path: str, around: Surroundings) -> str:
    """The downward API. Raises ConfigMissing for a field that it does not offer."""
    meta, spec = around.pod["metadata"], around.pod["spec"]
    fields: dict[str, str] = {
        "metadata.name": meta["name"],
        "metadata.namespace": meta["namespace"],
        "metadata.uid": meta["uid"],
        "metadata.labels": _as_file(part(meta, "labels")),
        "metadata.annotations": _as_file(part(meta, "annotations")),
        "spec.nodeName": around.node_name,
        "spec.serviceAccountName": spec.get("serviceAccountName") or "default",
        "status.hostIP": around.node_ip,
        "status.hostIPs": around.node_ip,
        "status.podIP": around.pod_ip,
        "status.podIPs": around.pod_ip,
    }
    if path in fields:
        return fields[path]
    if (found := _SUBSCRIPT.fullmatch(path)) is not None:
        return str(part(meta, found.group(1)).get(found.group(2), ""))
    raise ConfigMissing(f"unsupported fieldPath: {path}")


def _as_file(values: Mapping[str, str]) -> str:
    quoted = ((key, value.replace("\\", "\\\\").replace('"', '\\"')) for key, value in values.items())
    return "\n".join(f'{key}="{value}"' for key, value in sorted(quoted))


def resource_field(field: Object, container: Object, around: Surroundings) -> str:
    """`limits.cpu` and the like, in whole units of the divisor; the node's own where none is set."""
    where, _, resource = str(field["resource"]).partition(".")
    asked = container
    if (name := field.get("containerName")) is not None:
        asked = next((c for c in around.pod["spec"]["containers"] if c["name"] == name), container)
    values: dict[str, str] = part(asked, "resources").get(where) or {}
    otherwise = around.allocatable.get(resource, "0") if where == "limits" else "0"
    amount = parse_quantity(values.get(resource, otherwise))
    divisor = parse_quantity(str(field.get("divisor") or "0")) or Decimal(1)
    return str(int((amount / divisor).to_integral_value(ROUND_CEILING)))
