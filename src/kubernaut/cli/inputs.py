"""Inputs of an action as they are given on a command line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed

if TYPE_CHECKING:
    from kubernaut.api.contract import ContractSpec, Parameter


def read_inputs(contract: "ContractSpec | None", given: Sequence[str], file: Path | None) -> dict[str, object]:
    """`--input NAME=VALUE` over `--inputs-file`; without a contract, a value that reads as JSON is that."""
    declared = {parameter.name: parameter for parameter in contract.inputs} if contract is not None else None
    return _from_file(file) | read_values(declared, given, "--input")


def read_values(
    declared: "Mapping[str, Parameter] | None", given: Sequence[str], option: str
) -> dict[str, object]:
    """What was given by name, each as the contract's type asks. Raises CommandFailed."""
    pairs = [pair(one, option, "NAME=VALUE") for one in given]
    if declared is None:
        return {key: _plain(text) for key, text in pairs}
    return {key: _value(declared.get(key), key, text) for key, text in pairs}


def pair(text: str, option: str, form: str) -> tuple[str, str]:
    """The two sides of `NAME=VALUE`. Raises CommandFailed."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise CommandFailed(f"{option} {text!r} is not {form}", code=Exit.USAGE)
    return name, value


def _plain(text: str) -> object:
    import json

    try:
        return json.loads(text)
    except ValueError:
        return text


def _value(parameter: "Parameter | None", name: str, text: str) -> object:
    """As the contract's type asks; what cannot be read so stays text, and the door says what is wrong with it."""
    import json

    match parameter.type if parameter is not None else "string":
        case "integer" | "number" | "boolean" as kind:
            try:
                value: object = json.loads(text)
            except ValueError:
                return text
            fits = isinstance(value, bool) if kind == "boolean" else isinstance(value, int | float)
            return value if fits else text
        case "object" | "array":
            try:
                return json.loads(text)
            except ValueError as error:
                raise CommandFailed(
                    f"input {name} is no JSON: {error}",
                    mend=f"""Write for example --input '{name}={{"key": "value"}}', or use --inputs-file.""",
                    code=Exit.USAGE,
                ) from None
        case _:
            return text


def _from_file(path: Path | None) -> dict[str, object]:
    from kubernaut.cli.manifests import read_manifests

    if path is None:
        return {}
    manifests = read_manifests((str(path),))
    if len(manifests) != 1:
        raise CommandFailed(f"{path} holds {len(manifests)} documents, not one of inputs by name", code=Exit.USAGE)
    inputs: Mapping[str, object] = manifests[0].document
    return dict(inputs)
