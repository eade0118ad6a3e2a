"""The only room that speaks to a Kubernetes API.

Belongs here: the client and its errors, what is built on watches (the informer), leader election,
where clusters and credentials are found. Objects are plain JSON dicts at this seam; typed decoding
is the caller's. Does not belong here: what any object means, and any decision.

Importing this room is cheap (it also runs inside action containers): the HTTP library is imported
with the first request, the informer, election and kubeconfig with their first use.
"""

from kubernaut.cluster import kinds
from kubernaut.cluster.client import FIELD_MANAGER, Cluster, Event, ObjectList, Write, WriteHook
from kubernaut.cluster.connection import (
    ClientCertificate,
    Connection,
    Credentials,
    FixedLogin,
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

__all__ = [
    "FIELD_MANAGER",
    "AlreadyExists",
    "BadRequest",
    "CannotConnect",
    "Cause",
    "ClientCertificate",
    "Cluster",
    "ClusterError",
    "Conflict",
    "Connection",
    "Credentials",
    "Event",
    "FixedLogin",
    "Forbidden",
    "Gone",
    "Invalid",
    "Json",
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
    "kinds",
]
