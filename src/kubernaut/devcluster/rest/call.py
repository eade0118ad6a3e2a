"""One request on its way through the server, and the answers it can get."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import yaml
from aiohttp import web

from kubernaut.devcluster.errors import BadRequest, TooLarge, UnsupportedMediaType, refused_option
from kubernaut.devcluster.identity.users import User
from kubernaut.devcluster.metadata import unsupported
from kubernaut.devcluster.objects import Object, from_json, is_list, is_map, to_json
from kubernaut.devcluster.resources import Resource
from kubernaut.devcluster.schema.protobuf import CONTENT_TYPE, ProtobufError, decode_body
from kubernaut.devcluster.writing import Write

from .paths import Target

LARGEST_BODY = 3 * 1024 * 1024
"""Bytes; the limit of kube-apiserver."""


@dataclass(slots=True)
class Request:
    """Parsed once; handlers read from here."""

    http: web.BaseRequest
    target: Target
    verb: str
    query: Mapping[str, str]
    user: User
    body: bytes = b""
    warnings: list[str] = field(default_factory=list[str])
    reviewed: frozenset[str] = frozenset()
    """Writes that webhooks have consented to."""
    name: str = ""
    """Of the object that a create made, for the log."""

    @property
    def is_dry_run(self) -> bool:
        return self.query.get("dryRun") == "All"

    def flag(self, name: str) -> bool:
        value = self.query.get(name, "")
        if value not in ("", "0", "1", "true", "false", "True", "False"):
            raise BadRequest(f'strconv.ParseBool: parsing "{value}": invalid syntax for parameter {name}')
        return value in ("1", "true", "True")

    def number(self, name: str) -> int | None:
        value = self.query.get(name, "")
        if not value:
            return None
        if not value.lstrip("-").isdigit():
            raise BadRequest(f'strconv.ParseInt: parsing "{value}": invalid syntax')
        return int(value)

    def write(self, options: str = "UpdateOptions") -> Write:
        """Raises BadRequest for options that make no sense."""
        validation = self.query.get("fieldValidation") or "Warn"
        if validation not in ("Ignore", "Warn", "Strict"):
            allowed = ("Ignore", "Warn", "Strict")
            raise refused_option(options, unsupported("fieldValidation", validation, allowed))
        if self.query.get("dryRun") not in (None, "All"):
            raise refused_option(options, unsupported("dryRun", [self.query["dryRun"]], ("All",)))
        agent = self.http.headers.get("User-Agent", "unknown")
        return Write(
            user=self.user,
            manager=self.query.get("fieldManager") or agent.partition("/")[0],
            dry_run=self.is_dry_run,
            field_validation=_validation(validation),
            warn=self.warnings.append,
            reviewed=self.reviewed,
        )

    def json_body(self, kind_wanted: str = "") -> Object:
        """Raises BadRequest, UnsupportedMediaType."""
        kind = self.http.content_type
        if kind == CONTENT_TYPE:
            return _from_protobuf(self.body)
        if kind not in ("application/json", "application/octet-stream", "application/yaml"):
            raise UnsupportedMediaType(
                "the body of the request was in an unknown format - accepted media types include: "
                "application/json, application/yaml, application/vnd.kubernetes.protobuf"
            )
        try:
            value = parsed(self.body, is_yaml=kind == "application/yaml")
        except BadRequest as error:
            head = f"the object provided is unrecognized (must be of type {kind_wanted}): "
            raise BadRequest((head if kind_wanted else "") + error.message) from None
        if not is_map(value):
            raise BadRequest("couldn't get version/kind; json parse error: an object is needed")
        if self.query.get("fieldValidation") == "Strict" and (twice := said_twice(self.body)):
            told = ", ".join(f'duplicate field "{path}"' for path in twice)
            raise BadRequest(
                f'{kind_wanted} in version "{self.target.version}" cannot be handled as a {kind_wanted}: '
                f"strict decoding error: {told}"
            )
        return value

    def options_body(self) -> Object:
        """DeleteOptions, if any were sent. Raises BadRequest."""
        if not self.body.strip():
            return {}
        if self.http.content_type == CONTENT_TYPE:
            return _from_protobuf(self.body)
        value = parsed(self.body, is_yaml=self.http.content_type == "application/yaml")
        return value if is_map(value) else {}


def _from_protobuf(body: bytes) -> Object:
    try:
        return decode_body(body)
    except ProtobufError as error:
        raise BadRequest(str(error)) from None


def said_twice(body: bytes) -> list[str]:
    """Paths of fields that a JSON text holds more than once; none of what is no JSON."""
    try:
        return list(_repeated(json.loads(body, object_pairs_hook=_Pairs), ""))
    except ValueError:
        return []


class _Pairs(list[tuple[str, Any]]):
    """An object of JSON as it was written."""


def _repeated(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, _Pairs):
        seen: set[str] = set()
        for name, item in value:
            at = f"{path}.{name}" if path else name
            if name in seen:
                yield at
            seen.add(name)
            yield from _repeated(item, at)
    elif is_list(value):
        for index, item in enumerate(value):
            yield from _repeated(item, f"{path}[{index}]")


def _validation(text: str) -> Literal["Ignore", "Warn", "Strict"]:
    return "Strict" if text == "Strict" else "Ignore" if text == "Ignore" else "Warn"


def parsed(body: bytes, *, is_yaml: bool) -> Any:
    """Raises BadRequest."""
    if is_yaml and not body.lstrip().startswith((b"{", b"[")):
        try:
            return yaml.load(body, _loader())
        except yaml.YAMLError as error:
            raise BadRequest(f"error decoding YAML: {error}") from None
    try:
        return from_json(body)
    except msgspec.DecodeError as error:
        raise BadRequest(f"couldn't get version/kind; json parse error: {error}") from None


def _loader() -> Any:
    """YAML as JSON: timestamps stay text."""
    global _cached_loader
    if _cached_loader is None:
        parent: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        loader: Any = type("_JsonLoader", (parent,), {})
        loader.yaml_implicit_resolvers = {
            first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
            for first, resolvers in parent.yaml_implicit_resolvers.items()
        }
        _cached_loader = loader
    return _cached_loader


_cached_loader: Any = None


async def read_body(http: web.BaseRequest) -> bytes:
    """Raises TooLarge."""
    if not http.can_read_body:
        return b""
    if (http.content_length or 0) > LARGEST_BODY:
        raise TooLarge(f"Request entity too large: limit is {LARGEST_BODY}")
    # `http.read` has a limit of its own, which is smaller.
    body = bytearray()
    async for chunk in http.content.iter_any():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise TooLarge(f"Request entity too large: limit is {LARGEST_BODY}")
    return bytes(body)


def json_response(value: Any, code: int = 200, warnings: list[str] | None = None) -> web.Response:
    return raw_response(to_json(value), code, warnings)


def raw_response(body: bytes, code: int = 200, warnings: list[str] | None = None) -> web.Response:
    response = web.Response(body=body, status=code, content_type="application/json")
    for text in dict.fromkeys(warnings or ()):
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{escaped}"')
    return response


def out(resource: Resource, obj: Object) -> Object:
    """A stored object as this version shows it."""
    if resource.convert_out is not None:
        return resource.convert_out(obj)
    if resource.version != resource.storage_version:
        return {**obj, "apiVersion": resource.api_version}
    return obj


def is_stored_form(resource: Resource) -> bool:
    return resource.convert_out is None and resource.version == resource.storage_version


def success(resource: Resource, obj: Object) -> Object:
    """The Status that answers a deletion."""
    details = {"name": obj["metadata"]["name"], "kind": resource.plural, "uid": obj["metadata"]["uid"]}
    if resource.group:
        details["group"] = resource.group
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    }
