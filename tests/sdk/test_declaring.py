import builtins
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

import kubernaut.sdk
import kubernaut.testing
from kubernaut.actions import SHIPPED
from kubernaut.api.contract import ActionContract, Parameter
from kubernaut.sdk import DnsName, Duration, Inputs, Outputs, Run, Secret, action
from kubernaut.sdk.entrypoint import find_action
from kubernaut.sdk.environment import parse_inputs, read_secrets
from kubernaut.sdk.errors import InputsInvalid


class Sample(Inputs, frozen=True, kw_only=True):
    name: DnsName
    how_many: Annotated[int, Meta(ge=1, le=5, description="How many.")] = 2
    share: float = 0.5
    mode: Literal["fast", "safe"] = "safe"
    within: Duration = "5m"
    password: Secret | None = None
    labels: dict[str, str] = {}
    names: tuple[str, ...] = ()
    really: bool = False


class Result(Outputs, frozen=True, kw_only=True):
    was_there: bool


@action("test/sample", version="2.0.1", description="A sample.", idempotent=True, timeout="90s")
async def sample(inputs: Sample, run: Run) -> Result:
    return Result(was_there=bool(inputs.really))


def test_the_contract_is_the_functions_types() -> None:
    contract = sample.contract
    assert (contract.metadata.name, contract.metadata.version) == ("test/sample", "2.0.1")
    assert contract.spec.inputs == (
        Parameter(name="name", required=True, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253),
        Parameter(name="howMany", type="integer", description="How many.", default=2, minimum=1, maximum=5),
        Parameter(name="share", type="number", default=0.5),
        Parameter(name="mode", default="safe", enum=("fast", "safe")),
        Parameter(name="within", type="duration", default="5m", pattern=contract.spec.inputs[4].pattern),
        Parameter(name="password", secret=True),
        Parameter(name="labels", type="object", default={}),
        Parameter(name="names", type="array", default=[]),
        Parameter(name="really", type="boolean", default=False),
    )
    assert contract.spec.outputs == (Parameter(name="wasThere", type="boolean", required=True),)
    assert (contract.spec.timeout, contract.spec.idempotent, contract.spec.fenced) == ("90s", True, True)


def test_what_a_contract_cannot_express_is_told_when_the_action_is_declared() -> None:
    class Odd(Inputs, frozen=True, kw_only=True):
        value: int | str

    async def odd(inputs: Odd, run: Run) -> Result:
        raise AssertionError

    odd.__annotations__ = {"inputs": Odd, "run": Run, "return": Result}
    with pytest.raises(TypeError, match=r"Odd\.value"):
        action("test/odd", version="1.0.0", description="")(odd)


def test_a_function_without_typed_inputs_and_outputs_is_no_action() -> None:
    async def bare(inputs: Any, run: Run) -> Any:
        raise AssertionError

    with pytest.raises(TypeError, match="kind of Inputs"):
        action("test/bare", version="1.0.0", description="")(bare)


@pytest.mark.parametrize("bad", [{"name": "Test/Sample"}, {"version": "one"}, {"timeout": "soon"}])
def test_a_malformed_promise_is_refused_at_once(bad: dict[str, str]) -> None:
    said: dict[str, Any] = {"name": "test/sample", "version": "1.0.0", "description": "", **bad}
    with pytest.raises(msgspec.ValidationError):
        action(said.pop("name"), **said)(sample.carry_out)


@pytest.mark.parametrize("module", SHIPPED)
def test_every_shipped_contract_survives_its_wire_form_and_is_described(module: str) -> None:
    contract = find_action(module).contract
    assert msgspec.json.decode(msgspec.json.encode(contract), type=ActionContract) == contract
    assert contract.spec.description
    assert contract.spec.rbac.permissions
    assert all("*" not in (*p.verbs, *p.resources, *p.api_groups) for p in contract.spec.rbac.permissions)


def test_authors_find_exactly_these_names() -> None:
    assert kubernaut.sdk.__all__ == NAMES
    assert all(hasattr(kubernaut.sdk, name) for name in NAMES)


def public() -> Iterator[tuple[str, object, str | None]]:
    """Every class, function, method and property that authors can reach by a public name, with its docstring."""
    for module in (kubernaut.sdk, kubernaut.testing):
        for name in module.__all__:
            found = getattr(module, name)
            if inspect.isclass(found):
                yield name, found, found.__doc__
                for inner, value in vars(found).items():
                    if not inner.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                        yield f"{name}.{inner}", value, value.__doc__
            elif inspect.isfunction(found):
                yield name, found, found.__doc__


PUBLIC = list(public())


@pytest.mark.parametrize(("name", "what", "told"), PUBLIC, ids=[name for name, _, _ in PUBLIC])
def test_everything_says_what_it_is_what_it_takes_and_what_it_raises(
    name: str, what: object, told: str | None
) -> None:
    assert told, f"{name} says nothing of itself"
    if not inspect.isfunction(what):
        return
    errors = re.findall(r"(?:Raises|Never raises)(?: nothing| as |[^.:]*)", told)
    assert errors, f"{name} does not say what it raises"
    for error in re.findall(r"\b[A-Z][A-Za-z]+[a-z][A-Z]?[A-Za-z]*\b", re.sub('"[^"]*"', "", " ".join(errors))):
        if error in ("Raises", "Never", "Secret", "ConfigMap", "Kubernetes"):
            continue
        given = any(hasattr(room, error) for room in (kubernaut.sdk, kubernaut.testing, builtins))
        known = given or error == "ValidationError"
        assert known, f"{name} raises {error}, which authors cannot import"
    # Whose meaning does not follow from the signature.
    plain = {"self", "kind", "name", "namespace", "obj", "pod", "text", "inputs", "container", "tail_lines"}
    plain |= {
        "label_selector",
        "field_selector",
        "body",
        "patch_type",
        "until",
        "after",
        "secret",
        "key",
        "document",
    }
    for parameter in inspect.signature(what).parameters.values():
        if parameter.name not in plain and parameter.kind is not inspect.Parameter.VAR_POSITIONAL:
            assert re.search(rf"\b{parameter.name}\b", told), f"{name} does not say what {parameter.name} is"


NAMES = [
    *(
        "Action",
        "ActionError",
        "AlreadyExists",
        "ClusterError",
        "ClusterHandle",
        "Conflict",
        "DnsLabel",
        "DnsName",
    ),
    *("Duration", "Failed", "Forbidden", "Inputs", "Invalid", "NotFound", "Object", "Outputs", "Permission"),
    *(
        "Refused",
        "ResourceKind",
        "Resources",
        "Run",
        "Secret",
        "TooManyRequests",
        "Unreachable",
        "action",
        "kinds",
    ),
    "managers_of",
]


HEAVY = ("yaml", "click", "rich", "cryptography", "jwt", "jsonschema_rs", "cel_expr_python", "prometheus_client")
RUN_ONE = (
    "import sys, io; sys.stdin = io.StringIO('{}')\n"
    "from kubernaut.sdk.entrypoint import main\n"
    "try: main('kubernaut.actions.scale_deployment')\n"
    "except SystemExit as end: assert end.code == 64, end.code\n"
    f"print([m for m in {HEAVY!r} if m in sys.modules] + [m for m in sys.modules if m == 'aiohttp'])"
)


@pytest.mark.journey
def test_nothing_heavy_is_imported_inside_an_action_container() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN_ONE], capture_output=True, text=True, check=True, env={"PATH": "/usr/bin"}
    )
    assert done.stdout.strip() == "[]"


class NeedsSecret(Inputs, frozen=True, kw_only=True):
    token: Secret
    count: int = 1


@action("test/secretive", version="1.0.0", description="Needs a secret.")
async def secretive(inputs: NeedsSecret, run: Run) -> Result:
    raise AssertionError


def test_a_required_secret_is_met_by_its_file_and_missed_without(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret")
    secrets = read_secrets(secretive.contract.spec, tmp_path)
    assert parse_inputs(secretive, {"count": 2.0}, secrets) == NeedsSecret(token="s3cret", count=2)
    with pytest.raises(InputsInvalid, match=r"inputs\.token: a required input is missing"):
        parse_inputs(secretive, {}, {})
