"""What the API server answers instead of an object: one exception class for each reason.

The wording follows k8s.io/apimachinery `pkg/api/errors`, because people and programs match on it.
In-process clients of the store catch these classes; REST turns them into a Status body.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

FaultReason = Literal[
    "FieldValueRequired",
    "FieldValueInvalid",
    "FieldValueNotSupported",
    "FieldValueDuplicate",
    "FieldValueForbidden",
    "FieldValueNotFound",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
    "FieldManagerConflict",
    "InternalError",
]


@dataclass(frozen=True, slots=True)
class Fault:
    """One cause of a 422: where, what kind of fault, and the words for it (without the path)."""

    path: str
    reason: FaultReason
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message

    def to_cause(self) -> dict[str, str]:
        return {"reason": self.reason, "message": self.message, "field": self.path}


class ApiError(Exception):
    """Refused by the API server. `code` is the HTTP status, `reason` Kubernetes' own word."""

    code: int = 500
    reason: str = "InternalError"

    def __init__(self, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] | None = None if details is None else dict(details)
        self.metadata: dict[str, Any] = {}

    def to_status(self) -> dict[str, Any]:
        """Dump as a meta/v1 Status."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata,
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        status["code"] = self.code
        return status


class BadRequest(ApiError):
    code = 400
    reason = "BadRequest"


class Unauthorized(ApiError):
    code = 401
    reason = "Unauthorized"

    def __init__(self, message: str = "Unauthorized") -> None:
        super().__init__(message)


class Forbidden(ApiError):
    code = 403
    reason = "Forbidden"


class NotFound(ApiError):
    code = 404
    reason = "NotFound"

    @classmethod
    def of(cls, resource: str, name: str) -> NotFound:
        """`resource` as `plural` or `plural.group`."""
        return cls(f'{resource} "{name}" not found', _details(resource, name))

    @classmethod
    def page(cls) -> NotFound:
        return cls("the server could not find the requested resource", {})


class MethodNotAllowed(ApiError):
    code = 405
    reason = "MethodNotAllowed"

    @classmethod
    def here(cls) -> MethodNotAllowed:
        return cls("the server does not allow this method on the requested resource", {})


class NotAcceptable(ApiError):
    """None of the media types that the client would read is written here."""

    code = 406
    reason = "NotAcceptable"

    @classmethod
    def here(cls) -> NotAcceptable:
        known = "application/json, application/json;stream=watch"
        return cls(f"406: Not Acceptable\n\nAvailable representations: {known}", {})


class AlreadyExists(ApiError):
    code = 409
    reason = "AlreadyExists"

    @classmethod
    def of(cls, resource: str, name: str) -> AlreadyExists:
        return cls(f'{resource} "{name}" already exists', _details(resource, name))


class Conflict(ApiError):
    """Optimistic locking, a failed precondition, or fields owned by another manager."""

    code = 409
    reason = "Conflict"

    @classmethod
    def of(cls, resource: str, name: str, why: str) -> Conflict:
        message = f'Operation cannot be fulfilled on {resource} "{name}": {why}'
        return cls(message, _details(resource, name))

    @classmethod
    def modified(cls, resource: str, name: str) -> Conflict:
        return cls.of(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )

    @classmethod
    def of_managers(cls, faults: Iterable[Fault]) -> Conflict:
        """Server-side apply met fields of other managers."""
        causes = [fault.to_cause() for fault in faults]
        word = "conflict" if len(causes) == 1 else "conflicts"
        told = _conflict_lines(causes)
        return cls(
            f"Apply failed with {len(causes)} {word}: {told}",
            {"causes": causes},
        )


class Gone(ApiError):
    """The resourceVersion or continue token is older than the history that is kept."""

    code = 410
    reason = "Expired"

    @classmethod
    def of_page(cls, token: str) -> Gone:
        """A list that was read in pages. `token` goes on with what there is by now."""
        gone = cls(
            "The provided continue parameter is too old to display a consistent list result. You can start a new "
            "list without the continue parameter, or use the continue token in this response to retrieve the "
            "remainder of the results. Continuing with the provided token results in an inconsistent list - "
            "objects that were created, modified, or deleted between the time the first chunk was returned and "
            "now may show up in the list."
        )
        gone.metadata = {"continue": token}
        return gone


class TooLarge(ApiError):
    code = 413
    reason = "RequestEntityTooLarge"


class UnsupportedMediaType(ApiError):
    code = 415
    reason = "UnsupportedMediaType"


class Invalid(ApiError):
    """Validation failed; `faults` says where and why."""

    code = 422
    reason = "Invalid"

    def __init__(
        self,
        message: str,
        details: Mapping[str, Any] | None = None,
        faults: Iterable[Fault] = (),
    ) -> None:
        super().__init__(message, details)
        self.faults = tuple(faults)

    @classmethod
    def of(cls, group: str, kind: str, name: str, faults: Iterable[Fault]) -> Invalid:
        found = tuple(dict.fromkeys(faults))
        texts = [str(fault) for fault in found]
        told = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
        qualified = f"{kind}.{group}" if group else kind
        details: dict[str, Any] = {
            key: value for key, value in (("name", name), ("group", group), ("kind", kind)) if value
        }
        details["causes"] = [fault.to_cause() for fault in found]
        return cls(f'{qualified} "{name}" is invalid: {told}', details, found)


def refused_option(kind: str, fault: Fault) -> Invalid:
    """A query parameter or an option body that makes no sense; `kind` as in `ListOptions`."""
    return Invalid.of("meta.k8s.io", kind, "", [fault])


class TooManyRequests(ApiError):
    code = 429
    reason = "TooManyRequests"


class InternalError(ApiError):
    pass


class Unclassified(ApiError):
    """What the API server refuses with a bare 500 although the caller is at fault."""

    code = 500
    reason = ""


class NotImplementedHere(ApiError):
    """A real cluster does it."""

    code = 501
    reason = "NotImplemented"

    @classmethod
    def of(cls, subresource: str) -> NotImplementedHere:
        return cls(
            f"this embedded cluster does not do {subresource} of pods (docs/devcluster.md lists what it lacks); "
            "kubectl logs and kubectl describe work",
            {},
        )


class Unavailable(ApiError):
    code = 503
    reason = "ServiceUnavailable"


class ServerTimeout(ApiError):
    code = 504
    reason = "Timeout"


def _details(resource: str, name: str) -> dict[str, str]:
    plural, _, group = resource.partition(".")
    details = {"name": name}
    if group:
        details["group"] = group
    details["kind"] = plural
    return details


def _conflict_lines(causes: list[dict[str, str]]) -> str:
    if len(causes) == 1:
        return f"{causes[0]['message']}: {causes[0]['field']}"
    by_manager: dict[str, list[str]] = {}
    for cause in causes:
        by_manager.setdefault(cause["message"].replace("conflict ", "conflicts ", 1), []).append(cause["field"])
    blocks = [manager + ":\n" + "\n".join(f"- {path}" for path in paths) for manager, paths in by_manager.items()]
    return "\n".join(blocks)
