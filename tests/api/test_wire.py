"""Every struct survives the way over the wire, and says nothing that it need not."""

import json
import re
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from kubernaut.api import action, contract, definition, faults, meta, workflow
from kubernaut.api.meta import to_object, to_wire

MODULES = (action, contract, definition, faults, meta, workflow)
STRUCTS = sorted(
    {
        thing
        for module in MODULES
        for thing in vars(module).values()
        if isinstance(thing, type) and issubclass(thing, msgspec.Struct) and thing is not meta.Frozen
    },
    key=lambda struct: struct.__name__,
)

WRITTEN: tuple[str, ...] = (
    "",
    "a",
    "a-1",
    "k/scale_up",
    "1.2.3",
    "v0.1.0-rc.1",
    "5m",
    "1h30m",
    "True",
    "Unknown",
    "succeeded",
    "_x",
)
WRITTEN = (*WRITTEN, "registry.example/scale@sha256:" + "0a" * 32)
"""Texts among which there is at least one for each pattern."""

FREE: tuple[Any, ...] = (None, True, 3, -1.5, "text", "ünï", ["a", 1, None], {"k": {"n": [1]}}, {}, [])
"""JSON values for what is free-form."""


def made(info: inspect.Type, random: Random) -> Any:
    """A value of a declared type, within its bounds."""
    match info:
        case inspect.Metadata():
            return made(info.type, random)
        case inspect.StructType():
            fields = [f for f in info.fields if f.required or random.random() < 0.5]
            return info.cls(**{f.name: made(f.type, random) for f in fields})
        case inspect.VarTupleType():
            count = random.randint(info.min_length or 0, min(2, info.max_length or 2))
            return tuple(made(info.item_type, random) for _ in range(count))
        case inspect.DictType():
            return {
                key: made(info.value_type, random)
                for key in random.sample(("a", "b.c", "ü"), random.randint(0, 2))
            }
        case inspect.UnionType():
            return made(random.choice(info.types), random)
        case _:
            return _scalar(info, random)


def _scalar(info: inspect.Type, random: Random) -> Any:
    match info:
        case inspect.StrType():
            fitting = [text for text in WRITTEN if re.search(info.pattern or "", text)]
            return random.choice([text for text in fitting if len(text) <= (info.max_length or 200)])
        case inspect.IntType():
            return random.randint(-1000 if info.ge is None else int(info.ge), int(info.le or 1000))
        case inspect.FloatType():
            return random.uniform(info.ge or 0, info.le or 1000)
        case inspect.BoolType():
            return random.random() < 0.5
        case inspect.DateTimeType():
            return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=random.randint(0, 10**12))
        case inspect.EnumType():
            return random.choice(list(info.cls))
        case inspect.LiteralType():
            return random.choice(info.values)
        case inspect.NoneType():
            return None
        case inspect.AnyType():
            return random.choice(FREE)
        case _:
            raise TypeError(info)


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_every_struct_survives_a_round_trip(struct: type[msgspec.Struct]) -> None:
    info = inspect.type_info(struct)
    for seed in range(50):
        value = made(info, Random(seed))
        wire = json.loads(json.dumps(to_wire(value)))
        assert msgspec.convert(wire, struct) == value


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_every_struct_is_a_value(struct: type[msgspec.Struct]) -> None:
    config = struct.__struct_config__
    assert config.frozen
    wrong = [name for name in struct.__struct_encode_fields__ if "_" in name]
    assert wrong == [], "the wire is camelCase"


def test_what_is_default_is_left_out() -> None:
    assert to_wire(workflow.Step(name="a", action_type="k/scale")) == {"name": "a", "actionType": "k/scale"}


def test_unknown_fields_of_newer_versions_are_passed_over() -> None:
    wire = {"name": "a", "actionType": "k/scale", "fromTheFuture": 1}
    assert msgspec.convert(wire, workflow.Step) == workflow.Step(name="a", action_type="k/scale")


def test_whole_objects_carry_their_kind() -> None:
    spec = workflow.WorkflowSpec(steps=(workflow.Step(name="a", action_type="k/scale"),))
    whole = to_object(workflow.WorkflowExecution(metadata=meta.ObjectMeta(name="w"), spec=spec))
    assert (whole["apiVersion"], whole["kind"]) == ("workflowexecution.kubernaut.ai/v1alpha1", "WorkflowExecution")


@pytest.mark.parametrize(
    ("wire", "path"),
    [
        ({"name": "A", "actionType": "k/scale"}, "$.name"),
        ({"name": "a" * 64, "actionType": "k/scale"}, "$.name"),
        ({"name": "a", "actionType": "scale"}, "$.actionType"),
        ({"name": "a", "actionType": "k/scale", "image": "scale:latest"}, "$.image"),
        ({"name": "a", "actionType": "k/scale", "timeout": "5"}, "$.timeout"),
        ({"name": "a", "actionType": "k/scale", "retry": {"limit": 11}}, "$.retry.limit"),
        ({"name": "a", "actionType": "k/scale", "retry": {"backoff": {"jitter": 101}}}, "$.retry.backoff.jitter"),
        ({"actionType": "k/scale"}, "name"),
    ],
    ids=["capitals", "too long", "no domain", "no digest", "no unit", "limit", "jitter", "no name"],
)
def test_malformed_steps_are_refused_with_the_path(wire: dict[str, Any], path: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=path.replace("$", r"\$").replace(".", r"\.")):
        msgspec.convert(wire, workflow.Step)
