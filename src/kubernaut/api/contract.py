"""The contract of an action: `/action-contract.yaml`, `kubernaut.ai/v1alpha1 ActionContract`.

An author's promise about inputs, outputs, permissions and behaviour. The sdk generates it, the image
carries it (as a file and as a config label, so that it can be read without pulling layers), the catalogue
repeats it, and every judgement before a run is made against it. Resources and permissions have Kubernetes'
own shapes.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from kubernaut.api.faults import Fault
from kubernaut.api.meta import JSON, DurationText, Frozen, SecretKeyRef, ShortText, Text
from kubernaut.api.names import CORE_API

ValueType = Literal["string", "integer", "number", "boolean", "object", "array", "duration"]

Semver = Annotated[
    str,
    Meta(pattern=r"^v?[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$", max_length=64),
]
Quantities = Annotated[Mapping[str, Annotated[str, Meta(max_length=32)]], Meta(max_length=16)]
Strings = Annotated[tuple[ShortText, ...], Meta(max_length=64)]


class Parameter(Frozen, frozen=True, kw_only=True):
    """One input or output: a JSON type and its bounds."""

    name: Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$", max_length=63)]
    type: ValueType = "string"
    description: Text = ""
    required: bool = False
    default: JSON = None
    enum: Annotated[tuple[JSON, ...], Meta(max_length=128)] = ()
    pattern: ShortText = ""
    minimum: float | None = None
    maximum: float | None = None
    max_length: int | None = None
    secret: bool = False
    """Given by reference only (`secretKeyRef`), mounted as a file, never part of any object or log."""


class Permission(Frozen, frozen=True, kw_only=True):
    """One RBAC rule that the action needs on its target (rbac.authorization.k8s.io/v1 PolicyRule)."""

    api_groups: Strings
    resources: Strings
    verbs: Strings
    resource_names: Strings = ()
    cluster: bool = False
    """Needed cluster-wide (nodes, for example) rather than in the target's namespace."""


class Rbac(Frozen, frozen=True, kw_only=True):
    permissions: Annotated[tuple[Permission, ...], Meta(max_length=64)] = ()


class Resources(Frozen, frozen=True, kw_only=True):
    """Quantities of the action container (core/v1 ResourceRequirements)."""

    requests: Quantities = msgspec.field(default_factory=lambda: {"cpu": "50m", "memory": "64Mi"})
    limits: Quantities = msgspec.field(default_factory=lambda: {"cpu": "500m", "memory": "256Mi"})


DependencyName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        max_length=253,
        description="Name of an object in the namespace of the executions.",
    ),
]
DependencyNames = Annotated[tuple[DependencyName, ...], Meta(max_length=16)]


class Dependencies(Frozen, frozen=True, kw_only=True):
    """What is mounted into the action, read-only, a folder for each and a file for each key.

    Nothing of them stands in inputs, so that neither a workflow nor whoever writes it handles their values.
    """

    secrets: DependencyNames = ()
    """At /run/kubernaut/secrets/<name>."""
    config_maps: DependencyNames = ()
    """At /run/kubernaut/configmaps/<name>."""


class SecurityContext(Frozen, frozen=True, kw_only=True):
    """What an action may ask of its container; anything weaker than Pod Security `restricted` is refused."""

    run_as_non_root: bool = True
    run_as_user: int = 65532
    run_as_group: int = 65532
    allow_privilege_escalation: bool = False
    read_only_root_filesystem: bool = True


class ContractSpec(Frozen, frozen=True, kw_only=True):
    """What the action takes, gives, needs and promises."""

    description: Text = ""
    inputs: Annotated[tuple[Parameter, ...], Meta(max_length=128)] = ()
    outputs: Annotated[tuple[Parameter, ...], Meta(max_length=128)] = ()
    resources: Resources = Resources()
    rbac: Rbac = Rbac()
    dependencies: Dependencies = Dependencies()
    security_context: SecurityContext = SecurityContext()
    timeout: DurationText = "5m"
    """How long one attempt takes at most when the step does not say."""
    max_timeout: DurationText = "15m"
    """The longest timeout that a step may ask for."""
    idempotent: bool = False
    """Running it again after an attempt that may have run does no harm; only then is that ever done."""
    reversible: bool = False
    """It prints rollback information that undoes exactly what it did."""
    fenced: bool = False
    """The image runs kubernaut's runner, which takes the fence before its first change."""


class ContractMeta(Frozen, frozen=True, kw_only=True):
    name: Annotated[str, Meta(pattern="^[a-z0-9_-]+(/[a-z0-9_-]+)?$", max_length=100)]
    version: Semver


class ActionContract(Frozen, frozen=True, kw_only=True):
    """The whole document."""

    metadata: ContractMeta
    spec: ContractSpec
    api_version: str = CORE_API
    kind: str = "ActionContract"


def input_named(contract: ContractSpec, name: str) -> Parameter | None:
    """The declared input of that name."""
    return next((p for p in contract.inputs if p.name == name), None)


def output_named(contract: ContractSpec, name: str) -> Parameter | None:
    """The declared output of that name."""
    return next((p for p in contract.outputs if p.name == name), None)


def with_defaults(contract: ContractSpec, inputs: Mapping[str, JSON]) -> dict[str, JSON]:
    """The inputs, completed by the contract's defaults."""
    filled = {p.name: p.default for p in contract.inputs if p.default is not None}
    return {**filled, **inputs}


def input_faults(contract: ContractSpec, inputs: Mapping[str, JSON], path: str) -> list[Fault]:
    """Every way in which the inputs break the contract, each with its path below `path`.

    Values that hold a `$(...)` reference must have been resolved (or taken out) by the caller.
    """
    declared = {p.name: p for p in contract.inputs}
    faults = [
        Fault(
            f"{path}.{name}",
            "the contract declares no such input",
            f"Declared: {', '.join(declared) or 'none'}.",
        )
        for name in inputs
        if name not in declared
    ]
    for parameter in contract.inputs:
        here = f"{path}.{parameter.name}"
        if parameter.name in inputs:
            faults += value_faults(parameter, inputs[parameter.name], here)
        elif parameter.required and parameter.default is None:
            faults.append(Fault(here, "a required input is missing", f"Give a {parameter.type}."))
    return faults


def value_faults(parameter: Parameter, value: JSON, path: str) -> list[Fault]:
    """Every way in which one value breaks its declaration."""
    if parameter.secret:
        return _secret_faults(value, path)
    if not is_of_type(parameter.type, value):
        shown = "null" if value is None else type(value).__name__
        return [Fault(path, f"must be of type {parameter.type}, not {_JSON_NAMES.get(shown, shown)}")]
    faults: list[Fault] = []
    if parameter.enum and value not in parameter.enum:
        options = ", ".join(str(option) for option in parameter.enum)
        faults.append(Fault(path, "is not one of the allowed values", f"Allowed: {options}."))
    if parameter.pattern and isinstance(value, str) and not re.search(parameter.pattern, value):
        faults.append(Fault(path, f"does not match {parameter.pattern}"))
    return faults + _bound_faults(parameter, value, path)


def is_of_type(kind: ValueType, value: JSON) -> bool:
    """Whether a JSON value is of a contract's type; a whole float counts as an integer, as in JSON Schema."""
    match kind:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return not isinstance(value, bool) and (
                isinstance(value, int) or (isinstance(value, float) and value.is_integer())
            )
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "object":
            return isinstance(value, Mapping)
        case "array":
            return isinstance(value, list | tuple)
        case "duration":
            return isinstance(value, str) and re.fullmatch(r"([0-9]+(\.[0-9]+)?(ms|s|m|h))+", value) is not None


_JSON_NAMES = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "dict": "object",
    "list": "array",
}


def is_secret_reference(value: JSON) -> bool:
    """Whether a value has the form `{"secretKeyRef": {"name": ..., "key": ...}}`."""
    try:
        reference = msgspec.convert(value, _SecretReference)
    except msgspec.ValidationError:
        return False
    return bool(reference.secret_key_ref.name and reference.secret_key_ref.key)


class _SecretReference(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    secret_key_ref: SecretKeyRef


def _secret_faults(value: JSON, path: str) -> list[Fault]:
    # The value itself never goes into the message: it may be the secret.
    if is_secret_reference(value):
        return []
    return [
        Fault(
            path,
            "is a secret and must not be given in clear",
            "Put it into a Secret and write {secretKeyRef: {name: ..., key: ...}}.",
        )
    ]


def _bound_faults(parameter: Parameter, value: JSON, path: str) -> list[Fault]:
    faults: list[Fault] = []
    if isinstance(value, int | float) and not isinstance(value, bool):
        if parameter.minimum is not None and value < parameter.minimum:
            faults.append(Fault(path, f"must be at least {parameter.minimum:g}, is {value:g}"))
        if parameter.maximum is not None and value > parameter.maximum:
            faults.append(Fault(path, f"must be at most {parameter.maximum:g}, is {value:g}"))
    if isinstance(value, str) and parameter.max_length is not None and len(value) > parameter.max_length:
        faults.append(Fault(path, f"must have at most {parameter.max_length} characters, has {len(value)}"))
    return faults
