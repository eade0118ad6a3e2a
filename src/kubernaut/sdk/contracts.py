"""The contract, generated from the types of an action's inputs and outputs."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta
from msgspec import inspect as types

from kubernaut.api.contract import (
    ActionContract,
    ContractMeta,
    ContractSpec,
    Dependencies,
    Parameter,
    Permission,
    Rbac,
    Resources,
    ValueType,
)

Secret = Annotated[str, Meta(extra={"secret": True})]
"""A text that is given as `secretKeyRef` only, reaches the action as a file, and is never printed."""

Duration = Annotated[str, Meta(pattern=r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$", extra={"type": "duration"})]
"""A duration as Kubernetes' users write it: "90s", "5m", "1h30m"."""

DnsName = Annotated[str, Meta(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
"""The name of most Kubernetes objects."""

DnsLabel = Annotated[str, Meta(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
"""The name of a namespace."""


class Inputs(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Base of an action's inputs. Field names are camelCase in YAML: `label_selector` is `labelSelector`.

    Bounds are `Annotated[int, Meta(ge=0, le=100, description="...")]`; a field with a default is optional.
    Rules between several fields belong into `__post_init__`, which raises ValueError.
    """


class Outputs(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of an action's outputs; camelCase on the wire."""


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """What an author says of an action besides its types; see `kubernaut.sdk.action` for the meanings."""

    name: str
    version: str
    description: str
    permissions: Sequence[Permission] = ()
    timeout: str = "5m"
    max_timeout: str = "15m"
    idempotent: bool = False
    reversible: bool = False
    resources: Resources = Resources()
    dependencies: Dependencies = Dependencies()


def build_contract(promise: Promise, inputs: type[Inputs], outputs: type[Outputs]) -> ActionContract:
    """The contract of an action. Raises TypeError for a field that a contract cannot express.

    The names, version and durations are checked as the catalogue will check them: msgspec.ValidationError.
    """
    contract = ActionContract(
        metadata=ContractMeta(name=promise.name, version=promise.version),
        spec=ContractSpec(
            description=promise.description,
            inputs=_parameters(inputs),
            outputs=_parameters(outputs),
            resources=promise.resources,
            rbac=Rbac(permissions=tuple(promise.permissions)),
            dependencies=promise.dependencies,
            timeout=promise.timeout,
            max_timeout=promise.max_timeout,
            idempotent=promise.idempotent,
            reversible=promise.reversible,
            fenced=True,
        ),
    )
    return msgspec.json.decode(msgspec.json.encode(contract), type=ActionContract)


def _parameters(struct: type[msgspec.Struct]) -> tuple[Parameter, ...]:
    described = types.type_info(struct)
    if not isinstance(described, types.StructType):
        raise TypeError(f"{struct.__name__} is not a Struct")
    return tuple(_parameter(struct.__name__, field) for field in described.fields)


def _parameter(owner: str, field: types.Field) -> Parameter:
    where = f"{owner}.{field.name}"
    inner, extra, schema = _unwrapped(field.type)
    default = field.default
    if field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    kind, bounds = _kind(inner, where)
    return Parameter(
        name=field.encode_name,
        type=cast(ValueType, extra.get("type", kind)),
        description=str(schema.get("description", "")),
        required=field.required,
        default=None if default is msgspec.NODEFAULT else msgspec.to_builtins(default),
        secret=bool(extra.get("secret")),
        **bounds,
    )


def _unwrapped(kind: types.Type) -> tuple[types.Type, dict[str, Any], dict[str, Any]]:
    """The type below its annotations; `X | None` is X, as an absent input."""
    extra: dict[str, Any] = {}
    schema: dict[str, Any] = {}
    while True:
        if isinstance(kind, types.Metadata):
            extra |= cast(dict[str, Any], kind.extra or {})
            schema |= cast(dict[str, Any], kind.extra_json_schema or {})
            kind = kind.type
        elif isinstance(kind, types.UnionType):
            others = [t for t in kind.types if not isinstance(t, types.NoneType)]
            if len(others) != 1:
                return kind, extra, schema
            kind = others[0]
        else:
            return kind, extra, schema


def _kind(kind: types.Type, where: str) -> tuple[ValueType, dict[str, Any]]:
    match kind:
        case types.StrType():
            return "string", _present(pattern=kind.pattern, max_length=kind.max_length)
        case types.BoolType():
            return "boolean", {}
        case types.IntType() | types.FloatType():
            if kind.gt is not None or kind.lt is not None or kind.multiple_of is not None:
                raise TypeError(f"{where}: a contract knows only ge and le as bounds of numbers")
            name: Literal["integer", "number"] = "integer" if isinstance(kind, types.IntType) else "number"
            return name, _present(minimum=kind.ge, maximum=kind.le)
        case types.LiteralType() if all(isinstance(value, str) for value in kind.values):
            return "string", {"enum": kind.values}
        case types.LiteralType() if all(isinstance(value, int) for value in kind.values):
            return "integer", {"enum": kind.values}
        case types.ListType() | types.VarTupleType() | types.SetType():
            return "array", {}
        case types.DictType() | types.StructType():
            return "object", {}
        case _:
            known = "string, integer, number, boolean, object, array, duration"
            raise TypeError(f"{where}: a contract has no type for it ({type(kind).__name__}), only {known}")


def _present(**bounds: object) -> dict[str, Any]:
    return {name: value for name, value in bounds.items() if value is not None}
