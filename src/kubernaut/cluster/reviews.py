"""Questions to the API server's authorizer (authorization.k8s.io/v1)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from kubernaut.cluster.client import Cluster
from kubernaut.cluster.kinds import SELF_SUBJECT_ACCESS_REVIEWS, SUBJECT_ACCESS_REVIEWS
from kubernaut.cluster.requests import Json


@dataclass(frozen=True)
class Access:
    """What somebody wants to do."""

    verb: str
    resource: str
    """Plural, without group."""
    group: str = ""
    namespace: str = ""
    """Empty: in all namespaces, or an object without one."""
    name: str = ""
    """Empty: any object."""
    subresource: str = ""

    def to_json(self) -> Json:
        given = {
            "verb": self.verb,
            "group": self.group,
            "resource": self.resource,
            "subresource": self.subresource,
            "namespace": self.namespace,
            "name": self.name,
        }
        return {key: value for key, value in given.items() if value}


class AccessVerdict(NamedTuple):
    """The authorizer's answer, with its reason if it gave one."""

    allowed: bool
    reason: str


async def may_i(cluster: Cluster, access: Access) -> AccessVerdict:
    """Whether we ourselves may."""
    body = {"spec": {"resourceAttributes": access.to_json()}}
    return _verdict(await cluster.create(SELF_SUBJECT_ACCESS_REVIEWS, body, field_manager=""))


async def may(
    cluster: Cluster, access: Access, user: str, groups: Iterable[str] = (), uid: str = ""
) -> AccessVerdict:
    """Whether this user may; asking that needs a right of its own (`system:auth-delegator`)."""
    spec: Json = {"resourceAttributes": access.to_json(), "user": user, "groups": list(groups)}
    if uid:
        spec["uid"] = uid
    return _verdict(await cluster.create(SUBJECT_ACCESS_REVIEWS, {"spec": spec}, field_manager=""))


def _verdict(review: Json) -> AccessVerdict:
    status: Json = review.get("status") or {}
    reason = str(status.get("reason") or status.get("evaluationError") or "")
    return AccessVerdict(bool(status.get("allowed")) and not status.get("denied"), reason)
