"""The admission plugins that are always on. Validating policies and webhooks join the store's lists."""

from __future__ import annotations

from .errors import Forbidden
from .metadata import generated_name
from .objects import Object, list_at, map_at
from .resources import PERSISTENT_VOLUME_CLAIMS, PODS, SERVICE_ACCOUNTS, STORAGE_CLASSES
from .store import Attributes

_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_TOLERATED_SECONDS = 300
_TOLERATED = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def service_account(attributes: Attributes) -> None:
    """Pods run as an account that exists. Raises Forbidden."""
    pod = _new_object(attributes, PODS)
    if pod is None:
        return
    spec = pod["spec"]
    name = spec.get("serviceAccountName") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    if attributes.store.ledger.get(SERVICE_ACCOUNTS, (attributes.namespace, name)) is None:
        raise Forbidden(
            f'pods "{attributes.name}" is forbidden: error looking up service account '
            f'{attributes.namespace}/{name}: serviceaccount "{name}" not found',
            {"name": attributes.name, "kind": "pods"},
        )
    account = attributes.store.ledger.get(SERVICE_ACCOUNTS, (attributes.namespace, name))
    wanted = spec.get("automountServiceAccountToken")
    if wanted is None and account is not None:
        wanted = account.object.get("automountServiceAccountToken")
    if wanted is not False:
        _mount_token(spec)


def _mount_token(spec: Object) -> None:
    """The volume with token, certificate and namespace, in every container that has not its own."""
    containers = [*list_at(spec, "initContainers"), *list_at(spec, "containers")]
    lacking = [
        container
        for container in containers
        if all(mount.get("mountPath") != _TOKEN_PATH for mount in list_at(container, "volumeMounts"))
    ]
    if not lacking:
        return
    name = generated_name("kube-api-access-")
    for container in lacking:
        mounts = container.setdefault("volumeMounts", [])
        mounts.append({"name": name, "readOnly": True, "mountPath": _TOKEN_PATH})
    field = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    sources = [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}},
    ]
    volumes = spec.setdefault("volumes", [])
    volumes.append({"name": name, "projected": {"sources": sources, "defaultMode": 420}})


def priority(attributes: Attributes) -> None:
    """Pods get the number behind their priority class. Raises Forbidden."""
    pod = _new_object(attributes, PODS)
    if pod is None:
        return
    spec = pod["spec"]
    name = spec.get("priorityClassName")
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    if not name:
        spec.setdefault("priority", 0)
        return
    system = {"system-node-critical": 2000001000, "system-cluster-critical": 2000000000}
    if name in system:
        spec["priority"] = system[name]
        return
    record = attributes.store.ledger.get("priorityclasses.scheduling.k8s.io", ("", name))
    if record is None:
        raise Forbidden(
            f'pods "{attributes.name}" is forbidden: no PriorityClass with name {name} was found',
            {"name": attributes.name, "kind": "pods"},
        )
    spec["priority"] = record.object.get("value", 0)


def default_tolerations(attributes: Attributes) -> None:
    """Pods stay for five minutes on a node that is lost."""
    pod = _new_object(attributes, PODS)
    if pod is None:
        return
    held = pod["spec"].setdefault("tolerations", [])
    for key in _TOLERATED:
        if not any(t.get("key") in (key, None) and t.get("effect") in ("NoExecute", None) for t in held):
            held.append(
                {
                    "key": key,
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": _TOLERATED_SECONDS,
                }
            )


def default_storage_class(attributes: Attributes) -> None:
    claim = _new_object(attributes, PERSISTENT_VOLUME_CLAIMS)
    if claim is None or "storageClassName" in claim["spec"]:
        return
    for record in attributes.store.ledger.records(STORAGE_CLASSES):
        if map_at(record.object, "metadata", "annotations").get(_DEFAULT_CLASS) == "true":
            claim["spec"]["storageClassName"] = record.object["metadata"]["name"]


def _new_object(attributes: Attributes, key: str) -> Object | None:
    if attributes.operation == "CREATE" and attributes.resource.key == key:
        return attributes.object
    return None
