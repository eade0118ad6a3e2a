"""core/v1 without pods."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterable, Iterator

from kubernaut.devcluster.errors import Fault
from kubernaut.devcluster.metadata import (
    dns_label,
    forbidden,
    immutable,
    invalid,
    required,
    too_long,
)
from kubernaut.devcluster.objects import Object, is_map, list_at, map_at
from kubernaut.devcluster.quantities import parse_quantity

from .rules import BuiltinRules

_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_KEY_WORDS = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
    "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_SIZE_LIMIT = 1024 * 1024


def _key_faults(obj: Object, part: str) -> Iterator[Fault]:
    for key in map_at(obj, part):
        if not _KEY.fullmatch(key) or key in (".", ".."):
            yield invalid(f"{part}[{key}]", key, _KEY_WORDS)


def _immutable_faults(new: Object, old: Object, parts: tuple[str, ...]) -> Iterator[Fault]:
    if not old.get("immutable"):
        return
    if not new.get("immutable"):
        yield forbidden("immutable", "field is immutable when `immutable` is set")
    for part in parts:
        if map_at(new, part) != map_at(old, part):
            yield forbidden(part, "field is immutable when `immutable` is set")


class ConfigMapRules(BuiltinRules):
    def __init__(self) -> None:
        super().__init__("ConfigMap")

    def validate(self, obj: Object) -> Iterable[Fault]:
        yield from super().validate(obj)
        data, binary = map_at(obj, "data"), map_at(obj, "binaryData")
        for key in binary:
            if key in data:
                yield invalid("binaryData", key, "duplicate of key present in data")
        yield from _key_faults(obj, "data")
        yield from _key_faults(obj, "binaryData")
        size = sum(len(text.encode()) for text in data.values())
        size += sum(len(base64.b64decode(text)) for text in binary.values())
        if size > _SIZE_LIMIT:
            yield too_long("", _SIZE_LIMIT)

    def validate_update(self, new: Object, old: Object) -> Iterable[Fault]:
        return _immutable_faults(new, old, ("data", "binaryData"))


class SecretRules(BuiltinRules):
    _required_keys = {
        "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
        "kubernetes.io/tls": ("tls.crt", "tls.key"),
        "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    }

    def __init__(self) -> None:
        super().__init__("Secret")

    def default(self, obj: Object) -> None:
        super().default(obj)
        plain = obj.pop("stringData", None)
        if is_map(plain):
            data = obj.setdefault("data", {})
            for key, text in plain.items():
                data[key] = base64.b64encode(str(text).encode()).decode()

    def validate(self, obj: Object) -> Iterable[Fault]:
        yield from super().validate(obj)
        yield from _key_faults(obj, "data")
        data = map_at(obj, "data")
        if sum(len(base64.b64decode(text)) for text in data.values()) > _SIZE_LIMIT:
            yield too_long("data", _SIZE_LIMIT)
        for key in self._required_keys.get(str(obj.get("type")), ()):
            if key not in data:
                yield required(f"data[{key}]")

    def validate_update(self, new: Object, old: Object) -> Iterable[Fault]:
        if new.get("type") != old.get("type"):
            yield immutable("type", new.get("type"))
        yield from _immutable_faults(new, old, ("data",))


class NamespaceRules(BuiltinRules):
    def __init__(self) -> None:
        super().__init__("Namespace", has_status=True)

    def prepare_create(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        spec["finalizers"] = sorted({*list_at(spec, "finalizers"), "kubernetes"})
        obj["status"] = {"phase": "Active"}
        self._label(obj)

    def prepare_update(self, new: Object, old: Object) -> None:
        super().prepare_update(new, old)
        new["spec"] = old.get("spec", {})
        self._label(new)

    def prepare_status(self, new: Object, old: Object) -> None:
        # The `finalize` subresource writes spec.finalizers and goes this way as well.
        pass

    def holds_on(self, obj: Object) -> bool:
        return bool(list_at(obj, "spec", "finalizers"))

    def mark_deleting(self, obj: Object) -> None:
        obj["metadata"].pop("deletionGracePeriodSeconds", None)
        obj.setdefault("status", {})["phase"] = "Terminating"

    @staticmethod
    def _label(obj: Object) -> None:
        metadata = obj["metadata"]
        metadata.setdefault("labels", {})["kubernetes.io/metadata.name"] = metadata.get("name", "")


class ServiceRules(BuiltinRules):
    def __init__(self) -> None:
        super().__init__("Service", has_status=True)

    def default(self, obj: Object) -> None:
        super().default(obj)
        spec = obj.setdefault("spec", {})
        spec.setdefault("type", "ClusterIP")
        spec.setdefault("sessionAffinity", "None")
        for port in list_at(spec, "ports"):
            if is_map(port) and "port" in port:
                port.setdefault("targetPort", port["port"])
        if spec["type"] != "ExternalName":
            spec.setdefault("ipFamilies", ["IPv4"])
            spec.setdefault("ipFamilyPolicy", "SingleStack")
            spec.setdefault("internalTrafficPolicy", "Cluster")
        if spec["type"] in ("NodePort", "LoadBalancer"):
            spec.setdefault("externalTrafficPolicy", "Cluster")
        if spec["type"] == "LoadBalancer":
            spec.setdefault("allocateLoadBalancerNodePorts", True)

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {"loadBalancer": {}}
        spec = obj["spec"]
        if spec["type"] == "ExternalName":
            return
        if not spec.get("clusterIP"):
            spec["clusterIP"] = _address(obj["metadata"])
        spec["clusterIPs"] = [spec["clusterIP"]]
        if spec["type"] in ("NodePort", "LoadBalancer"):
            for port in list_at(spec, "ports"):
                port.setdefault("nodePort", 30000 + _number(f"{spec['clusterIP']}:{port['port']}", 2768))

    def prepare_update(self, new: Object, old: Object) -> None:
        super().prepare_update(new, old)
        for part in ("clusterIP", "clusterIPs"):
            if not new["spec"].get(part) and part in old["spec"]:
                new["spec"][part] = old["spec"][part]

    def validate(self, obj: Object) -> Iterable[Fault]:
        yield from super().validate(obj)
        spec = obj["spec"]
        headless = spec.get("clusterIP") == "None"
        ports = list_at(spec, "ports")
        if not ports and not headless and spec["type"] != "ExternalName":
            yield required("spec.ports")
        for index, port in enumerate(ports):
            at = f"spec.ports[{index}]"
            if len(ports) > 1 and not port.get("name"):
                yield required(f"{at}.name")
            if port.get("name"):
                for words in dns_label(port["name"]):
                    yield invalid(f"{at}.name", port["name"], words)
            number = port.get("port")
            if number is not None and not 1 <= number <= 65535:
                yield invalid(f"{at}.port", number, "must be between 1 and 65535, inclusive")
        if spec["type"] == "ExternalName" and not spec.get("externalName"):
            yield required("spec.externalName")

    def validate_update(self, new: Object, old: Object) -> Iterable[Fault]:
        was = old["spec"].get("clusterIP")
        if was and old["spec"]["type"] != "ExternalName" and new["spec"].get("clusterIP") != was:
            yield invalid("spec.clusterIPs[0]", [new["spec"].get("clusterIP")], "may not change once set")


def _number(text: str, limit: int) -> int:
    return zlib.crc32(text.encode()) % limit


def _address(metadata: Object) -> str:
    """A loopback-like service address, the same for the same name."""
    number = _number(f"{metadata.get('namespace')}/{metadata.get('name')}", 2**16 - 512) + 256
    return f"10.96.{number // 256}.{number % 256}"


class PersistentVolumeClaimRules(BuiltinRules):
    def __init__(self) -> None:
        super().__init__("PersistentVolumeClaim", has_status=True)

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {"phase": "Pending"}

    def validate(self, obj: Object) -> Iterable[Fault]:
        yield from super().validate(obj)
        spec = map_at(obj, "spec")
        if not list_at(spec, "accessModes"):
            yield required("spec.accessModes", "at least 1 access mode is required")
        storage = map_at(spec, "resources", "requests").get("storage")
        if storage is None:
            yield required("spec.resources[storage]")
        elif parse_quantity(storage) <= 0:
            yield invalid("spec.resources[storage]", storage, "must be greater than zero")

    def validate_update(self, new: Object, old: Object) -> Iterable[Fault]:
        loose = ("resources", "volumeName", "volumeAttributesClassName", "storageClassName")

        def fixed(obj: Object) -> Object:
            spec = map_at(obj, "spec")
            kept = {key: value for key, value in spec.items() if key not in loose}
            # Both are set once, by the binder and by the default class.
            for part in ("volumeName", "storageClassName"):
                if map_at(old, "spec").get(part):
                    kept[part] = spec.get(part)
            return kept

        resized = map_at(new, "spec", "resources") != map_at(old, "spec", "resources")
        is_bound = map_at(old, "status").get("phase") == "Bound"
        if fixed(new) != fixed(old) or (resized and not is_bound):
            yield forbidden(
                "spec",
                "spec is immutable after creation except resources.requests and "
                "volumeAttributesClassName for bound claims",
            )
        was = map_at(old, "spec", "resources", "requests").get("storage", "0")
        now = map_at(new, "spec", "resources", "requests").get("storage", "0")
        if parse_quantity(now) < parse_quantity(was):
            yield forbidden(
                "spec.resources.requests.storage",
                "field can not be less than status.capacity",
            )


class PersistentVolumeRules(BuiltinRules):
    def __init__(self) -> None:
        super().__init__("PersistentVolume", has_status=True)

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {"phase": "Pending"}

    def validate(self, obj: Object) -> Iterable[Fault]:
        yield from super().validate(obj)
        spec = map_at(obj, "spec")
        if not list_at(spec, "accessModes"):
            yield required("spec.accessModes")
        if not map_at(spec, "capacity"):
            yield required("spec.capacity")


class NodeRules(BuiltinRules):
    def __init__(self) -> None:
        super().__init__("Node", has_status=True)

    def prepare_create(self, obj: Object) -> None:
        # A kubelet registers itself with its status, and the real server keeps it.
        obj.setdefault("spec", {})
        obj.setdefault("status", {})


class EventRules(BuiltinRules):
    def __init__(self) -> None:
        super().__init__("Event")

    def validate(self, obj: Object) -> Iterable[Fault]:
        yield from super().validate(obj)
        involved = map_at(obj, "involvedObject").get("namespace") or ""
        namespace = obj["metadata"].get("namespace") or ""
        if (involved and involved != namespace) or (
            not involved and namespace not in ("", "default", "kube-system")
        ):
            yield invalid("involvedObject.namespace", involved, "does not match event.namespace")
