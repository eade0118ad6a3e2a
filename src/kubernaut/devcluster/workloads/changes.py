"""What a controller decided, as data: the changes of one turn and the moment to look again.

Changes name objects, never their resourceVersion: a turn reads, decides and applies without giving
up the event loop, so that nothing can have changed in between.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from kubernaut.devcluster.objects import Object
from kubernaut.devcluster.resources import Propagation

EventType = Literal["Normal", "Warning"]


@dataclass(frozen=True, slots=True)
class Tell:
    """Write an Event about an object. `{name}` in the message is that of the object just created."""

    about: Object
    type: EventType
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Create:
    """Create an object; what to say when it is there, and under which reason when it is refused."""

    resource: str
    body: Object
    created: Tell | None = None
    refused: Tell | None = None
    """Its message is a prefix; the refusal's own words follow."""


@dataclass(frozen=True, slots=True)
class Merge:
    """A JSON merge patch (RFC 7386) of an object."""

    resource: str
    namespace: str
    name: str
    patch: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SetStatus:
    """Replace an object's status."""

    resource: str
    namespace: str
    name: str
    status: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete exactly this object: another of the same name is left alone."""

    resource: str
    namespace: str
    name: str
    uid: str
    propagation: Propagation = "Background"


Change: TypeAlias = Create | Merge | SetStatus | Delete | Tell


@dataclass(frozen=True, slots=True)
class Turn:
    """All that one look at one object leads to."""

    changes: tuple[Change, ...] = ()
    look_again: float | None = None
    """Seconds until time alone may change the decision."""


def sooner(first: float | None, second: float | None) -> float | None:
    """The earlier of two moments to look again, either of which may be missing."""
    if first is None or second is None:
        return second if first is None else first
    return min(first, second)
