"""get, list, create, update, patch, delete, deletecollection: the store's methods over HTTP."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from kubernaut.devcluster.errors import (
    BadRequest,
    Fault,
    Gone,
    Invalid,
    MethodNotAllowed,
    NotFound,
    ServerTimeout,
    UnsupportedMediaType,
    refused_option,
)
from kubernaut.devcluster.ledger import Record
from kubernaut.devcluster.metadata import required, unsupported
from kubernaut.devcluster.objects import Object, from_json, is_map, map_at, name_of, namespace_of, to_json
from kubernaut.devcluster.patching import PatchType
from kubernaut.devcluster.resources import Propagation, Resource
from kubernaut.devcluster.selectors import Predicate, field_predicate, label_predicate
from kubernaut.devcluster.store import Store

from .call import Request, is_stored_form, json_response, out, parsed, raw_response, success
from .tables import Tables, metadata_of, wants_metadata, wants_table

_PATCH_TYPES: dict[str, PatchType] = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}
_WHATEVER = -1
"""The version in continue tokens that gave up on one moment for all pages."""
_PROPAGATIONS: dict[str, Propagation] = {
    "Background": "Background",
    "Foreground": "Foreground",
    "Orphan": "Orphan",
}


class Verbs:
    """Handlers of resources; subresources other than status stand in `subresources`."""

    def __init__(self, store: Store, tables: Tables, may_create: Callable[[Request], None]) -> None:
        """`may_create` raises Forbidden where the user of a request may not create what it is about."""
        self.store = store
        self.tables = tables
        self.may_create = may_create

    def handle(self, request: Request, resource: Resource) -> web.Response:
        handlers: dict[str, Callable[[Request, Resource], web.Response]] = {
            "get": self.get,
            "list": self.list_objects,
            "create": self.create,
            "update": self.update,
            "patch": self.patch,
            "delete": self.delete,
            "deletecollection": self.delete_collection,
        }
        handler = handlers.get(request.verb)
        is_nameless = request.verb in ("update", "patch") and not request.target.name
        if handler is None or request.verb not in resource.verbs or is_nameless:
            raise MethodNotAllowed.here()
        return handler(request, resource)

    def get(self, request: Request, resource: Resource) -> web.Response:
        record = self.store.record(resource, request.target.name, self._namespace(request, resource))
        version = request.query.get("resourceVersion")
        if version and version.isdigit() and int(version) > self.store.ledger.version:
            raise _too_new(version, self.store.ledger.version)
        return self._answer(request, resource, record)

    def _answer(self, request: Request, resource: Resource, record: Record, code: int = 200) -> web.Response:
        accept = request.http.headers.get("Accept", "")
        if wants_table(accept):
            table = self.tables.table(resource, [record.object], request.query)
            return json_response(table, code, request.warnings)
        if wants_metadata(accept):
            return json_response(metadata_of(record.object), code, request.warnings)
        if is_stored_form(resource):
            return raw_response(record.encoded, code, request.warnings)
        return json_response(out(resource, record.object), code, request.warnings)

    def _answer_object(self, request: Request, resource: Resource, obj: Object, code: int = 200) -> web.Response:
        return self._answer(request, resource, Record(obj), code)

    def list_objects(self, request: Request, resource: Resource) -> web.Response:
        ledger = self.store.ledger
        tests = list_tests(request, resource)
        namespace = self._list_namespace(request, resource)
        version, start = _starting_point(request, ledger.version)
        if version == ledger.version:
            records = ledger.records(resource.storage, namespace)
        else:
            past = self._past(resource, version, start)
            records = (Record(o) for o in past if namespace is None or namespace_of(o) == namespace)
        limit = request.number("limit") or 0
        kept: list[Record] = []
        left_over = 0
        for record in records:
            if start and (namespace_of(record.object), name_of(record.object)) <= start:
                continue
            if not all(test(record.object) for test in tests):
                continue
            if limit and len(kept) >= limit:
                left_over += 1
            else:
                kept.append(record)
        metadata: dict[str, Any] = {"resourceVersion": str(version)}
        if left_over:
            last = kept[-1].object
            metadata["continue"] = _token(version, namespace_of(last), name_of(last))
            if not tests:
                metadata["remainingItemCount"] = left_over
        accept = request.http.headers.get("Accept", "")
        if wants_table(accept):
            table = self.tables.table(resource, [record.object for record in kept], request.query)
            table["metadata"] = metadata
            return json_response(table)
        if wants_metadata(accept):
            items = [metadata_of(record.object) for record in kept]
            head = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
            return json_response({**head, "metadata": metadata, "items": items})
        return raw_response(self._encoded_list(resource, kept, metadata))

    def _past(self, resource: Resource, version: int, start: tuple[str, str] | None) -> list[Object]:
        """Raises Gone, with the way to go on where pages were being read."""
        try:
            return self.store.ledger.as_of(resource.storage, version)
        except Gone:
            if start is None:
                raise
            raise Gone.of_page(_token(_WHATEVER, *start)) from None

    def _encoded_list(self, resource: Resource, kept: list[Record], metadata: dict[str, Any]) -> bytes:
        head = to_json({"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": metadata})
        plain = is_stored_form(resource)
        texts = [r.encoded if plain else to_json(out(resource, r.object)) for r in kept]
        if not resource.is_custom:
            # The items of builtin lists do not repeat what they are.
            prefix = to_json({"apiVersion": resource.api_version, "kind": resource.kind})[:-1] + b","
            texts = [b"{" + text[len(prefix) :] if text.startswith(prefix) else text for text in texts]
        return head[:-1] + b',"items":[' + b",".join(texts) + b"]}"

    def create(self, request: Request, resource: Resource) -> web.Response:
        if request.target.name:
            raise MethodNotAllowed.here()
        body = request.json_body(resource.kind)
        write = request.write("CreateOptions")
        obj = self.store.create(resource, body, self._namespace(request, resource), write)
        request.name = name_of(obj)
        return self._answer_object(request, resource, obj, 201)

    def update(self, request: Request, resource: Resource) -> web.Response:
        body = request.json_body(resource.kind)
        write = request.write("UpdateOptions")
        self._match_url(request, resource, body.setdefault("metadata", {}))
        subresource = request.target.subresource
        place = (namespace_of(body) if resource.namespaced else "", request.target.name)
        if (
            resource.creates_on_update
            and not subresource
            and self.store.ledger.get(resource.storage, place) is None
        ):
            self.may_create(request)
            obj = self.store.create(resource, body, namespace_of(body), write)
            return self._answer_object(request, resource, obj, 201)
        obj = self.store.update(resource, body, subresource=subresource, write=write)
        return self._answer_object(request, resource, obj)

    def _match_url(self, request: Request, resource: Resource, metadata: Object) -> None:
        name = request.target.name
        if not metadata.setdefault("name", name):
            metadata["name"] = name
        if metadata["name"] != name:
            raise BadRequest(
                f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
            )
        if resource.namespaced:
            namespace = request.target.namespace
            metadata["namespace"] = metadata.get("namespace") or namespace
            if metadata["namespace"] != namespace:
                raise BadRequest(
                    "the namespace of the provided object does not match the namespace sent on the request"
                )

    def patch(self, request: Request, resource: Resource) -> web.Response:
        kind = _PATCH_TYPES.get(request.http.content_type)
        if kind is None:
            raise UnsupportedMediaType("415: Unsupported Media Type", {})
        body = parsed(request.body, is_yaml=kind == "apply")
        force = request.flag("force")
        if force and kind != "apply":
            text = "Forbidden: may not be specified for non-apply patch"
            raise refused_option("PatchOptions", Fault("force", "FieldValueForbidden", text))
        namespace = self._namespace(request, resource)
        place = (namespace or "" if resource.namespaced else "", request.target.name)
        existed = self.store.ledger.get(resource.storage, place) is not None
        write = request.write("PatchOptions")
        if kind == "apply" and not request.query.get("fieldManager"):
            fault = required("fieldManager", "is required for apply patch")
            raise refused_option("PatchOptions", fault)
        if kind == "apply" and not existed and not request.target.subresource:
            self.may_create(request)
        obj = self.store.patch(
            resource,
            request.target.name,
            namespace,
            body,
            kind,
            subresource=request.target.subresource,
            force=force,
            write=write,
        )
        return self._answer_object(request, resource, obj, 200 if existed else 201)

    def delete(self, request: Request, resource: Resource) -> web.Response:
        options = delete_options(request)
        deleted = self.store.delete(
            resource,
            request.target.name,
            self._namespace(request, resource),
            propagation=options["propagation"],
            uid=options["uid"],
            version=options["version"],
            grace=options["grace"],
            write=request.write("DeleteOptions"),
        )
        if deleted.is_gone and not resource.answers_deleted_object:
            return json_response(success(resource, deleted.object), 200, request.warnings)
        return json_response(out(resource, deleted.object), 200, request.warnings)

    def delete_collection(self, request: Request, resource: Resource) -> web.Response:
        options = delete_options(request)
        tests = list_tests(request, resource)
        namespace = self._list_namespace(request, resource)
        found = [
            record
            for record in self.store.ledger.records(resource.storage, namespace)
            if all(test(record.object) for test in tests)
        ]
        for record in found:
            try:
                self.store.delete(
                    resource,
                    name_of(record.object),
                    namespace_of(record.object),
                    propagation=options["propagation"],
                    grace=options["grace"],
                    write=request.write(),
                )
            except NotFound:
                # Deleted by what the deletion of another one set off.
                continue
        metadata = {"resourceVersion": str(self.store.ledger.version)}
        return raw_response(self._encoded_list(resource, found, metadata))

    def _namespace(self, request: Request, resource: Resource) -> str | None:
        if not resource.namespaced:
            return None
        if not request.target.namespace:
            raise BadRequest("an empty namespace may not be set during creation")
        return request.target.namespace

    @staticmethod
    def _list_namespace(request: Request, resource: Resource) -> str | None:
        return (request.target.namespace or None) if resource.namespaced else None


def list_tests(request: Request, resource: Resource) -> list[Predicate]:
    """Of the label and field selectors in the query. Raises BadRequest."""
    found = (
        label_predicate(request.query.get("labelSelector", "")),
        field_predicate(
            request.query.get("fieldSelector", ""), resource.field_labels, is_custom=resource.is_custom
        ),
    )
    return [test for test in found if test is not None]


def delete_options(request: Request) -> dict[str, Any]:
    """From the body, else from the query. Raises BadRequest, Conflict."""
    body = request.options_body()
    if body.get("dryRun") and body["dryRun"] != ["All"]:
        raise BadRequest("dryRun: Unsupported value")
    policy = body.get("propagationPolicy") or request.query.get("propagationPolicy")
    orphan = body.get("orphanDependents", request.query.get("orphanDependents"))
    if policy is None and orphan is not None:
        policy = "Orphan" if orphan in (True, "true") else "Background"
    if policy is not None and policy not in _PROPAGATIONS:
        raise refused_option(
            "DeleteOptions",
            unsupported("propagationPolicy", policy, ("Foreground", "Background", "Orphan", "nil")),
        )
    grace = body.get("gracePeriodSeconds")
    if grace is None:
        grace = request.number("gracePeriodSeconds")
    conditions = map_at(body, "preconditions")
    if body.get("dryRun") and not request.is_dry_run:
        request.query = {**request.query, "dryRun": "All"}
    return {
        "propagation": _PROPAGATIONS[policy] if policy else None,
        "grace": grace,
        "uid": str(conditions.get("uid") or ""),
        "version": str(conditions.get("resourceVersion") or ""),
    }


def _starting_point(request: Request, now: int) -> tuple[int, tuple[str, str] | None]:
    """(version to read at, place to go on after). Raises Gone, BadRequest."""
    token = request.query.get("continue")
    version = request.query.get("resourceVersion", "")
    match = request.query.get("resourceVersionMatch", "")
    _check_match(version, match, has_token=bool(token))
    if token:
        if version not in ("", "0"):
            raise BadRequest("specifying resource version is not allowed when using continue")
        asked, start = _read_token(token)
        return (now if asked == _WHATEVER else asked), start
    if not version or version == "0":
        return now, None
    if not version.isdigit():
        raise BadRequest(bad_version(version))
    if int(version) > now:
        raise _too_new(version, now)
    return (int(version), None) if match == "Exact" else (now, None)


def _check_match(version: str, match: str, *, has_token: bool) -> None:
    if not match:
        return
    if has_token:
        raise _forbidden_match("resourceVersionMatch is forbidden when continue is provided")
    if not version:
        raise _forbidden_match("resourceVersionMatch is forbidden unless resourceVersion is provided")
    if match not in ("Exact", "NotOlderThan"):
        allowed = ("Exact", "NotOlderThan", "")
        raise refused_option("ListOptions", unsupported("resourceVersionMatch", match, allowed))
    if match == "Exact" and version == "0":
        raise _forbidden_match('resourceVersionMatch "Exact" is forbidden for resourceVersion "0"')


def check_watch_options(request: Request) -> None:
    """Raises Invalid, BadRequest for what a watch can not begin with."""
    request.number("timeoutSeconds")
    match = request.query.get("resourceVersionMatch", "")
    if "sendInitialEvents" in request.query:
        if match != "NotOlderThan":
            raise _forbidden_match("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
    elif match:
        raise _forbidden_match("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")


def _forbidden_match(why: str) -> Invalid:
    fault = Fault("resourceVersionMatch", "FieldValueForbidden", f"Forbidden: {why}")
    return refused_option("ListOptions", fault)


def bad_version(text: str) -> str:
    return (
        f'invalid resource version: resourceVersion: Invalid value: "{text}": strconv.ParseUint: '
        f'parsing "{text}": invalid syntax'
    )


def _too_new(version: str, now: int) -> ServerTimeout:
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return ServerTimeout(
        f"Timeout: Too large resource version: {version}, current: {now}",
        {"causes": [cause], "retryAfterSeconds": 1},
    )


def _token(version: int, namespace: str, name: str) -> str:
    raw = to_json({"v": "meta.k8s.io/v1", "rv": version, "start": [namespace, name]})
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _read_token(token: str) -> tuple[int, tuple[str, str]]:
    try:
        value = from_json(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        if is_map(value):
            namespace, name = value["start"]
            return int(value["rv"]), (str(namespace), str(name))
    except (binascii.Error, ValueError, KeyError, TypeError, msgspec.DecodeError):
        pass
    raise BadRequest("invalid continue token: continue key is not valid")
