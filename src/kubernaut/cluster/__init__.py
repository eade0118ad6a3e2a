"""The only room that speaks to a Kubernetes API.

Belongs here: the client and its errors, what is built on watches (the informer), leader election,
where clusters and credentials are found. Objects are plain JSON dicts at this seam; typed decoding
is the caller's. Does not belong here: what any object means, and any decision.

Importing this room is cheap (it also runs inside action containers): the HTTP library is imported
with the first request, the informer, election and kubeconfig with their first use.
"""

from typing import TYPE_CHECKING

from kubernaut.cluster import kinds
from kubernaut.cluster.client import FIELD_MANAGER, Cluster, Event, ObjectList, Write, WriteHook
from kubernaut.cluster.connection import (
    ClientCertificate,
    Connection,
    Credentials,
    FixedLogin,
    Impersonation,
    Login,
)
from kubernaut.cluster.errors import (
    AlreadyExists,
    BadRequest,
    CannotConnect,
    Cause,
    ClusterError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    OutcomeUnknown,
    ServerError,
    TooManyRequests,
    Unauthorized,
    Unreachable,
)
from kubernaut.cluster.kinds import ResourceKind
from kubernaut.cluster.requests import Json, PatchType, Propagation

if TYPE_CHECKING:
    from kubernaut.cluster.applying import Applied, apply_manifests
    from kubernaut.cluster.discovery import crd_annotation, is_served
    from kubernaut.cluster.election import ElectionTimes, LeaderElection, LeadershipLost
    from kubernaut.cluster.informer import Informer, Key
    from kubernaut.cluster.reviews import Access, AccessVerdict, may, may_i

_LATER = {
    "Access": "reviews",
    "AccessVerdict": "reviews",
    "Applied": "applying",
    "ElectionTimes": "election",
    "Informer": "informer",
    "Key": "informer",
    "LeaderElection": "election",
    "LeadershipLost": "election",
    "apply_manifests": "applying",
    "crd_annotation": "discovery",
    "is_served": "discovery",
    "may": "reviews",
    "may_i": "reviews",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)


__all__ = [
    "FIELD_MANAGER",
    "Access",
    "AccessVerdict",
    "AlreadyExists",
    "Applied",
    "BadRequest",
    "CannotConnect",
    "Cause",
    "ClientCertificate",
    "Cluster",
    "ClusterError",
    "Conflict",
    "Connection",
    "Credentials",
    "ElectionTimes",
    "Event",
    "FixedLogin",
    "Forbidden",
    "Gone",
    "Impersonation",
    "Informer",
    "Invalid",
    "Json",
    "Key",
    "LeaderElection",
    "LeadershipLost",
    "Login",
    "NotFound",
    "ObjectList",
    "OutcomeUnknown",
    "PatchType",
    "Propagation",
    "ResourceKind",
    "ServerError",
    "TooManyRequests",
    "Unauthorized",
    "Unreachable",
    "Write",
    "WriteHook",
    "apply_manifests",
    "crd_annotation",
    "is_served",
    "kinds",
    "may",
    "may_i",
]
