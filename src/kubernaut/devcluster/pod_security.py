"""Pod Security: the namespace's labels say which pods it takes (`baseline`, `restricted`).

Source: k8s.io/pod-security-admission/policy, whose words these are. Checked are pods; workloads with templates get
warnings only, as the real plugin does it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .errors import Forbidden
from .objects import Object, is_map, labels_of, list_at, map_at
from .resources import NAMESPACES, PODS
from .store import Attributes

_PREFIX = "pod-security.kubernetes.io/"
_TEMPLATES = {
    "deployments.apps": ("spec", "template"),
    "replicasets.apps": ("spec", "template"),
    "statefulsets.apps": ("spec", "template"),
    "daemonsets.apps": ("spec", "template"),
    "jobs.batch": ("spec", "template"),
    "cronjobs.batch": ("spec", "jobTemplate", "spec", "template"),
}
_BASE_CAPABILITIES = {
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
}
_VOLUMES = (
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
)
_SECCOMP = ("RuntimeDefault", "Localhost")
_Check = Callable[[Object, list[Object]], Iterator[str]]


def pod_security(attributes: Attributes) -> None:
    """The admission step. Raises Forbidden."""
    spec = _judged(attributes)
    if spec is None:
        return
    record = attributes.store.ledger.get(NAMESPACES, ("", attributes.namespace))
    labels = {} if record is None else labels_of(record.object)
    is_pod = attributes.resource.key == PODS
    level = labels.get(f"{_PREFIX}enforce", "privileged")
    if is_pod and (found := violations(level, spec)):
        version = labels.get(f"{_PREFIX}enforce-version", "latest")
        raise Forbidden(
            f'pods "{attributes.name}" is forbidden: violates PodSecurity "{level}:{version}": {", ".join(found)}',
            {"name": attributes.name, "kind": "pods"},
        )
    warned = labels.get(f"{_PREFIX}warn") or ("privileged" if is_pod else level)
    if found := violations(warned, spec):
        version = labels.get(f"{_PREFIX}warn-version", "latest")
        attributes.write.warn(f'would violate PodSecurity "{warned}:{version}": {", ".join(found)}')


def _judged(attributes: Attributes) -> Object | None:
    """The pod spec that is new here."""
    obj, key = attributes.object, attributes.resource.key
    if obj is None or attributes.subresource or attributes.operation not in ("CREATE", "UPDATE"):
        return None
    if key == PODS:
        if attributes.old is not None and not _has_new_images(obj, attributes.old):
            return None
        return map_at(obj, "spec")
    path = _TEMPLATES.get(key)
    return map_at(obj, *path, "spec") if path else None


def _has_new_images(new: Object, old: Object) -> bool:
    # Of a pod that exists nothing else that matters here can be changed.
    return [c.get("image") for c in containers(new["spec"])] != [c.get("image") for c in containers(old["spec"])]


def containers(spec: Object) -> list[Object]:
    parts = ("initContainers", "containers", "ephemeralContainers")
    return [container for part in parts for container in list_at(spec, part)]


def violations(level: str, spec: Object) -> list[str]:
    """What a pod would have to change, in the order in which the real plugin tells it."""
    if level == "baseline":
        checks: tuple[_Check, ...] = _BASELINE
    elif level == "restricted":
        # Its own checks of capabilities and volumes say all that those of the baseline say.
        own = (_capabilities, _host_paths)
        checks = tuple(check for check in _BASELINE if check not in own) + _RESTRICTED
    else:
        return []
    held = containers(spec)
    return [text for check in checks for text in check(spec, held)]


def _named(held: list[Object]) -> str:
    names = ", ".join(f'"{container.get("name")}"' for container in held)
    return f"container{'s' if len(held) > 1 else ''} {names}"


def _security(container: Object) -> dict[str, Any]:
    return map_at(container, "securityContext")


# -- baseline ------------------------------------------------------------------------------------------


def _host_namespaces(spec: Object, _held: list[Object]) -> Iterator[str]:
    set_here = [f"{part}=true" for part in ("hostNetwork", "hostPID", "hostIPC") if spec.get(part)]
    if set_here:
        yield f"host namespaces ({', '.join(set_here)})"


def _privileged(_spec: Object, held: list[Object]) -> Iterator[str]:
    bad = [container for container in held if _security(container).get("privileged")]
    if bad:
        yield f"privileged ({_named(bad)} must not set securityContext.privileged=true)"


def _capabilities(_spec: Object, held: list[Object]) -> Iterator[str]:
    bad: list[Object] = []
    words: set[str] = set()
    for container in held:
        added = set(list_at(_security(container), "capabilities", "add")) - _BASE_CAPABILITIES
        if added:
            bad.append(container)
            words |= added
    if bad:
        shown = ", ".join(f'"{word}"' for word in sorted(words))
        words_of = f"{_named(bad)} must not include {shown} in securityContext.capabilities.add"
        yield f"non-default capabilities ({words_of})"


def _host_paths(spec: Object, _held: list[Object]) -> Iterator[str]:
    bad = [f'"{volume.get("name")}"' for volume in list_at(spec, "volumes") if "hostPath" in volume]
    if bad:
        yield f"hostPath volumes (volume{'s' if len(bad) > 1 else ''} {', '.join(bad)})"


def _host_ports(_spec: Object, held: list[Object]) -> Iterator[str]:
    bad: list[Object] = []
    ports: list[str] = []
    for container in held:
        found = [str(port["hostPort"]) for port in list_at(container, "ports") if port.get("hostPort")]
        if found:
            bad.append(container)
            ports += found
    if bad:
        plural = "s" if len(ports) > 1 else ""
        uses = "use" if len(bad) > 1 else "uses"
        yield f"hostPort ({_named(bad)} {uses} hostPort{plural} {', '.join(ports)})"


def _seccomp_unconfined(spec: Object, held: list[Object]) -> Iterator[str]:
    whole = map_at(spec, "securityContext", "seccompProfile").get("type")
    bad = [c for c in held if map_at(_security(c), "seccompProfile").get("type") == "Unconfined"]
    if whole == "Unconfined" or bad:
        who = " and ".join((["pod"] if whole == "Unconfined" else []) + ([_named(bad)] if bad else []))
        yield f'seccompProfile ({who} must not set securityContext.seccompProfile.type to "Unconfined")'


_BASELINE: tuple[_Check, ...] = (
    _host_namespaces,
    _privileged,
    _capabilities,
    _host_paths,
    _host_ports,
    _seccomp_unconfined,
)


# -- restricted ----------------------------------------------------------------------------------------


def _escalation(_spec: Object, held: list[Object]) -> Iterator[str]:
    bad = [c for c in held if _security(c).get("allowPrivilegeEscalation") is not False]
    if bad:
        yield (
            f"allowPrivilegeEscalation != false ({_named(bad)} must set "
            "securityContext.allowPrivilegeEscalation=false)"
        )


def _dropped(_spec: Object, held: list[Object]) -> Iterator[str]:
    keeping = [c for c in held if "ALL" not in list_at(_security(c), "capabilities", "drop")]
    adding: list[Object] = []
    words: set[str] = set()
    for container in held:
        added = set(list_at(_security(container), "capabilities", "add")) - {"NET_BIND_SERVICE"}
        if added:
            adding.append(container)
            words |= added
    texts: list[str] = []
    if keeping:
        texts.append(f'{_named(keeping)} must set securityContext.capabilities.drop=["ALL"]')
    if adding:
        shown = ", ".join(f'"{word}"' for word in sorted(words))
        texts.append(f"{_named(adding)} must not include {shown} in securityContext.capabilities.add")
    if texts:
        yield f"unrestricted capabilities ({'; '.join(texts)})"


def _volume_types(spec: Object, _held: list[Object]) -> Iterator[str]:
    bad: list[str] = []
    types: set[str] = set()
    for volume in list_at(spec, "volumes"):
        kinds = {part for part in volume if part != "name"}
        if not kinds & set(_VOLUMES) and kinds:
            bad.append(f'"{volume.get("name")}"')
            types |= kinds
    if bad:
        many, more = "s" if len(bad) > 1 else "", "s" if len(types) > 1 else ""
        shown = ", ".join(f'"{one}"' for one in sorted(types))
        verb = "use" if len(bad) > 1 else "uses"
        who = f"volume{many} {', '.join(bad)}"
        yield f"restricted volume types ({who} {verb} restricted volume type{more} {shown})"


def _non_root(spec: Object, held: list[Object]) -> Iterator[str]:
    whole = map_at(spec, "securityContext").get("runAsNonRoot")
    explicit = [c for c in held if _security(c).get("runAsNonRoot") is False]
    unset = [c for c in held if _security(c).get("runAsNonRoot") is None]
    if explicit or (whole is False and unset):
        texts = ["pod"] if whole is False else []
        texts += [_named(explicit)] if explicit else []
        yield f"runAsNonRoot != true ({' and '.join(texts)} must not set securityContext.runAsNonRoot=false)"
    elif whole is not True and unset:
        yield f"runAsNonRoot != true (pod or {_named(unset)} must set securityContext.runAsNonRoot=true)"


def _not_user_zero(spec: Object, held: list[Object]) -> Iterator[str]:
    is_whole = map_at(spec, "securityContext").get("runAsUser") == 0
    bad = [c for c in held if _security(c).get("runAsUser") == 0]
    if is_whole or bad:
        who = " and ".join((["pod"] if is_whole else []) + ([_named(bad)] if bad else []))
        yield f"runAsUser=0 ({who} must not set runAsUser=0)"


def _seccomp_set(spec: Object, held: list[Object]) -> Iterator[str]:
    whole = map_at(spec, "securityContext", "seccompProfile").get("type")
    if whole in _SECCOMP:
        return
    unset = [c for c in held if not is_map(_security(c).get("seccompProfile"))]
    if unset and whole is None:
        yield (
            f"seccompProfile (pod or {_named(unset)} must set securityContext.seccompProfile.type to "
            '"RuntimeDefault" or "Localhost")'
        )


_RESTRICTED: tuple[_Check, ...] = (
    _volume_types,
    _escalation,
    _dropped,
    _non_root,
    _not_user_zero,
    _seccomp_set,
)
