"""Columns and cells of the builtin kinds, as k8s.io/kubernetes `pkg/printers/internalversion`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, NamedTuple

from kubernaut.devcluster.objects import Object, list_at, map_at
from kubernaut.devcluster.resources import Column
from kubernaut.devcluster.selectors import selector_text

from .durations import age_of, human_duration
from .pod_cells import pod_cells

Cells = Callable[[Object, datetime], list[Any]]


class Printer(NamedTuple):
    columns: tuple[Column, ...]
    cells: Cells


def _columns(text: str) -> tuple[Column, ...]:
    """`Name Ready/integer Wide+` : a type after a slash, a plus for `-o wide` only."""
    found: list[Column] = []
    for word in text.split():
        wide = word.endswith("+")
        name, _, kind = word.rstrip("+").partition("/")
        layout = "name" if name == "Name" else ""
        found.append(Column(name.replace("_", " "), kind or "string", priority=1 if wide else 0, format=layout))
    return tuple(found)


def _age(obj: Object, now: datetime) -> str:
    return age_of(obj["metadata"].get("creationTimestamp"), now)


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def _images(obj: Object) -> tuple[str, str]:
    containers = list_at(obj, "spec", "template", "spec", "containers")
    return ",".join(c["name"] for c in containers), ",".join(c.get("image", "") for c in containers)


def _selector(obj: Object) -> str:
    return selector_text(map_at(obj, "spec", "selector"))


def _or_none(values: Iterable[str]) -> str:
    return ",".join(values) or "<none>"


def _deployment(obj: Object, now: datetime) -> list[Any]:
    spec, status = map_at(obj, "spec"), map_at(obj, "status")
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    return [_name(obj), ready, updated, available, _age(obj, now), *_images(obj), _selector(obj)]


def _replica_set(obj: Object, now: datetime) -> list[Any]:
    status = map_at(obj, "status")
    counts = [map_at(obj, "spec").get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [_name(obj), *counts, _age(obj, now), *_images(obj), _selector(obj)]


def _stateful_set(obj: Object, now: datetime) -> list[Any]:
    ready = f"{map_at(obj, 'status').get('readyReplicas', 0)}/{map_at(obj, 'spec').get('replicas', 0)}"
    return [_name(obj), ready, _age(obj, now), *_images(obj)]


def _daemon_set(obj: Object, now: datetime) -> list[Any]:
    status = map_at(obj, "status")
    parts = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    counts = [status.get(part, 0) for part in parts]
    nodes = map_at(obj, "spec", "template", "spec", "nodeSelector")
    chosen = _or_none(f"{key}={value}" for key, value in sorted(nodes.items()))
    return [_name(obj), *counts, chosen, _age(obj, now), *_images(obj), _selector(obj)]


def _job(obj: Object, now: datetime) -> list[Any]:
    spec, status = map_at(obj, "spec"), map_at(obj, "status")
    done = status.get("succeeded", 0)
    if spec.get("completions") is not None:
        completions = f"{done}/{spec['completions']}"
    elif spec.get("parallelism", 0) > 1:
        completions = f"{done}/1 of {spec['parallelism']}"
    else:
        completions = f"{done}/1"
    duration = ""
    if status.get("startTime"):
        start = datetime.fromisoformat(status["startTime"])
        end = datetime.fromisoformat(status["completionTime"]) if status.get("completionTime") else now
        duration = human_duration((end - start).total_seconds())
    return [_name(obj), _job_status(obj), completions, duration, _age(obj, now), *_images(obj), _selector(obj)]


def _job_status(obj: Object) -> str:
    held = {c["type"] for c in list_at(obj, "status", "conditions") if c.get("status") == "True"}
    if "Complete" in held:
        return "Complete"
    if "Failed" in held:
        return "Failed"
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for word in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if word in held:
            return word
    return "Running"


def _cron_job(obj: Object, now: datetime) -> list[Any]:
    spec, status = map_at(obj, "spec"), map_at(obj, "status")
    last = status.get("lastScheduleTime")
    containers = list_at(spec, "jobTemplate", "spec", "template", "spec", "containers")
    return [
        _name(obj),
        spec.get("schedule", ""),
        spec.get("timeZone") or "<none>",
        str(bool(spec.get("suspend"))),
        len(list_at(status, "active")),
        age_of(last, now) if last else "<none>",
        _age(obj, now),
        ",".join(c["name"] for c in containers),
        ",".join(c.get("image", "") for c in containers),
        selector_text(map_at(spec, "jobTemplate", "spec", "selector")),
    ]


def _service(obj: Object, now: datetime) -> list[Any]:
    spec = map_at(obj, "spec")
    ports = [
        f"{port['port']}{':' + str(port['nodePort']) if port.get('nodePort') else ''}/{port.get('protocol')}"
        for port in list_at(spec, "ports")
    ]
    external = "<pending>" if spec.get("type") == "LoadBalancer" else _or_none(list_at(spec, "externalIPs"))
    if spec.get("type") == "ExternalName":
        external = spec.get("externalName", "")
    selector = _or_none(f"{key}={value}" for key, value in sorted(map_at(spec, "selector").items()))
    address = spec.get("clusterIP") or "<none>"
    return [_name(obj), spec.get("type"), address, external, _or_none(ports), _age(obj, now), selector]


def _node(obj: Object, now: datetime) -> list[Any]:
    status = map_at(obj, "status")
    ready = next((c for c in list_at(status, "conditions") if c.get("type") == "Ready"), None)
    words = ["Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"]
    if map_at(obj, "spec").get("unschedulable"):
        words.append("SchedulingDisabled")
    prefix = "node-role.kubernetes.io/"
    labels = map_at(obj, "metadata", "labels")
    roles = sorted(key.removeprefix(prefix) for key in labels if key.startswith(prefix))
    addresses = {a["type"]: a["address"] for a in list_at(status, "addresses")}
    about = map_at(status, "nodeInfo")
    return [
        _name(obj),
        ",".join(words),
        _or_none(roles),
        _age(obj, now),
        about.get("kubeletVersion", ""),
        addresses.get("InternalIP", "<none>"),
        addresses.get("ExternalIP", "<none>"),
        about.get("osImage") or "<unknown>",
        about.get("kernelVersion") or "<unknown>",
        about.get("containerRuntimeVersion") or "<unknown>",
    ]


def _event(obj: Object, now: datetime) -> list[Any]:
    involved = map_at(obj, "involvedObject")
    first = obj.get("firstTimestamp") or obj.get("eventTime")
    last = map_at(obj, "series").get("lastObservedTime") or obj.get("lastTimestamp") or first
    target = str(involved.get("kind", "")).lower()
    if involved.get("name"):
        target += f"/{involved['name']}"
    source = map_at(obj, "source").get("component") or obj.get("reportingComponent", "")
    return [
        age_of(last, now),
        obj.get("type", ""),
        obj.get("reason", ""),
        target,
        involved.get("fieldPath", ""),
        source,
        str(obj.get("message", "")).strip(),
        age_of(first, now),
        obj.get("count", 1),
        _name(obj),
    ]


def _claim(obj: Object, now: datetime) -> list[Any]:
    spec, status = map_at(obj, "spec"), map_at(obj, "status")
    phase = "Terminating" if obj["metadata"].get("deletionTimestamp") else status.get("phase", "")
    capacity, modes = "", ""
    if spec.get("volumeName"):
        capacity = map_at(status, "capacity").get("storage", "")
        modes = _modes(list_at(status, "accessModes"))
    kind = spec.get("storageClassName", "")
    volume = spec.get("volumeName", "")
    wide = ["<unset>", _age(obj, now), spec.get("volumeMode", "")]
    return [_name(obj), phase, volume, capacity, modes, kind, *wide]


def _modes(modes: list[str]) -> str:
    short = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
    return ",".join(short.get(mode, mode) for mode in modes)


def _volume(obj: Object, now: datetime) -> list[Any]:
    spec, status = map_at(obj, "spec"), map_at(obj, "status")
    claim = map_at(spec, "claimRef")
    return [
        _name(obj),
        map_at(spec, "capacity").get("storage", ""),
        _modes(list_at(spec, "accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""),
        "Terminating" if obj["metadata"].get("deletionTimestamp") else status.get("phase", ""),
        f"{claim['namespace']}/{claim['name']}" if claim else "",
        spec.get("storageClassName", ""),
        "<unset>",
        status.get("reason", ""),
        _age(obj, now),
        spec.get("volumeMode", ""),
    ]


def _binding(obj: Object, now: datetime) -> list[Any]:
    named: dict[str, list[str]] = {"User": [], "Group": [], "ServiceAccount": []}
    for subject in list_at(obj, "subjects"):
        text = str(subject["name"])
        if subject["kind"] == "ServiceAccount":
            text = f"{subject.get('namespace', '')}/{text}"
        named.setdefault(str(subject["kind"]), []).append(text)
    role = f"{obj['roleRef']['kind']}/{obj['roleRef']['name']}"
    who = [", ".join(named[kind]) for kind in ("User", "Group", "ServiceAccount")]
    return [_name(obj), role, _age(obj, now), *who]


def _budget(obj: Object, now: datetime) -> list[Any]:
    spec = map_at(obj, "spec")
    least, most = spec.get("minAvailable", "N/A"), spec.get("maxUnavailable", "N/A")
    allowed = map_at(obj, "status").get("disruptionsAllowed", 0)
    return [_name(obj), str(least), str(most), allowed, _age(obj, now)]


def _autoscaler(obj: Object, now: datetime) -> list[Any]:
    spec = map_at(obj, "spec")
    target = map_at(spec, "scaleTargetRef")
    targets: list[str] = []
    for metric in list_at(spec, "metrics"):
        resource = map_at(metric, "resource")
        wanted = map_at(resource, "target").get("averageUtilization")
        if resource:
            targets.append(f"{resource.get('name')}: <unknown>/{wanted}%")
    return [
        _name(obj),
        f"{target.get('kind')}/{target.get('name')}",
        ", ".join(targets) or "<none>",
        str(spec.get("minReplicas", "<unset>")),
        spec.get("maxReplicas"),
        map_at(obj, "status").get("currentReplicas", 0),
        _age(obj, now),
    ]


def _quota(obj: Object, now: datetime) -> list[Any]:
    hard, used = map_at(obj, "status", "hard") or map_at(obj, "spec", "hard"), map_at(obj, "status", "used")
    texts = {key: f"{key}: {used.get(key, 0)}/{value}" for key, value in sorted(hard.items())}
    limits = ", ".join(text for key, text in texts.items() if key.startswith("limits"))
    others = ", ".join(text for key, text in texts.items() if not key.startswith("limits"))
    return [_name(obj), others, limits, _age(obj, now)]


def _storage_class(obj: Object, now: datetime) -> list[Any]:
    mark = map_at(obj, "metadata", "annotations").get("storageclass.kubernetes.io/is-default-class")
    name = f"{_name(obj)} (default)" if mark == "true" else _name(obj)
    return [
        name,
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"),
        bool(obj.get("allowVolumeExpansion")),
        _age(obj, now),
    ]


def _policy(obj: Object, now: datetime) -> list[Any]:
    spec = map_at(obj, "spec")
    kind = map_at(spec, "paramKind")
    params = f"{kind.get('apiVersion')}/{kind.get('kind')}" if kind else "<unset>"
    return [_name(obj), len(list_at(spec, "validations")), params, _age(obj, now)]


def _policy_binding(obj: Object, now: datetime) -> list[Any]:
    spec = map_at(obj, "spec")
    reference = map_at(spec, "paramRef")
    params = f"{reference.get('namespace', '*')}/{reference.get('name', '*')}" if reference else "<unset>"
    return [_name(obj), spec.get("policyName", ""), params, _age(obj, now)]


def _priority(obj: Object, now: datetime) -> list[Any]:
    parts = [obj.get("value", 0), bool(obj.get("globalDefault"))]
    return [_name(obj), *parts, _age(obj, now), obj.get("preemptionPolicy", "")]


def _template(columns: str, *parts: Callable[[Object], Any]) -> Printer:
    """Name, simple parts, age."""

    def cells(obj: Object, now: datetime) -> list[Any]:
        return [_name(obj), *(part(obj) for part in parts), _age(obj, now)]

    return Printer(_columns(columns), cells)


def _size(*parts: str) -> Callable[[Object], int]:
    return lambda obj: sum(len(obj.get(part) or ()) for part in parts)


def _created(obj: Object, _now: datetime) -> list[Any]:
    return [_name(obj), obj["metadata"].get("creationTimestamp")]


def _revision(obj: Object, now: datetime) -> list[Any]:
    return [_name(obj), "<none>", obj.get("revision", 0), _age(obj, now)]


_CREATED = Printer(_columns("Name Created_At/date"), _created)
_TEMPLATE_WIDE = "Containers+ Images+ Selector+"

PRINTERS: dict[str, Printer] = {
    "pods": Printer(
        _columns("Name Ready Status Restarts Age IP+ Node+ Nominated_Node+ Readiness_Gates+"),
        pod_cells,
    ),
    "deployments.apps": Printer(_columns(f"Name Ready Up-to-date Available Age {_TEMPLATE_WIDE}"), _deployment),
    "replicasets.apps": Printer(
        _columns(f"Name Desired/integer Current/integer Ready/integer Age {_TEMPLATE_WIDE}"), _replica_set
    ),
    "statefulsets.apps": Printer(_columns("Name Ready Age Containers+ Images+"), _stateful_set),
    "daemonsets.apps": Printer(
        _columns(
            "Name Desired/integer Current/integer Ready/integer Up-to-date/integer Available/integer "
            f"Node_Selector Age {_TEMPLATE_WIDE}"
        ),
        _daemon_set,
    ),
    "controllerrevisions.apps": Printer(
        _columns("Name Controller Revision/integer Age"),
        _revision,
    ),
    "jobs.batch": Printer(_columns(f"Name Status Completions Duration Age {_TEMPLATE_WIDE}"), _job),
    "cronjobs.batch": Printer(
        _columns(f"Name Schedule Timezone Suspend/boolean Active/integer Last_Schedule Age {_TEMPLATE_WIDE}"),
        _cron_job,
    ),
    "services": Printer(_columns("Name Type Cluster-IP External-IP Port(s) Age Selector+"), _service),
    "nodes": Printer(
        _columns(
            "Name Status Roles Age Version Internal-IP+ External-IP+ OS-Image+ Kernel-Version+ Container-Runtime+"
        ),
        _node,
    ),
    "events": Printer(
        _columns("Last_Seen Type Reason Object Subobject+ Source+ Message First_Seen+ Count+ Name+"),
        _event,
    ),
    "persistentvolumeclaims": Printer(
        _columns("Name Status Volume Capacity Access_Modes StorageClass VolumeAttributesClass Age VolumeMode+"),
        _claim,
    ),
    "persistentvolumes": Printer(
        _columns(
            "Name Capacity Access_Modes Reclaim_Policy Status Claim StorageClass VolumeAttributesClass "
            "Reason Age VolumeMode+"
        ),
        _volume,
    ),
    "namespaces": _template("Name Status Age", lambda obj: map_at(obj, "status").get("phase", "")),
    "configmaps": _template("Name Data Age", _size("data", "binaryData")),
    "secrets": _template("Name Type Data Age", lambda obj: obj.get("type", ""), _size("data")),
    "serviceaccounts": _template("Name Age"),
    "endpoints": _template("Name Endpoints Age", lambda _obj: "<none>"),
    "resourcequotas": Printer(_columns("Name Request Limit Age"), _quota),
    "limitranges": _CREATED,
    "leases.coordination.k8s.io": _template(
        "Name Holder Age", lambda obj: map_at(obj, "spec").get("holderIdentity", "")
    ),
    "roles.rbac.authorization.k8s.io": _CREATED,
    "clusterroles.rbac.authorization.k8s.io": _CREATED,
    "rolebindings.rbac.authorization.k8s.io": Printer(
        _columns("Name Role Age Users+ Groups+ ServiceAccounts+"), _binding
    ),
    "clusterrolebindings.rbac.authorization.k8s.io": Printer(
        _columns("Name Role Age Users+ Groups+ ServiceAccounts+"), _binding
    ),
    "networkpolicies.networking.k8s.io": _template(
        "Name Pod-Selector Age", lambda obj: selector_text(map_at(obj, "spec", "podSelector"))
    ),
    "poddisruptionbudgets.policy": Printer(
        _columns("Name Min_Available Max_Unavailable Allowed_Disruptions/integer Age"), _budget
    ),
    "horizontalpodautoscalers.autoscaling": Printer(
        _columns("Name Reference Targets MinPods MaxPods Replicas Age"), _autoscaler
    ),
    "storageclasses.storage.k8s.io": Printer(
        _columns("Name Provisioner ReclaimPolicy VolumeBindingMode AllowVolumeExpansion Age"), _storage_class
    ),
    "priorityclasses.scheduling.k8s.io": Printer(
        _columns("Name Value/integer Global-Default/boolean Age PreemptionPolicy"), _priority
    ),
    "validatingadmissionpolicies.admissionregistration.k8s.io": Printer(
        _columns("Name Validations/integer ParamKind Age"), _policy
    ),
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": Printer(
        _columns("Name PolicyName ParamRef Age"), _policy_binding
    ),
    "customresourcedefinitions.apiextensions.k8s.io": _CREATED,
}
PRINTERS["events.events.k8s.io"] = PRINTERS["events"]
