"""Looks up what a simulated program depends on, as the facts of its model."""

import base64
from collections.abc import Mapping

from kubernaut.devcluster.node.runtime import ContainerSpec
from kubernaut.devcluster.objects import Object, namespace_of, uid_of
from kubernaut.devcluster.quantities import parse_quantity
from kubernaut.devcluster.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
)
from kubernaut.devcluster.simulation.model import Condition, Facts, Model
from kubernaut.devcluster.store import Store
from kubernaut.devcluster.workloads.pods import has_condition
from kubernaut.devcluster.workloads.reading import part, parts, peek

_READY_BY_STATUS = {"deployment": DEPLOYMENTS, "statefulset": STATEFUL_SETS}


def watched(model: Model) -> tuple[str, ...]:
    """Resources whose changes may change what the program shows."""
    found: set[str] = set()
    for condition in model.conditions:
        if condition.config_map:
            found.add(CONFIG_MAPS)
        elif condition.secret:
            found.add(SECRETS)
        elif condition.down:
            kind = condition.down.partition("/")[0]
            found |= {_READY_BY_STATUS.get(kind, PODS), *((SERVICES,) if kind == "service" else ())}
    if model.disk is not None:
        found.add(PERSISTENT_VOLUME_CLAIMS)
    return tuple(sorted(found))


def facts_of(
    store: Store, model: Model, spec: ContainerSpec, running_seconds: float, disk_before: int = 0
) -> Facts:
    """What this container finds around itself now."""
    namespace = namespace_of(spec.pod)
    return Facts(
        running_seconds=running_seconds,
        memory_limit=spec.memory_limit,
        image=spec.image_name,
        command=" ".join(spec.argv),
        environment=spec.environment,
        values=_values(store, model, namespace),
        down=frozenset(
            (condition.down, condition.namespace)
            for condition in model.conditions
            if condition.down and not _is_up(store, condition, condition.namespace or namespace)
        ),
        disk_room=_room(store, model, spec.pod),
        disk_before=disk_before,
    )


def pull_facts(store: Store, model: Model, pod: Object, image: str) -> Facts:
    """The same before there is a container: image and values only."""
    return Facts(0.0, image=image, values=_values(store, model, namespace_of(pod)))


def volume_key(store: Store, model: Model, pod: Object) -> str:
    """What a disk belongs to: the claim, or the pod whose emptyDir it is. Empty without a disk."""
    if model.disk is None:
        return ""
    claim = _claim(store, model.disk.volume, pod)
    return uid_of(claim) if claim is not None else f"{uid_of(pod)}/{model.disk.volume}"


def _values(store: Store, model: Model, namespace: str) -> Mapping[tuple[str, str, str], str]:
    found: dict[tuple[str, str, str], str] = {}
    for condition in model.conditions:
        if condition.config_map:
            data = part(peek(store, CONFIG_MAPS, condition.config_map, namespace), "data")
            if condition.key in data:
                found["configMap", condition.config_map, condition.key] = str(data[condition.key])
        elif condition.secret:
            data = part(peek(store, SECRETS, condition.secret, namespace), "data")
            if condition.key in data:
                text = base64.b64decode(data[condition.key]).decode(errors="replace")
                found["secret", condition.secret, condition.key] = text
    return found


def _is_up(store: Store, condition: Condition, namespace: str) -> bool:
    kind, _, name = condition.down.partition("/")
    if kind in _READY_BY_STATUS:
        found = peek(store, _READY_BY_STATUS[kind], name, namespace)
        return bool(part(found, "status").get("readyReplicas"))
    selector = part(peek(store, SERVICES, name, namespace), "spec", "selector")
    if not selector:
        return False
    return any(
        has_condition(pod, "Ready") and selector.items() <= part(pod, "metadata", "labels").items()
        for pod in store.list(PODS, namespace).items
    )


def _room(store: Store, model: Model, pod: Object) -> int | None:
    if model.disk is None:
        return None
    claim = _claim(store, model.disk.volume, pod)
    if claim is not None:
        room = part(claim, "status", "capacity").get("storage") or part(
            claim, "spec", "resources", "requests"
        ).get("storage")
        return None if room is None else int(parse_quantity(room))
    limit = part(_volume(model.disk.volume, pod), "emptyDir").get("sizeLimit")
    return None if limit is None else int(parse_quantity(limit))


def _volume(name: str, pod: Object) -> Object | None:
    return next((volume for volume in parts(pod, "spec", "volumes") if volume["name"] == name), None)


def _claim(store: Store, name: str, pod: Object) -> Object | None:
    claim = part(_volume(name, pod), "persistentVolumeClaim").get("claimName")
    return peek(store, PERSISTENT_VOLUME_CLAIMS, claim, namespace_of(pod)) if claim else None
