"""What can go wrong between us and an API server, named for what happened.

Built from the `Status` bodies of the Kubernetes API (meta/v1 Status, `reason` and `details`).
Foreign exceptions are turned into these in the sender and nowhere else.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

_LONGEST_TEXT = 1000


class Cause(NamedTuple):
    """One fault of a refused object."""

    field: str
    """Path into the object, as the API server writes it: `spec.template.spec.containers[0]`."""
    message: str
    reason: str


class ClusterError(Exception):
    """The cluster's fault, or one that only the cluster knows of."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        reason: str = "",
        causes: tuple[Cause, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(shortened(message))
        self.status = status
        """HTTP status; 0 where no answer came."""
        self.reason = reason
        """The Status body's CamelCase reason."""
        self.causes = causes
        self.retry_after = retry_after
        """Seconds the server asks to wait before the same request may succeed."""

    @property
    def message(self) -> str:
        """What is told to people."""
        return str(self.args[0])


class BadRequest(ClusterError):
    """The request itself was malformed: mostly a bug of ours."""


class Unauthorized(ClusterError):
    """The server does not know who asks."""


class Forbidden(ClusterError):
    """The server knows who asks, and RBAC or an admission plugin says no."""


class NotFound(ClusterError):
    """The object, its namespace or its kind is not there."""


class AlreadyExists(ClusterError):
    """An object of that name is there already: look whose it is."""


class Conflict(ClusterError):
    """The object changed since it was read, or another field manager owns a field."""


class Gone(ClusterError):
    """The resourceVersion asked for is too old: list again."""


class Invalid(ClusterError):
    """The object breaks its schema or a rule; `causes` says where."""


class TooManyRequests(ClusterError):
    """The server, or a PodDisruptionBudget, asks to come back later."""


class ServerError(ClusterError):
    """The server failed on a request that changes nothing."""


class Unreachable(ClusterError):
    """No answer came, and nothing was changed by the request."""

    def __init__(self, message: str, *, refused: bool = False, untrusted: bool = False) -> None:
        super().__init__(message)
        self.refused = refused
        """Whether no connection came about at all."""
        self.untrusted = untrusted
        """Whether somebody answered whose certificate is not trusted."""


class OutcomeUnknown(ClusterError):
    """A write was sent and its outcome is not known: read before deciding anything."""


class CannotConnect(ClusterError):
    """Never sent: the kubeconfig or the credentials cannot be used; the text says how to mend it."""


class NoClusterKnown(CannotConnect):
    """Nothing says which cluster is meant."""


_BY_STATUS: Mapping[int, type[ClusterError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: BadRequest,
    406: BadRequest,
    409: Conflict,
    410: Gone,
    413: Invalid,
    415: BadRequest,
    422: Invalid,
    429: TooManyRequests,
}


def shortened(text: str) -> str:
    """Error text as it may be logged or stored: one object can fill a Status with megabytes."""
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def error_from_answer(
    status: int, body: bytes, *, asked: str, retry_after: str | None = None, changes: bool = False
) -> ClusterError:
    """The error for an answer with this HTTP status; `asked` says what was asked for, in words.

    A 5xx answer to a write leaves its outcome unknown, unless the server names a time to come back.
    """
    said = _status_body(body)
    details = said.details or _Details()
    message = (said.message or "") or body[:_LONGEST_TEXT].decode("utf-8", "replace")
    wait = _seconds(retry_after) or _seconds(details.retryAfterSeconds)
    kind = _BY_STATUS.get(status)
    if status == 409 and said.reason == "AlreadyExists":
        kind = AlreadyExists
    if kind is None:
        unknown = changes and wait is None and status >= 500
        kind = OutcomeUnknown if unknown else ServerError
    return kind(
        f"{asked}: {message.strip() or 'HTTP status ' + str(status)}",
        status=status,
        reason=said.reason or "",
        causes=tuple(
            Cause(cause.field or "", shortened(cause.message or ""), cause.reason or "")
            for cause in details.causes or ()
        ),
        retry_after=wait,
    )


# meta/v1 Status, StatusDetails and StatusCause; field names are the wire's.
class _StatusCause(msgspec.Struct):
    field: str | None = None
    message: str | None = None
    reason: str | None = None


class _Details(msgspec.Struct):
    causes: list[_StatusCause] | None = None
    retryAfterSeconds: float | None = None  # noqa: N815


class _Status(msgspec.Struct):
    kind: str = ""
    reason: str | None = None
    message: str | None = None
    details: _Details | None = None


_status_decoder = msgspec.json.Decoder(_Status)


def _status_body(body: bytes) -> _Status:
    try:
        said = _status_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeError):  # a proxy's page, or nothing
        return _Status()
    return said if said.kind == "Status" else _Status()


def _seconds(text: object) -> float | None:
    # Retry-After may also be a date (RFC 9110); the Kubernetes API only ever sends seconds.
    try:
        seconds = float(str(text))
    except ValueError:
        return None
    return seconds if seconds > 0 else None
