"""What is wrong with a catalogue entry, and with the contract that an action promises."""

import re
from collections.abc import Iterable
from decimal import Decimal

from kubernaut.admission.times import seconds_of
from kubernaut.admission.values import unfit_values
from kubernaut.api.contract import ContractSpec, Parameter, is_of_type
from kubernaut.api.definition import ActionDefinition
from kubernaut.api.faults import Fault
from kubernaut.api.names import ANNOTATION_CONTRACT_VERSION, CORE_API, dependency_variable
from kubernaut.api.quantity import from_quantity

_NUMBERS = ("integer", "number")
_ACCOUNT = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def check_definition(definition: ActionDefinition) -> tuple[Fault, ...]:
    """Everything wrong with an ActionDefinition whose structure is right. Never raises."""
    faults: list[Fault] = []
    spec = definition.spec
    if not is_account_name(spec.service_account_name):
        faults.append(Fault("spec.serviceAccountName", "is no name of a ServiceAccount"))
    if fault := version_fault(definition, f"metadata.annotations['{ANNOTATION_CONTRACT_VERSION}']"):
        faults.append(fault)
    return (*faults, *check_contract(spec.contract, "spec.contract"))


def version_fault(definition: ActionDefinition, path: str) -> Fault | None:
    """Where an entry repeats a contract of another version of the format: what that means by it is not known."""
    version = definition.metadata.annotations.get(ANNOTATION_CONTRACT_VERSION, CORE_API)
    if version == CORE_API:
        return None
    message = f"the catalogue's entry repeats a contract of {version[:100]!r}; known here is {CORE_API}"
    return Fault(path, message, "Bring kubernaut up to date, or install an older version of the action.")


def check_contract(contract: ContractSpec, path: str) -> tuple[Fault, ...]:
    """Every way in which a contract contradicts itself or asks for more than actions get. Never raises."""
    return (
        *_parameter_faults(contract.inputs, f"{path}.inputs"),
        *_parameter_faults(contract.outputs, f"{path}.outputs"),
        *_resource_faults(contract, path),
        *_time_faults(contract, path),
        *_security_faults(contract, path),
        *_dependency_faults(contract, path),
    )


def is_account_name(name: str) -> bool:
    """Whether a ServiceAccount can have this name (a DNS subdomain)."""
    return len(name) <= 253 and _ACCOUNT.fullmatch(name) is not None


def _parameter_faults(parameters: tuple[Parameter, ...], path: str) -> Iterable[Fault]:
    seen: dict[str, int] = {}
    for index, parameter in enumerate(parameters):
        here = f"{path}[{index}]"
        if parameter.name in seen:
            yield Fault(f"{here}.name", f"the name is already used by {path}[{seen[parameter.name]}]")
        seen.setdefault(parameter.name, index)
        yield from _one_parameter(parameter, here)


def _one_parameter(parameter: Parameter, path: str) -> Iterable[Fault]:
    if parameter.pattern:
        try:
            re.compile(parameter.pattern)
        except (re.error, OverflowError, RecursionError):
            yield Fault(f"{path}.pattern", "is no regular expression")
        if parameter.type not in ("string", "duration"):
            yield Fault(f"{path}.pattern", f"has no meaning for the type {parameter.type}")
    low, high = parameter.minimum, parameter.maximum
    if (low is not None or high is not None) and parameter.type not in _NUMBERS:
        yield Fault(path, f"minimum and maximum have no meaning for the type {parameter.type}")
    if low is not None and high is not None and low > high:
        yield Fault(f"{path}.minimum", "is above maximum")
    if parameter.default is not None:
        yield from unfit_values(parameter.default, f"{path}.default")
        if parameter.secret:
            yield Fault(f"{path}.default", "a secret cannot have a default")
        elif not is_of_type(parameter.type, parameter.default):
            yield Fault(f"{path}.default", f"must be of type {parameter.type}")
    for index, option in enumerate(parameter.enum):
        if not is_of_type(parameter.type, option):
            yield Fault(f"{path}.enum[{index}]", f"must be of type {parameter.type}")


def _time_faults(contract: ContractSpec, path: str) -> Iterable[Fault]:
    usual, most = seconds_of(contract.timeout), seconds_of(contract.max_timeout)
    for name, seconds in (("timeout", usual), ("maxTimeout", most)):
        if seconds is None or not 0 < seconds <= MAX_ACTION_SECONDS:
            yield Fault(f"{path}.{name}", "must be a duration above 0 and of at most 24h")
    if usual is not None and most is not None and usual > most:
        yield Fault(f"{path}.timeout", "is above maxTimeout")


def _resource_faults(contract: ContractSpec, path: str) -> Iterable[Fault]:
    """Kubernetes would refuse the pod for these, long after the run had begun."""
    known: dict[str, dict[str, Decimal]] = {"requests": {}, "limits": {}}
    for kind, quantities in (("requests", contract.resources.requests), ("limits", contract.resources.limits)):
        for name, text in quantities.items():
            here = f"{path}.resources.{kind}.{name[:100]}"
            try:
                number = from_quantity(text)
            except ValueError:
                yield Fault(here, "is no quantity", 'Write for example "100m" or "64Mi".')
                continue
            if number < 0:
                yield Fault(here, "must not be negative")
            known[kind][name] = number
    for name in sorted(known["requests"].keys() & known["limits"].keys()):
        if known["requests"][name] > known["limits"][name]:
            yield Fault(f"{path}.resources.requests.{name[:100]}", "is above its limit")


def _security_faults(contract: ContractSpec, path: str) -> Iterable[Fault]:
    security, here = contract.security_context, f"{path}.securityContext"
    if not security.run_as_non_root or security.run_as_user == 0:
        yield Fault(here, "actions never run as root", "Set runAsNonRoot: true and another runAsUser than 0.")
    if security.allow_privilege_escalation:
        yield Fault(f"{here}.allowPrivilegeEscalation", "is not allowed to actions", "Set it to false.")


def _dependency_faults(contract: ContractSpec, path: str) -> Iterable[Fault]:
    asked = contract.dependencies
    for kind, field, given in (
        ("secret", "secrets", asked.secrets),
        ("configmap", "configMaps", asked.config_maps),
    ):
        seen: dict[str, str] = {}
        for index, name in enumerate(given):
            variable = dependency_variable(kind, name)
            if variable in seen:
                message = f"cannot be told from {seen[variable]}: both are named by {variable}"
                yield Fault(f"{path}.dependencies.{field}[{index}]", message, "Name it otherwise, or once.")
            seen.setdefault(variable, name)


MAX_ACTION_SECONDS = 24 * 3600.0
"""No action may promise to take longer."""
