"""The fence: of all processes that were ever started for an attempt, one at most may change anything.

The controller arms a Lease for the attempt before it starts anything: no holder, `leaseTransitions` = the attempt.
Whoever writes itself as holder, against the resourceVersion it read, has the attempt; nobody ever takes it over.
"""

from datetime import datetime

from kubernaut.cluster import Cluster, ClusterError, Conflict, Json, NotFound, kinds
from kubernaut.concurrency import Clock
from kubernaut.sdk.environment import RunnerEnvironment
from kubernaut.sdk.errors import FenceHeld

_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_UNSURE = (500, 502, 503, 504)


async def take_fence(cluster: Cluster, environment: RunnerEnvironment, nonce: str, clock: Clock) -> None:
    """Take the attempt's Lease, or raise FenceHeld: then this process must change nothing.

    An answer that never came is no answer: the Lease is read until it says whose it is. Other ClusterErrors
    rise; also then nothing may be changed.
    """
    own = f"{environment.pod_uid or 'unknown-pod'}/{nonce}"
    pause = _PAUSE_SECONDS
    while True:
        lease = await _read(cluster, environment)
        holder = str(lease["spec"].get("holderIdentity") or "")
        if holder == own:
            return
        _check(lease, holder, environment)
        try:
            taken = await cluster.replace(kinds.LEASES, _held(lease, own, clock.now()))
        except Conflict:
            continue
        except ClusterError as error:
            if error.status and error.status not in _UNSURE:
                raise
        else:
            if taken["spec"].get("holderIdentity") == own:
                return
        await clock.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


async def _read(cluster: Cluster, environment: RunnerEnvironment) -> Json:
    try:
        return await cluster.get(kinds.LEASES, environment.lease, environment.namespace)
    except NotFound as error:
        raise FenceHeld(f"the fence {environment.lease} is gone: this attempt is over") from error


def _check(lease: Json, holder: str, environment: RunnerEnvironment) -> None:
    if holder:
        raise FenceHeld(f"the fence {environment.lease} is held by {holder}")
    armed = lease["spec"].get("leaseTransitions") or 0
    if armed != environment.attempt:
        raise FenceHeld(
            f"the fence {environment.lease} is armed for attempt {armed}, this is attempt {environment.attempt}"
        )


def _held(lease: Json, own: str, now: datetime) -> Json:
    # MicroTime of the Kubernetes API: microseconds are required.
    stamp = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {**lease["spec"], "holderIdentity": own, "acquireTime": stamp, "renewTime": stamp}
    return {**lease, "apiVersion": kinds.LEASES.api_version, "kind": kinds.LEASES.kind, "spec": spec}
