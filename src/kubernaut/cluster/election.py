"""Who of several processes may write: one holder of one Lease.

Method: client-go's leader election (coordination.k8s.io/v1 Lease). Clocks of different machines are
never compared: a holder is dead when *we* have seen no change of its Lease for its whole duration,
and we stop ourselves, by our own monotonic time, before anybody else may think that of us.
"""

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from kubernaut.cluster.client import Cluster, Write
from kubernaut.cluster.errors import AlreadyExists, ClusterError, Conflict, NotFound
from kubernaut.cluster.kinds import LEASES
from kubernaut.cluster.requests import Json
from kubernaut.concurrency import Clock, SystemClock, within

log = logging.getLogger(__name__)

_RELEASE_SECONDS = 3.0


class LeadershipLost(Exception):
    """This process must write no more; it ends, and starts again as a candidate."""


@dataclass(frozen=True)
class ElectionTimes:
    """Seconds. Each must be well above the next, or a slow API server costs the leadership."""

    lease: float = 15.0
    """How long the others wait after the holder's last sign of life."""
    renew: float = 10.0
    """How long the holder goes on writing after its last renewal."""
    retry: float = 2.0
    """Between two attempts to acquire or renew."""

    def __post_init__(self) -> None:
        if not self.lease > self.renew > self.retry > 0:
            raise ValueError(
                f"leader election needs lease > renew > retry > 0 seconds, "
                f"not {self.lease:g}, {self.renew:g}, {self.retry:g}"
            )


class LeaderElection:
    """Candidate, then leader, then done.

    `run` is a task: it waits for the leadership, sets `elected`, renews, and raises LeadershipLost
    when it is over (`lost` is set first). Cancelled, it gives the Lease back, so that the next
    holder need not wait; cancel it after everything that writes has ended.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        name: str,
        identity: str,
        *,
        times: ElectionTimes | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`identity` must differ between any two processes, also before and after a restart."""
        self.identity = identity
        self.elected = asyncio.Event()
        self.lost = asyncio.Event()
        self._cluster = cluster
        self._namespace = namespace
        self._name = name
        self._times = times or ElectionTimes()
        self._clock = clock or SystemClock()
        self._lease: Json | None = None
        self._seen: tuple[object, ...] = ()
        self._seen_at = 0.0
        self._held_until = 0.0
        self.holder = ""
        """Who holds the Lease as far as we have seen."""

    @property
    def is_leader(self) -> bool:
        """True only while nobody else can be: our last renewal is younger than `renew` seconds."""
        return self.elected.is_set() and not self.lost.is_set() and self._clock.monotonic() < self._held_until

    def guard(self, moment: Literal["before", "after"], write: Write) -> None:
        """A hook for `Cluster.on_write`: no write leaves a process that does not lead."""
        ours = write.kind is LEASES and (write.namespace, write.name) == (
            self._namespace,
            self._name,
        )
        if moment == "before" and not ours and not self.is_leader:
            raise LeadershipLost(f"{self.identity} does not hold {self._name}, so it writes nothing")

    async def run(self) -> None:
        try:
            await self._acquire()
            log.info("became leader", extra={"lease": self._name, "identity": self.identity})
            self.elected.set()
            await self._keep()
        except asyncio.CancelledError:
            if self.is_leader:
                await self._release()
            raise
        finally:
            self.lost.set()

    async def _acquire(self) -> None:
        while True:
            asked_at = self._clock.monotonic()
            try:
                if await self._try_to_take():
                    self._held_until = asked_at + self._times.renew
                    return
            except (AlreadyExists, Conflict):
                log.debug("another candidate was faster", extra={"lease": self._name})
            except ClusterError as error:
                log.warning("cannot ask for leadership", extra={"error": str(error)})
            await self._clock.sleep(self._times.retry)

    async def _keep(self) -> None:
        while True:
            left = self._held_until - self._clock.monotonic()
            await self._clock.sleep(min(self._times.retry, left))
            asked_at = self._clock.monotonic()
            left = self._held_until - asked_at
            try:
                renewed = left > 0 and await within(self._clock, left, self._renew())
            except TimeoutError:
                renewed = False
            except ClusterError as error:
                log.warning("cannot renew leadership", extra={"error": str(error)})
                self._lease = None  # whatever became of that write, read before the next one
                continue
            if not renewed:
                self.lost.set()
                raise LeadershipLost(f"{self.identity} lost {self._name} to {self.holder or 'time'}")
            self._held_until = asked_at + self._times.renew

    async def _try_to_take(self) -> bool:
        try:
            lease = await self._read()
        except NotFound:
            body = self._body({"metadata": {"name": self._name, "namespace": self._namespace}}, 0)
            self._lease = await self._cluster.create(LEASES, body)
            return True
        spec: Json = lease.get("spec") or {}
        if self.holder and self.holder != self.identity:
            duration = float(spec.get("leaseDurationSeconds") or self._times.lease)
            if self._clock.monotonic() < self._seen_at + duration:
                return False
        transitions = int(spec.get("leaseTransitions") or 0)
        transitions += self.holder != self.identity
        self._lease = await self._cluster.replace(LEASES, self._body(lease, transitions))
        return True

    async def _renew(self) -> bool:
        """Whether the Lease is still ours, and was renewed if so."""
        lease = self._lease or await self._read()
        spec: Json = lease.get("spec") or {}
        if spec.get("holderIdentity") != self.identity:
            return False
        body = self._body(lease, int(spec.get("leaseTransitions") or 0))
        self._lease = await self._cluster.replace(LEASES, body)
        return True

    async def _read(self) -> Json:
        lease = await self._cluster.get(LEASES, self._name, self._namespace)
        spec: Json = lease.get("spec") or {}
        self.holder = str(spec.get("holderIdentity") or "")
        seen = (lease["metadata"].get("uid"), self.holder, spec.get("renewTime"))
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._clock.monotonic()
        return lease

    async def _release(self) -> None:
        try:
            lease = self._lease or await self._read()
            if lease["spec"].get("holderIdentity") != self.identity:
                return
            spec = {**lease["spec"], "leaseDurationSeconds": 1}
            del spec["holderIdentity"]  # newer servers refuse an empty one
            work = self._cluster.replace(LEASES, {**lease, "spec": spec})
            await within(self._clock, _RELEASE_SECONDS, work)
        except (ClusterError, TimeoutError) as error:
            # The others wait for the Lease to run out, as after a crash.
            log.warning("cannot release leadership", extra={"error": str(error)})

    def _body(self, lease: Json, transitions: int) -> Json:
        now = _micro_time(self._clock.now())
        spec: Json = {**(lease.get("spec") or {})}
        if spec.get("holderIdentity") != self.identity:
            spec["acquireTime"] = now
        spec |= {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, round(self._times.lease)),
            "leaseTransitions": transitions,
            "renewTime": now,
        }
        return {**lease, "spec": spec}


def _micro_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
