"""What cases create, and how they wait."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from kubernaut.concurrency import SystemClock

from .api import Answer, Api, Json

RBAC = "rbac.authorization.k8s.io"


def config_map(name: str, labels: Json | None = None, **data: str) -> Json:
    metadata: Json = {"name": name}
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def deployment(name: str = "web", replicas: int | None = 0) -> Json:
    spec: Json = {
        "selector": {"matchLabels": {"app": name}},
        "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "main", "image": "busybox:1"}]},
        },
    }
    if replicas is not None:
        spec["replicas"] = replicas
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


async def eventually(api: Api, path: str, code: int) -> Answer:
    clock = SystemClock()
    while (answer := await api.get(path)).code != code:
        await clock.sleep(0.05)
    return answer


async def take(events: AsyncIterator[Json], count: int) -> list[tuple[str, str]]:
    async with asyncio.timeout(10):
        found: list[tuple[str, str]] = []
        async for event in events:
            found.append((event["type"], event["object"]["metadata"]["name"]))
            if len(found) == count:
                break
        return found


def owned(name: str, owner: Answer, **more: Any) -> Json:
    body = config_map(name)
    metadata = owner.body["metadata"]
    body["metadata"]["ownerReferences"] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": metadata["name"], "uid": metadata["uid"], **more}
    ]
    return body


def definition(suffix: str) -> Json:
    steps: Json = {
        "type": "array",
        "maxItems": 5,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"type": "string", "maxLength": 9}, "times": {"type": "integer"}},
        },
    }
    fixed = {
        "type": "string",
        "maxLength": 10,
        "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "may not change"}],
    }
    spec: Json = {
        "type": "object",
        "required": ["mode"],
        "x-kubernetes-validations": [{"rule": "self.mode != 'c' || has(self.extra)", "message": "c needs extra"}],
        "properties": {
            "mode": {"type": "string", "enum": ["a", "b", "c"]},
            "size": {"type": "integer", "minimum": 0, "maximum": 9, "default": 1},
            "fixed": fixed,
            "extra": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "port": {"x-kubernetes-int-or-string": True},
            "steps": steps,
        },
    }
    schema = {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "spec": spec,
            "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
        },
    }
    group = f"{suffix}.example.com"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [{"name": "Mode", "type": "string", "jsonPath": ".spec.mode"}],
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


async def token_for(api: Api, account: str) -> str:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    made = await api.post(f"v1/serviceaccounts/{account}/token", body)
    assert made.code == 201
    return str(made.body["status"]["token"])


async def until(ask: Callable[[], Awaitable[bool]]) -> None:
    """Ask again until it is true; the case's own limit ends it."""
    clock = SystemClock()
    while not await ask():
        await clock.sleep(0.05)


async def role(cluster: Api, name: str, rules: list[Json]) -> None:
    body = {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": {"name": name}, "rules": rules}
    made = await cluster.post(f"{RBAC}/v1/roles", body)
    assert made.code == 201, made.body


async def bind(cluster: Api, name: str, *subjects: Json) -> None:
    """A role to whom it is meant for, under its own name."""
    body = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": name},
        "subjects": list(subjects),
    }
    made = await cluster.post(f"{RBAC}/v1/rolebindings", body)
    assert made.code == 201, made.body
