"""What the engine tells an action container, and how its inputs come in.

The names are the runner contract between kubernaut's engines and any action image. Run by hand, all of them but
the inputs may be absent: then there is no fence, and results go to standard output only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO, cast

import msgspec

from kubernaut.api.contract import ContractSpec, input_faults, with_defaults
from kubernaut.api.duration import from_duration
from kubernaut.api.names import dependency_variable
from kubernaut.sdk.contracts import Inputs
from kubernaut.sdk.declare import AnyAction
from kubernaut.sdk.errors import InputsInvalid

_DEPENDENCIES = (dependency_variable("secret", ""), dependency_variable("configmap", ""))
TERMINATION_LOG = "/dev/termination-log"


@dataclass(frozen=True, slots=True)
class RunnerEnvironment:
    """The runner contract's variables, read once."""

    execution: str = ""
    execution_uid: str = ""
    namespace: str = ""
    attempt: int = 1
    lease: str = ""
    pod_uid: str = ""
    overflow: str = ""
    correlation_id: str = ""
    deadline_seconds: float | None = None
    termination_log: Path | None = None
    secrets: Path | None = None
    workspace: Path | None = None
    dependencies: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """Folders of the Secrets and ConfigMaps that are mounted, by the variable that names each."""

    @classmethod
    def parse(cls, variables: Mapping[str, str]) -> "RunnerEnvironment":
        """Raises InputsInvalid for a number that is none."""
        log = Path(variables.get("KUBERNAUT_TERMINATION_LOG") or TERMINATION_LOG)
        return cls(
            execution=variables.get("KUBERNAUT_EXECUTION", ""),
            execution_uid=variables.get("KUBERNAUT_EXECUTION_UID", ""),
            namespace=variables.get("KUBERNAUT_NAMESPACE", ""),
            attempt=int(_number(variables, "KUBERNAUT_ATTEMPT") or 1),
            lease=variables.get("KUBERNAUT_LEASE", ""),
            pod_uid=variables.get("KUBERNAUT_POD_UID", ""),
            overflow=variables.get("KUBERNAUT_OVERFLOW", ""),
            correlation_id=variables.get("CORRELATION_ID", ""),
            deadline_seconds=_number(variables, "KUBERNAUT_DEADLINE_SECONDS"),
            # The kubelet makes the file before it starts the container; elsewhere nobody reads it.
            termination_log=log if log.exists() or "KUBERNAUT_TERMINATION_LOG" in variables else None,
            secrets=_path(variables, "KUBERNAUT_SECRETS_DIR"),
            workspace=_path(variables, "WORKSPACE_PATH"),
            dependencies={
                name: Path(value) for name, value in variables.items() if name.startswith(_DEPENDENCIES) and value
            },
        )

    def seconds(self, contract: ContractSpec) -> float:
        """How long the run may take: as the engine says, else as the contract does."""
        return self.deadline_seconds if self.deadline_seconds is not None else from_duration(contract.timeout)


def read_inputs(variables: Mapping[str, str], standard_input: TextIO) -> dict[str, Any]:
    """The inputs: ACTION_INPUTS, else the file ACTION_INPUTS_FILE, else standard input unless it is a terminal.

    Raises InputsInvalid when there are none, or they are no JSON object.
    """
    if "ACTION_INPUTS" in variables:
        source, text = "ACTION_INPUTS", variables["ACTION_INPUTS"]
    elif "ACTION_INPUTS_FILE" in variables:
        source = variables["ACTION_INPUTS_FILE"]
        try:
            text = Path(source).read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            raise InputsInvalid([f"inputs: ACTION_INPUTS_FILE cannot be read: {error}"]) from error
    elif not standard_input.isatty():
        source, text = "standard input", standard_input.read()
    else:
        source, text = "", ""
    if not text.strip():
        raise InputsInvalid(["no inputs: set ACTION_INPUTS or ACTION_INPUTS_FILE, or pipe JSON to standard input"])
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise InputsInvalid([f"inputs: {source} is not a JSON object: {error}"]) from error


def read_secrets(contract: ContractSpec, folder: Path | None) -> dict[str, str]:
    """The secret inputs that were mounted: one file each, named as the input."""
    if folder is None:
        return {}
    secrets: dict[str, str] = {}
    for parameter in contract.inputs:
        if parameter.secret and (folder / parameter.name).is_file():
            secrets[parameter.name] = (folder / parameter.name).read_text(encoding="utf-8", errors="replace")
    return secrets


def parse_inputs(action: AnyAction, given: Mapping[str, Any], secrets: Mapping[str, str]) -> Inputs:
    """The author's typed inputs. Raises InputsInvalid with every fault and its path, never with a secret."""
    contract = action.contract.spec
    secret_names = {parameter.name for parameter in contract.inputs if parameter.secret}
    visible = with_defaults(contract, {k: v for k, v in given.items() if k not in secrets})
    faults = [
        str(fault) for fault in input_faults(contract, visible, "inputs") if not _is_met(fault.path, secrets)
    ]
    if faults:
        raise InputsInvalid(faults)
    typed = {name: value for name, value in visible.items() if name not in secret_names}
    # A contract's integer may be written 5.0; `strict=False` takes that, the faults above took out the rest.
    try:
        return cast(Inputs, msgspec.convert({**typed, **secrets}, action.inputs_type, strict=False))
    except msgspec.ValidationError as error:
        raise InputsInvalid([f"inputs: {error}"]) from None


def _is_met(path: str, secrets: Mapping[str, str]) -> bool:
    return path.removeprefix("inputs.") in secrets


def _number(variables: Mapping[str, str], name: str) -> float | None:
    text = variables.get(name, "")
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise InputsInvalid([f"{name}: {text!r} is not a number"]) from None


def _path(variables: Mapping[str, str], name: str) -> Path | None:
    return Path(variables[name]) if variables.get(name) else None
