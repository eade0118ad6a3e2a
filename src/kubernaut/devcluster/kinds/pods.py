"""Pods, and the pod templates of workloads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kubernaut.devcluster.errors import Fault
from kubernaut.devcluster.metadata import (
    dns_label,
    dns_subdomain,
    duplicate,
    forbidden,
    invalid,
    label_faults,
    not_found,
    required,
    unsupported,
)
from kubernaut.devcluster.objects import Object, copied, is_map, list_at, map_at
from kubernaut.devcluster.quantities import parse_quantity

from .rules import BuiltinRules

_ENV_NAME = re.compile(r"[ -<>-~]+")
_GRACE_AT_LEAST = 1


class PodRules(BuiltinRules):
    def __init__(self) -> None:
        super().__init__("Pod", has_status=True)

    def default(self, obj: Object) -> None:
        super().default(obj)
        spec = obj.setdefault("spec", {})
        default_pod_spec(spec)
        # Only pods themselves, never templates, get these.
        spec.setdefault("enableServiceLinks", True)
        for container in (*list_at(spec, "initContainers"), *list_at(spec, "containers")):
            resources = map_at(container, "resources")
            limits = map_at(resources, "limits")
            if limits:
                resources["requests"] = {**limits, **map_at(resources, "requests")}
        grace = spec.get("terminationGracePeriodSeconds")
        if isinstance(grace, int) and grace < 0:
            spec["terminationGracePeriodSeconds"] = _GRACE_AT_LEAST

    def prepare_create(self, obj: Object) -> None:
        status: Object = {"phase": "Pending", "qosClass": quality_of_service(obj["spec"])}
        obj["status"] = status
        if list_at(obj, "spec", "schedulingGates"):
            gated: Object = {
                "type": "PodScheduled",
                "status": "False",
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
                "lastProbeTime": None,
                "lastTransitionTime": None,
            }
            status["conditions"] = [gated]

    def validate(self, obj: Object) -> Iterable[Fault]:
        yield from super().validate(obj)
        yield from pod_spec_faults(obj.get("spec") or {}, "spec")

    def validate_update(self, new: Object, old: Object) -> Iterable[Fault]:
        bound = old["spec"].get("nodeName")
        moved = bool(bound) and new["spec"].get("nodeName") != bound
        if moved or _without_mutable(new["spec"]) != _without_mutable(old["spec"]):
            yield forbidden(
                "spec",
                "pod updates may not change fields other than `spec.containers[*].image`,"
                "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` "
                "(only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "
                "(allow it to be set to 1 if it was previously negative)",
            )

    def grace_period(self, obj: Object, asked: int | None) -> int:
        if not obj["spec"].get("nodeName"):
            return 0
        if map_at(obj, "status").get("phase") in ("Succeeded", "Failed"):
            return 0
        seconds = obj["spec"].get("terminationGracePeriodSeconds", 30) if asked is None else asked
        # A negative period means "as short as possible", which still lets the node notice.
        return seconds if seconds >= 0 else _GRACE_AT_LEAST


def default_pod_spec(spec: Object) -> None:
    for container in (*list_at(spec, "initContainers"), *list_at(spec, "containers")):
        if not is_map(container):
            continue
        image = str(container.get("image") or "")
        container.setdefault("imagePullPolicy", "Always" if _is_latest(image) else "IfNotPresent")
    if "serviceAccountName" in spec or "serviceAccount" in spec:
        name = spec.get("serviceAccountName") or spec.get("serviceAccount")
        spec["serviceAccountName"] = spec["serviceAccount"] = name
    for volume in list_at(spec, "volumes"):
        # A volume without any source is an emptyDir.
        if is_map(volume) and set(volume) <= {"name"}:
            volume["emptyDir"] = {}


def _is_latest(image: str) -> bool:
    if "@" in image:
        return False
    tag = image.rpartition("/")[2].partition(":")[2]
    return tag in ("", "latest")


def quality_of_service(spec: Object) -> str:
    """The pod's qosClass."""
    requests: list[Object] = []
    limits: list[Object] = []
    for container in (*list_at(spec, "initContainers"), *list_at(spec, "containers")):
        requests.append(map_at(container, "resources", "requests"))
        limits.append(map_at(container, "resources", "limits"))
    asked = [held for held in (*requests, *limits) if held.get("cpu") or held.get("memory")]
    if not asked:
        return "BestEffort"
    for request, limit in zip(requests, limits, strict=True):
        for part in ("cpu", "memory"):
            bound = limit.get(part)
            if not bound or parse_quantity(bound) != parse_quantity(request.get(part) or bound):
                return "Burstable"
    return "Guaranteed"


def template_faults(template: Object, path: str) -> Iterator[Fault]:
    """Of a workload's pod template, beyond its shape."""
    yield from label_faults(map_at(template, "metadata", "labels"), f"{path}.labels")
    spec = map_at(template, "spec")
    if not list_at(spec, "containers"):
        yield required(f"{path}.spec.containers")
    yield from pod_spec_faults(spec, f"{path}.spec")


def pod_spec_faults(spec: Object, path: str) -> Iterator[Fault]:
    volumes = _volume_names(spec)
    yield from _volume_faults(spec, path)
    names: set[str] = set()
    for part in ("initContainers", "containers"):
        for index, container in enumerate(list_at(spec, part)):
            at = f"{path}.{part}[{index}]"
            name = str(container.get("name") or "")
            if name and part == "containers" and name in _names(spec, "initContainers"):
                yield duplicate(f"{at}.name", name)
            names.add(name)
            yield from _container_faults(container, at, volumes)
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= 2**31 - 1:
        yield invalid(f"{path}.activeDeadlineSeconds", deadline, "must be between 1 and 2147483647, inclusive")
    for part in ("serviceAccountName", "nodeName"):
        if spec.get(part):
            for words in dns_subdomain(spec[part]):
                yield invalid(f"{path}.{part}", spec[part], words)


def _names(spec: Object, part: str) -> set[str]:
    return {container.get("name", "") for container in list_at(spec, part)}


def _volume_names(spec: Object) -> set[str]:
    return {volume.get("name", "") for volume in list_at(spec, "volumes")}


def _volume_faults(spec: Object, path: str) -> Iterator[Fault]:
    for index, volume in enumerate(list_at(spec, "volumes")):
        at = f"{path}.volumes[{index}]"
        name = volume.get("name") or ""
        if name:
            for words in dns_label(name):
                yield invalid(f"{at}.name", name, words)
        sources = [part for part in volume if part != "name"]
        if not sources:
            yield required(at, "must specify a volume type")
        for extra in sources[1:]:
            yield forbidden(f"{at}.{extra}", "may not specify more than 1 volume type")


def _container_faults(container: Object, at: str, volumes: set[str]) -> Iterator[Fault]:
    name = container.get("name") or ""
    if name:
        for words in dns_label(name):
            yield invalid(f"{at}.name", name, words)
    if not container.get("image"):
        yield required(f"{at}.image")
    elif container["image"] != container["image"].strip():
        yield invalid(f"{at}.image", container["image"], "must not have leading or trailing whitespace")
    for index, variable in enumerate(list_at(container, "env")):
        named = variable.get("name") or ""
        if named and not _ENV_NAME.fullmatch(named):
            yield invalid(
                f"{at}.env[{index}].name",
                named,
                "a valid environment variable name must consist only of printable ASCII characters other than '='",
            )
        if variable.get("value") and variable.get("valueFrom"):
            yield invalid(f"{at}.env[{index}].valueFrom", "", "may not be specified when `value` is not empty")
    yield from _mount_faults(container, at, volumes)
    yield from _port_faults(container, at)
    yield from _resource_faults(map_at(container, "resources"), f"{at}.resources")


def _mount_faults(container: Object, at: str, volumes: set[str]) -> Iterator[Fault]:
    paths: set[str] = set()
    for index, mount in enumerate(list_at(container, "volumeMounts")):
        here = f"{at}.volumeMounts[{index}]"
        if mount.get("name") and mount["name"] not in volumes:
            yield not_found(f"{here}.name", mount["name"])
        path = mount.get("mountPath")
        if path in paths:
            yield invalid(f"{here}.mountPath", path, "must be unique")
        paths.add(str(path))


def _port_faults(container: Object, at: str) -> Iterator[Fault]:
    for index, port in enumerate(list_at(container, "ports")):
        number = port.get("containerPort")
        if number is not None and not 1 <= number <= 65535:
            yield invalid(f"{at}.ports[{index}].containerPort", number, "must be between 1 and 65535, inclusive")


def _resource_faults(resources: Object, at: str) -> Iterator[Fault]:
    limits = map_at(resources, "limits")
    for part in ("limits", "requests"):
        for name, amount in map_at(resources, part).items():
            if parse_quantity(amount) < 0:
                yield invalid(f"{at}.{part}[{name}]", amount, "must be greater than or equal to 0")
            if part == "requests" and name in limits:
                bound = limits[name]
                if parse_quantity(amount) > parse_quantity(bound):
                    yield invalid(
                        f"{at}.requests", amount, f"must be less than or equal to {name} limit of {bound}"
                    )


def restart_policy_faults(spec: Object, path: str) -> Iterator[Fault]:
    """Workloads that keep pods running allow only Always."""
    policy = map_at(spec, "template", "spec").get("restartPolicy")
    if policy and policy != "Always":
        yield unsupported(f"{path}.template.spec.restartPolicy", policy, ("Always",))
    if map_at(spec, "template", "spec").get("activeDeadlineSeconds") is not None:
        yield forbidden(
            f"{path}.template.spec.activeDeadlineSeconds",
            "activeDeadlineSeconds in ReplicaSet is not Supported",
        )


def _without_mutable(spec: Object) -> Object:
    fixed = copied(spec)
    for part in ("initContainers", "containers"):
        for container in list_at(fixed, part):
            container.pop("image", None)
    for part in (
        "activeDeadlineSeconds",
        "tolerations",
        "terminationGracePeriodSeconds",
        "nodeName",
        "schedulingGates",
        "ephemeralContainers",
    ):
        fixed.pop(part, None)
    return fixed
