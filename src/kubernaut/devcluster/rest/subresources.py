"""scale, eviction, binding, token, finalize and log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from aiohttp import web

from kubernaut.devcluster.budgets import count, may_go
from kubernaut.devcluster.disruption import EVICTION, mark_disrupted
from kubernaut.devcluster.errors import (
    BadRequest,
    Conflict,
    Fault,
    InternalError,
    Invalid,
    MethodNotAllowed,
    NotFound,
    TooManyRequests,
    Unavailable,
)
from kubernaut.devcluster.identity.tokens import TokenIssuer
from kubernaut.devcluster.ledger import Record
from kubernaut.devcluster.metadata import forbidden, invalid
from kubernaut.devcluster.objects import Object, copied, is_deleting, is_map, labels_of, list_at, map_at
from kubernaut.devcluster.patching import PatchType, patched
from kubernaut.devcluster.resources import (
    POD_DISRUPTION_BUDGETS,
    PODS,
    Resource,
)
from kubernaut.devcluster.selectors import selector_text, selects
from kubernaut.devcluster.store import Attributes, Store, Write
from kubernaut.devcluster.workloads.disruptions import scale_of

from .call import Request, json_response, out, parsed, raw_response

if TYPE_CHECKING:
    from kubernaut.devcluster.node.logs import LogQuery

LogReader: TypeAlias = Callable[[str, str, str, "LogQuery", bool], AsyncIterator[bytes]]
"""(namespace, pod, container, query, previous) -> chunks. Raises ApiError."""

_PATCHES: dict[str, PatchType] = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "merge",
}


_DONE: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


class Subresources:
    def __init__(self, store: Store, tokens: TokenIssuer) -> None:
        self._store = store
        self._tokens = tokens
        self.read_log: LogReader | None = None
        """Set by whoever runs pods."""

    def handle(self, request: Request, resource: Resource) -> web.Response:
        """Everything but `status`, which is a verb's matter, and `log`, which streams."""
        handlers = {
            "scale": self._scale,
            "eviction": self._evict,
            "binding": self._bind,
            "token": self._token,
            "finalize": self._finalize,
        }
        name = request.target.subresource
        if name not in resource.subresources or name not in handlers:
            raise NotFound.page()
        return handlers[name](request, resource)

    # -- scale -----------------------------------------------------------------------------------

    def _scale(self, request: Request, resource: Resource) -> web.Response:
        target = request.target
        record = self._store.record(resource, target.name, target.namespace)
        scale = _scale_of(record.object, resource)
        if request.verb == "get":
            return json_response(scale)
        if request.verb == "update":
            wanted = request.json_body()
        elif request.verb == "patch":
            kind = _PATCHES.get(request.http.content_type)
            if kind is None:
                raise BadRequest("this patch type does not suit a Scale")
            wanted = patched(resource, copied(scale), parsed(request.body, is_yaml=False), kind)
        else:
            raise MethodNotAllowed.here()
        replicas = map_at(wanted, "spec").get("replicas", 0)
        if not isinstance(replicas, int) or replicas < 0:
            fault = invalid("spec.replicas", replicas, "must be greater than or equal to 0")
            raise Invalid.of("autoscaling", "Scale", target.name, [fault])
        version = map_at(wanted, "metadata").get("resourceVersion")
        if version and version != record.object["metadata"]["resourceVersion"]:
            raise Conflict.modified(resource.key, target.name)
        path = _scale_paths(resource)[0]

        def change(obj: Object) -> None:
            holder = obj
            for part in path[:-1]:
                holder = holder.setdefault(part, {})
            holder[path[-1]] = replicas

        write = replace(request.write(), owned_as="scale")
        self._admit_scale(request, resource, scale, {**scale, "spec": {"replicas": replicas}}, write)
        changed = self._store.edit(resource, target.name, target.namespace, change, write=write)
        return json_response(_scale_of(changed, resource))

    def _admit_scale(self, request: Request, resource: Resource, old: Object, new: Object, write: Write) -> None:
        target = request.target
        attributes = Attributes(
            store=self._store,
            resource=resource,
            operation="UPDATE",
            object=new,
            old=old,
            subresource="scale",
            namespace=target.namespace,
            name=target.name,
            write=write,
            kind=("autoscaling", "v1", "Scale"),
        )
        for step in self._store.validating:
            step(attributes)

    # -- pods --------------------------------------------------------------------------------------

    def _evict(self, request: Request, resource: Resource) -> web.Response:
        body = request.json_body()
        target = request.target
        pod = self._store.record(resource, target.name, target.namespace).object
        is_idle = map_at(pod, "status").get("phase") in ("Succeeded", "Failed", "Pending")
        if not is_idle and not is_deleting(pod):
            self._spend_budget(pod)
        options = map_at(body, "deleteOptions")
        conditions = map_at(options, "preconditions")
        write = request.write()
        if options.get("dryRun") == ["All"]:
            write = replace(write, dry_run=True)
        uid, version = str(conditions.get("uid") or ""), str(conditions.get("resourceVersion") or "")
        place, grace = (resource, target.name, target.namespace), options.get("gracePeriodSeconds")
        # The condition is for the pod that is meant, so whatever forbids its deletion comes first.
        trial = replace(write, dry_run=True)
        self._store.delete(*place, uid=uid, version=version, grace=grace, write=trial)
        if not write.dry_run:

            def marked(found: Object) -> None:
                mark_disrupted(found, EVICTION, self._store.now())

            self._store.edit(*place, marked, subresource="status", write=write)
            self._store.delete(*place, uid=uid, grace=grace, write=write)
        return json_response(_DONE, 201)

    def _spend_budget(self, pod: Object) -> None:
        """Raises TooManyRequests when a PodDisruptionBudget forbids the eviction now."""
        namespace = pod["metadata"]["namespace"]
        chosen = [
            budget
            for budget in self._store.list(POD_DISRUPTION_BUDGETS, namespace).items
            if selects(map_at(budget, "spec").get("selector"), labels_of(pod))
        ]
        if len(chosen) > 1:
            raise InternalError(
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
            )
        for budget in chosen:
            spec, name = map_at(budget, "spec"), budget["metadata"]["name"]
            pods = self._store.list(PODS, namespace).items
            selected = [other for other in pods if selects(spec.get("selector"), labels_of(other))]
            found = count(spec, selected, lambda other: scale_of(self._store, other))
            if not may_go(pod, spec, found):
                message = "Cannot evict pod as it would violate the pod's disruption budget."
                needs = f"needs {found.needed} healthy pods and has {found.healthy} currently"
                cause = {"reason": "DisruptionBudget", "message": f"The disruption budget {name} {needs}"}
                raise TooManyRequests(message, {"causes": [cause]})

    def _bind(self, request: Request, resource: Resource) -> web.Response:
        node = map_at(request.json_body(), "target").get("name")
        target = request.target

        def change(pod: Object) -> None:
            held = pod["spec"].get("nodeName")
            if held:
                why = f'pod {target.name} is already assigned to node "{held}"'
                raise Conflict.of("pods/binding", target.name, why)
            pod["spec"]["nodeName"] = node

        self._store.edit(resource, target.name, target.namespace, change, write=request.write())
        return json_response(_DONE, 201)

    # -- others ------------------------------------------------------------------------------------

    def _token(self, request: Request, resource: Resource) -> web.Response:
        target = request.target
        return json_response(self._tokens.request(target.namespace, target.name, request.json_body()), 201)

    def _finalize(self, request: Request, resource: Resource) -> web.Response:
        body = request.json_body()
        obj = self._store.update(resource, body, subresource="finalize", write=request.write())
        return raw_response(Record(out(resource, obj)).encoded)

    async def log(self, request: Request, resource: Resource, now: datetime) -> web.StreamResponse:
        """pods/log, read from the node. Raises ApiError."""
        target = request.target
        if faults := list(_query_faults(request)):
            raise Invalid.of("", "PodLogOptions", target.name, faults)
        pod = self._store.record(resource, target.name, target.namespace).object
        container = _container(pod, request.query.get("container", ""))
        if not map_at(pod, "spec").get("nodeName"):
            return web.Response(status=204)
        if self.read_log is None:
            raise Unavailable("no node runs in this cluster, so there are no logs")
        previous = request.flag("previous")
        chunks = self.read_log(target.namespace, target.name, container, _query(request, now), previous)
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        # The first chunk tells whether there is a log at all; only then may the answer begin.
        first = await anext(aiter(chunks), None)
        await response.prepare(request.http)
        if first is not None:
            await response.write(first)
            async for chunk in chunks:
                await response.write(chunk)
        await response.write_eof()
        return response


def _container(pod: Object, name: str) -> str:
    spec = map_at(pod, "spec")
    names = [c["name"] for part in ("containers", "initContainers") for c in list_at(spec, part)]
    if not name:
        marked = map_at(pod, "metadata", "annotations").get("kubectl.kubernetes.io/default-container")
        mains = [c["name"] for c in list_at(spec, "containers")]
        if len(mains) == 1 or marked:
            return str(marked or mains[0])
        firsts = [c["name"] for c in list_at(spec, "initContainers")]
        pod_name, choice = pod["metadata"]["name"], " ".join([*firsts, *mains])
        raise BadRequest(f"a container name must be specified for pod {pod_name}, choose one of: [{choice}]")
    if name not in names:
        raise BadRequest(f"container {name} is not valid for pod {pod['metadata']['name']}")
    return name


def _query_faults(request: Request) -> Iterator[Fault]:
    """Source: k8s.io/kubernetes pkg/apis/core/validation (ValidatePodLogOptions)."""
    for name, least, words in (
        ("tailLines", 0, "greater than or equal to 0"),
        ("limitBytes", 1, "greater than 0"),
        ("sinceSeconds", 1, "greater than 0"),
    ):
        text = request.query.get(name, "")
        if text.removeprefix("-").isdigit() and int(text) < least:
            yield invalid(name, int(text), f"must be {words}")
    if request.query.get("sinceSeconds") and request.query.get("sinceTime"):
        yield forbidden("[]", "at most one of `sinceTime` or `sinceSeconds` may be specified")


def _query(request: Request, now: datetime) -> LogQuery:
    # A cluster without a node need not load what runs pods.
    from kubernaut.devcluster.node.logs import LogQuery

    seconds = request.number("sinceSeconds")
    text = request.query.get("sinceTime", "")
    since = now - timedelta(seconds=seconds) if seconds is not None else None
    if text:
        since = datetime.fromisoformat(text)
    return LogQuery(
        follow=request.flag("follow"),
        tail_lines=request.number("tailLines"),
        limit_bytes=request.number("limitBytes"),
        timestamps=request.flag("timestamps"),
        since=since,
    )


def _scale_paths(resource: Resource) -> tuple[list[str], list[str], list[str]]:
    """Where replicas are asked for, counted, and selected."""
    scale = {}
    if resource.definition is not None:
        for version in resource.definition["spec"]["versions"]:
            if version["name"] == resource.version:
                scale = map_at(version, "subresources", "scale")

    def path(name: str, fallback: str) -> list[str]:
        return str(scale.get(name) or fallback).removeprefix(".").split(".")

    return (
        path("specReplicasPath", ".spec.replicas"),
        path("statusReplicasPath", ".status.replicas"),
        path("labelSelectorPath", ".status.selector" if scale else ".spec.selector"),
    )


def _scale_of(obj: Object, resource: Resource) -> Object:
    def at(path: list[str]) -> Any:
        value: Any = obj
        for part in path:
            value = value.get(part) if is_map(value) else None
        return value

    wanted, counted, selector = (at(path) for path in _scale_paths(resource))
    metadata = obj["metadata"]
    parts = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: Object = {"replicas": counted or 0}
    if selector:
        status["selector"] = selector if isinstance(selector, str) else selector_text(selector)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {part: metadata[part] for part in parts if part in metadata},
        "spec": {"replicas": wanted or 0},
        "status": status,
    }
