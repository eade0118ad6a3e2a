"""What a simulated program does, as a value; and what it shows at a moment, as a function of it. PURE.

A model stands as YAML in the annotation `devcluster.kubernaut.ai/model` of a pod; docs/simulator.md tells of it.
Laws: equal facts show the same; more memory never kills; a restart forgets a leak and nothing else; what is full
stays full until there is more room.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from kubernaut.devcluster.quantities import COMPLAINT, parse_quantity

OUT_OF_MEMORY = 137
_PATIENCE = 1.0
"""Seconds after its start in which a program finds out that it cannot go on."""


class ModelInvalid(ValueError):
    """A pod's model says something that there is not."""


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Holds while all that it names is so. Exactly one subject; `is` and `isNot` compare a value with a text."""

    config_map: str = ""
    secret: str = ""
    key: str = ""
    env: str = ""
    image: str = ""
    """A part of the image's name."""
    command: str = ""
    """A part of command and arguments."""
    down: str = ""
    """`deployment/name`, `statefulset/name` or `service/name`, of which no pod is ready."""
    namespace: str = ""
    """Of `down`; by default the pod's own."""
    is_: str | None = msgspec.field(default=None, name="is")
    is_not: str | None = None

    def __post_init__(self) -> None:
        subjects = [
            name for name in ("config_map", "secret", "env", "image", "command", "down") if getattr(self, name)
        ]
        if len(subjects) != 1:
            raise ValueError("a condition names one of configMap, secret, env, image, command, down")
        if (self.config_map or self.secret) and not self.key:
            raise ValueError("a condition on a ConfigMap or a Secret names a key")
        if (self.config_map or self.secret or self.env) and (self.is_ is None) == (self.is_not is None):
            raise ValueError("a condition on a value says `is` or `isNot`")
        if self.down and self.down.partition("/")[0] not in {"deployment", "statefulset", "service"}:
            raise ValueError("`down` names deployment/..., statefulset/... or service/...")


class Crash(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """It ends by itself while a condition holds."""

    when: Condition
    exit_code: int = 1
    says: str = ""
    """The last line of its log."""


class Disk(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """It writes to one of its volumes, and ends when that is full."""

    volume: str
    holds: str = "0"
    """What lies there when the volume is new."""
    writes_per_minute: str = "0"


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """One simulated program. Amounts are Kubernetes quantities."""

    start_seconds: float | None = None
    """From the start of the container until it is ready."""
    needs_memory: str = "0"
    """It is killed for memory where its limit is lower."""
    leaks_per_minute: str = "0"
    """How much more it needs each minute; a restart begins at `needsMemory` again."""
    crashes: tuple[Crash, ...] = ()
    unready_while: tuple[Condition, ...] = ()
    pull_fails: tuple[Condition, ...] = ()
    disk: Disk | None = None

    @property
    def conditions(self) -> Iterator[Condition]:
        """All that it depends on."""
        yield from (crash.when for crash in self.crashes)
        yield from self.unready_while
        yield from self.pull_fails


@dataclass(frozen=True, slots=True)
class Facts:
    """What the program finds around itself, at one moment."""

    running_seconds: float
    memory_limit: int | None = None
    """Bytes."""
    image: str = ""
    command: str = ""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    values: Mapping[tuple[str, str, str], str] = field(default_factory=dict[tuple[str, str, str], str])
    """By (`configMap` or `secret`, name, key); absent ones are not there."""
    down: frozenset[tuple[str, str]] = frozenset()
    """(`deployment/name`, namespace as the condition says it) of what has no ready pod."""
    disk_room: int | None = None
    """Bytes that the volume holds; None without a limit."""
    disk_before: int = 0
    """Bytes that lay there when this container started."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What can be seen of it."""

    state: Literal["starting", "running", "ended"]
    is_ready: bool = False
    exit_code: int = 0
    is_out_of_memory: bool = False
    says: str = ""
    changes_in: float | None = None
    """Seconds until it shows something else by itself; None when only the world can change it."""


def parse_model(text: str) -> Model:
    """The model that stands in an annotation. Raises ModelInvalid."""
    import yaml

    try:
        model = msgspec.convert(yaml.safe_load(text) or {}, Model, strict=False)
        disk = (model.disk.holds, model.disk.writes_per_minute) if model.disk else ()
        for amount in (model.needs_memory, model.leaks_per_minute, *disk):
            parse_quantity(amount)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise ModelInvalid(f"the model cannot be read: {error}") from error
    except ValueError as error:
        raise ModelInvalid(f"the model cannot be read: {COMPLAINT if not str(error) else error}") from error
    return model


def holds(condition: Condition, facts: Facts) -> bool:
    """Whether it is so. What is absent is no value at all: it never `is`, and always `isNot`."""
    if condition.image:
        return condition.image in facts.image
    if condition.command:
        return condition.command in facts.command
    if condition.down:
        return (condition.down, condition.namespace) in facts.down
    if condition.env:
        value = facts.environment.get(condition.env)
    else:
        kind = "configMap" if condition.config_map else "secret"
        value = facts.values.get((kind, condition.config_map or condition.secret, condition.key))
    return value == condition.is_ if condition.is_ is not None else value != condition.is_not


def show(model: Model, facts: Facts) -> Shown:
    """What the program shows now. The first cause counts: memory, disk, crashes, then readiness."""
    start = model.start_seconds or 0.0
    patience = min(_PATIENCE, start) if model.start_seconds is not None else 0.0
    age = facts.running_seconds
    waits: list[float] = [start - age] if age < start else []
    if age < patience:
        return Shown("starting", changes_in=patience - age)
    until_killed = _until_killed(model, facts)
    if until_killed is not None:
        if until_killed <= 0:
            return Shown("ended", exit_code=OUT_OF_MEMORY, is_out_of_memory=True)
        waits.append(until_killed)
    until_full = _until_full(model, facts)
    if until_full is not None:
        if until_full <= 0:
            return Shown("ended", exit_code=1, says="write: no space left on device")
        waits.append(until_full)
    for crash in model.crashes:
        if holds(crash.when, facts):
            return Shown("ended", exit_code=crash.exit_code, says=crash.says)
    ready = age >= start and not any(holds(condition, facts) for condition in model.unready_while)
    return Shown("running", is_ready=ready, changes_in=min(waits, default=None))


def cannot_be_pulled(model: Model, facts: Facts) -> bool:
    return any(holds(condition, facts) for condition in model.pull_fails)


def written(model: Model, facts: Facts) -> int:
    """Bytes that lie on its volume by now."""
    if model.disk is None:
        return 0
    rate = float(parse_quantity(model.disk.writes_per_minute)) / 60
    full = float(facts.disk_room) if facts.disk_room is not None else float("inf")
    before = max(facts.disk_before, int(parse_quantity(model.disk.holds)))
    return round(min(full, before + rate * facts.running_seconds))


def _until_killed(model: Model, facts: Facts) -> float | None:
    if facts.memory_limit is None:
        return None
    needs, leak = float(parse_quantity(model.needs_memory)), float(parse_quantity(model.leaks_per_minute)) / 60
    return _until(needs, leak, float(facts.memory_limit), facts.running_seconds)


def _until_full(model: Model, facts: Facts) -> float | None:
    if model.disk is None or facts.disk_room is None:
        return None
    before = float(max(facts.disk_before, int(parse_quantity(model.disk.holds))))
    rate = float(parse_quantity(model.disk.writes_per_minute)) / 60
    # A disk is full when nothing more fits, a limit of memory is over when it is crossed.
    return (
        0.0 if before >= facts.disk_room else _until(before, rate, float(facts.disk_room), facts.running_seconds)
    )


def _until(begun: float, rate: float, limit: float, age: float) -> float | None:
    """Seconds until begun + rate x age is more than the limit; None for never."""
    if begun > limit:
        return 0.0
    return max(0.0, (limit - begun) / rate - age) if rate > 0 else None
