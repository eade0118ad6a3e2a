"""Faults of the API server, the nodes and the clock, on demand: for tests, scenarios and `kubernaut dev fault`.

A fault is a value: what goes wrong, for whom, how often, how long. Chances are drawn from one generator with a
seed, so that a run with the same requests in the same order meets the same faults.
"""

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from kubernaut.concurrency import Clock, VirtualClock, within
from kubernaut.devcluster.errors import (
    ApiError,
    BadRequest,
    Conflict,
    Forbidden,
    Gone,
    InternalError,
    MethodNotAllowed,
    NotFound,
    TooManyRequests,
    Unavailable,
)
from kubernaut.devcluster.identity.users import MASTERS, User
from kubernaut.devcluster.request_log import WRITES

from .rest.call import json_response
from .rest.paths import Target, target_of, verb_of

PATH = "/devcluster/faults"
"""Where the administrator of a running cluster lists, adds and clears them."""

Kind = Literal[
    "latency",
    "conflict",
    "too-many",
    "error",
    "unavailable",
    "lost-answer",
    "broken-watch",
    "stale-watch",
    "gone",
    "restart",
    "node-death",
    "clock-jump",
]
_AT_ONCE = frozenset({"restart", "node-death", "clock-jump"})
_OF_WRITES = frozenset({"conflict", "lost-answer"})
_OF_WATCHES = frozenset({"broken-watch", "stale-watch", "gone"})


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """What goes wrong. Empty lists mean everybody, every verb (that the kind can concern), every resource."""

    kind: Kind
    users: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    """`jobs.batch`, `pods/status`."""
    chance: float = 1.0
    """Of each request that it concerns."""
    times: int | None = None
    """At most so many requests; then it is gone."""
    seconds: float = 1.0
    """latency, stale-watch: how much later. broken-watch: how long one lasts. too-many: when to come back.
    restart: how long it is away. clock-jump: how far, also back."""
    lasts_seconds: float | None = None
    """It is gone so long after it was added."""
    node: str = ""
    """node-death: which; by default the only one."""

    def __post_init__(self) -> None:
        if not 0 <= self.chance <= 1:
            raise ValueError("chance is between 0 and 1")
        if self.seconds < 0 and self.kind != "clock-jump":
            raise ValueError("only a clock can jump by less than zero seconds")
        if self.node and self.kind != "node-death":
            raise ValueError("only a node-death names a node")

    def concerns(self, user: str, verb: str, resource: str) -> bool:
        """Whether a request is one of those that it is about."""
        if self.kind in _AT_ONCE or (self.users and user not in self.users):
            return False
        if (self.kind in _OF_WATCHES) != (verb == "watch") and self.kind != "latency":
            return False
        if self.kind in _OF_WRITES and verb not in WRITES:
            return False
        return (not self.verbs or verb in self.verbs) and (not self.resources or resource in self.resources)


class JumpingClock:
    """Another clock, whose time of day can be put forward and back; durations stay true."""

    def __init__(self, inner: Clock) -> None:
        self._inner = inner
        self._ahead = timedelta()

    @property
    def is_virtual(self) -> bool:
        """Whether it does not go with the machine's time."""
        return isinstance(self._inner, VirtualClock)

    def jump(self, seconds: float) -> None:
        self._ahead += timedelta(seconds=seconds)

    def now(self) -> datetime:
        return self._inner.now() + self._ahead

    def monotonic(self) -> float:
        return self._inner.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


class Patient(Protocol):
    """What faults need of the server that they befall."""

    def who(self, http: web.BaseRequest) -> User: ...

    def cut(self, spared: object = None) -> None:
        """Break every connection but the one with this transport."""
        ...


@dataclass(slots=True)
class _Entry:
    number: int
    fault: Fault
    left: int | None
    until: float | None


class Faults:
    """Those that are in force. A middleware of the API server."""

    def __init__(self, patient: Patient, clock: JumpingClock, seed: int = 0) -> None:
        self.kill_node: Callable[[str], Awaitable[None]] | None = None
        """Takes the power from a node; set by whoever runs nodes. Raises KeyError for one that there is not."""
        self.met: list[tuple[Kind, str, str]] = []
        """(kind, verb, resource) of every request that met one, in order."""
        self._patient = patient
        self._clock = clock
        self._random = random.Random(seed)
        self._entries: list[_Entry] = []
        self._count = 0
        self._away_until = 0.0

    def reseed(self, seed: int) -> None:
        """Begin the draws of chances anew."""
        self._random = random.Random(seed)

    async def add(self, fault: Fault, spared: object = None) -> int:
        """Its number. What happens at once has happened. Raises BadRequest for a node that there is not.

        `spared` is the transport of a connection that outlives a restart: the one on which it was asked for.
        """
        self._count += 1
        now = self._clock.monotonic()
        if fault.kind not in _AT_ONCE:
            until = None if fault.lasts_seconds is None else now + fault.lasts_seconds
            self._entries.append(_Entry(self._count, fault, fault.times, until))
        elif fault.kind == "restart":
            self._away_until = now + fault.seconds
            self._patient.cut(spared)
        elif fault.kind == "clock-jump":
            self._clock.jump(fault.seconds)
        else:
            await self._kill(fault.node)
        return self._count

    def clear(self, number: int | None = None) -> None:
        """One, or all. Raises NotFound."""
        kept = [] if number is None else [entry for entry in self._entries if entry.number != number]
        if number is not None and len(kept) == len(self._entries):
            raise NotFound(f"there is no fault {number}")
        self._entries = kept

    def in_force(self) -> Mapping[int, Fault]:
        """By number."""
        now = self._clock.monotonic()
        self._entries = [entry for entry in self._entries if entry.until is None or now < entry.until]
        return {entry.number: entry.fault for entry in self._entries}

    async def __call__(
        self, http: web.BaseRequest, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        path, _, query = http.raw_path.partition("?")
        if path == PATH:
            return await self._serve(http, dict(parse_qsl(query)))
        if self._clock.monotonic() < self._away_until:
            return _lost(http)
        if not self._entries:
            return await handler(http)
        target = target_of(path)
        is_watch = dict(parse_qsl(query)).get("watch") in ("1", "true", "True")
        verb = verb_of(http.method, target, is_watch=is_watch and http.method == "GET")
        met = self._draw(http, verb, target)
        for fault in met:
            if fault.kind == "latency":
                await self._clock.sleep(fault.seconds)
        worst = next((fault for fault in met if fault.kind not in ("latency", "stale-watch")), None)
        return await (handler(http) if worst is None else self._befall(worst, http, handler))

    async def hold(self, http: web.BaseRequest) -> None:
        """Before a watch tells anything: how long it stays silent."""
        if any(entry.fault.kind == "stale-watch" for entry in self._entries):
            for fault in self._draw(http, "watch", target_of(http.raw_path.partition("?")[0])):
                if fault.kind == "stale-watch":
                    await self._clock.sleep(fault.seconds)

    def _draw(self, http: web.BaseRequest, verb: str, target: Target) -> list[Fault]:
        self.in_force()
        user = self._name_of(http)
        resource = f"{target.full_resource}.{target.group}" if target.group else target.full_resource
        met: list[Fault] = []
        for entry in tuple(self._entries):
            if not entry.fault.concerns(user, verb, resource) or self._random.random() >= entry.fault.chance:
                continue
            met.append(entry.fault)
            self.met.append((entry.fault.kind, verb, resource))
            if entry.left is not None:
                entry.left -= 1
                if entry.left <= 0:
                    self._entries.remove(entry)
        return met

    async def _befall(
        self,
        fault: Fault,
        http: web.BaseRequest,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        if fault.kind == "lost-answer":
            await handler(http)
            return _lost(http)
        if fault.kind == "broken-watch":

            async def watching() -> web.StreamResponse:
                return await handler(http)

            try:
                return await within(self._clock, fault.seconds, watching())
            except TimeoutError:
                return _lost(http)
        raise _refusal(fault)

    async def _kill(self, node: str) -> None:
        if self.kill_node is None:
            raise BadRequest("this cluster has no nodes that could die")
        try:
            await self.kill_node(node)
        except KeyError:
            raise BadRequest(f"there is no node {node!r} that runs here") from None

    def _name_of(self, http: web.BaseRequest) -> str:
        try:
            return self._patient.who(http).name
        except ApiError:
            return ""

    async def _serve(self, http: web.BaseRequest, query: Mapping[str, str]) -> web.StreamResponse:
        """The administrator's way in."""
        if MASTERS not in self._patient.who(http).groups:
            raise Forbidden("only the administrator of the cluster may break it")
        if http.method == "POST":
            try:
                wanted = msgspec.json.decode(await http.content.read(), type=list[Fault])
            except (msgspec.DecodeError, UnicodeError) as error:
                raise BadRequest(str(error)) from error
            if query.get("seed", "").isdecimal():
                self.reseed(int(query["seed"]))
            return json_response({"added": [await self.add(fault, http.transport) for fault in wanted]}, 201)
        if http.method == "DELETE":
            self.clear(int(query["number"]) if query.get("number", "").isdecimal() else None)
        elif http.method != "GET":
            raise MethodNotAllowed.here()
        return json_response({"faults": self._told()})

    def _told(self) -> list[dict[str, Any]]:
        faults = self.in_force()
        return [
            {"number": entry.number, "left": entry.left, "fault": _plain(faults[entry.number])}
            for entry in self._entries
        ]


def storm(seed: int) -> Sequence[Fault]:
    """A mixture of everything that passes by itself, different for each seed."""
    draw = random.Random(seed)
    return (
        Fault(kind="latency", chance=0.2, seconds=draw.uniform(0.05, 2.0)),
        Fault(kind="conflict", chance=draw.uniform(0.02, 0.2)),
        Fault(kind="too-many", chance=draw.uniform(0.02, 0.1)),
        Fault(kind="error", chance=draw.uniform(0.02, 0.1)),
        Fault(kind="unavailable", chance=draw.uniform(0.02, 0.1)),
        Fault(kind="lost-answer", chance=draw.uniform(0.02, 0.1)),
        Fault(kind="broken-watch", chance=draw.uniform(0.1, 0.5), seconds=draw.uniform(1.0, 20.0)),
        Fault(kind="stale-watch", chance=draw.uniform(0.05, 0.3), seconds=draw.uniform(0.5, 5.0)),
        Fault(kind="gone", chance=draw.uniform(0.02, 0.2)),
    )


def _refusal(fault: Fault) -> ApiError:
    match fault.kind:
        case "conflict":
            return Conflict("Operation cannot be fulfilled: the object has been modified (injected fault)")
        case "too-many":
            later = {"retryAfterSeconds": max(1, round(fault.seconds))}
            return TooManyRequests("too many requests, please try again later (injected fault)", later)
        case "unavailable":
            return Unavailable("apiserver is shutting down (injected fault)")
        case "gone":
            return Gone("too old resource version (injected fault)")
        case _:
            return InternalError("Internal error occurred: injected fault")


def _lost(http: web.BaseRequest) -> web.StreamResponse:
    if http.transport is not None:
        http.transport.abort()
    return web.Response(status=500)


def _plain(fault: Fault) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(fault)
    plain: dict[str, Any] = msgspec.to_builtins(Fault(kind=fault.kind))
    return {key: value for key, value in shown.items() if key == "kind" or value != plain[key]}
