"""How an author declares an action."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, get_type_hints

from kubernaut.api.contract import ActionContract, Dependencies, Permission, Resources
from kubernaut.sdk.contracts import Inputs, Outputs, Promise, build_contract
from kubernaut.sdk.run import Run

I = TypeVar("I", bound=Inputs)  # noqa: E741
O = TypeVar("O", bound=Outputs)  # noqa: E741


@dataclass(frozen=True)
class Action(Generic[I, O]):
    """A declared action: what the runner runs and the image builder packs. Made by `action` only."""

    contract: ActionContract
    carry_out: Callable[[I, Run], Awaitable[O]]
    inputs_type: type[I]
    outputs_type: type[O]
    module: str
    """Where the author's function stands: the entrypoint of the image imports it from there."""

    @property
    def name(self) -> str:
        """The action type, `domain/action`."""
        return self.contract.metadata.name


AnyAction = Action[Any, Any]


def action(
    name: str,
    *,
    version: str,
    description: str,
    permissions: Sequence[Permission] = (),
    reversible: bool = False,
    idempotent: bool = False,
    timeout: str = "5m",
    max_timeout: str = "15m",
    resources: Resources | None = None,
    secrets: Sequence[str] = (),
    config_maps: Sequence[str] = (),
) -> Callable[[Callable[[I, Run], Awaitable[O]]], Action[I, O]]:
    """Make a typed async function `(inputs, run) -> outputs` an action.

    The function runs twice: first as a dry run, in which the cluster refuses what it would refuse but changes
    nothing and nothing is waited for; then, with the fence taken, for real. It must therefore decide from what
    it reads through `run.cluster`, make its changes only through it, and leave other effects to the real pass
    (`run.is_dry_run`).

    name: `domain/action`, as steps name it (`kubernetes/scale_deployment`).
    version: semantic version; also the tag of the image. A breaking change of the contract is a new major.
    description: one sentence for people who choose from the catalogue.
    permissions: RBAC rules that it needs on its target, as few as can be.
    reversible: it prints rollback information that undoes exactly what it did.
    idempotent: running it again after an attempt that may have run does no harm. Only then is that ever done.
    timeout, max_timeout: durations ("90s", "5m") of one attempt: when the step does not say, and at most.
    resources: of the container; by default requests 50m/64Mi, limits 500m/256Mi.
    secrets, config_maps: names of what is mounted into the action, for `run.secret` and `run.config`. They lie in
        the namespace of the executions; without them no run starts.

    Raises TypeError when the function is not annotated with one `Inputs`, `Run` and `Outputs`, or a field has a
    type that contracts do not know; msgspec.ValidationError when name, version or a duration is malformed.
    """
    promise = Promise(
        name=name,
        version=version,
        description=description,
        permissions=permissions,
        timeout=timeout,
        max_timeout=max_timeout,
        idempotent=idempotent,
        reversible=reversible,
        resources=resources or Resources(),
        dependencies=Dependencies(secrets=tuple(secrets), config_maps=tuple(config_maps)),
    )

    def declare(function: Callable[[I, Run], Awaitable[O]]) -> Action[I, O]:
        inputs, outputs = _types_of(function)
        contract = build_contract(promise, inputs, outputs)
        return Action(contract, function, inputs, outputs, function.__module__)

    return declare


def _types_of(function: Callable[[I, Run], Awaitable[O]]) -> tuple[type[I], type[O]]:
    hints = get_type_hints(function)
    outputs: Any = hints.pop("return", None)
    inputs: Any = next(iter(hints.values()), None)
    if not _is_kind_of(inputs, Inputs):
        raise TypeError(f"{function.__qualname__}: the first argument must be annotated with a kind of Inputs")
    if not _is_kind_of(outputs, Outputs):
        raise TypeError(f"{function.__qualname__}: it must be annotated as returning a kind of Outputs")
    return inputs, outputs


def _is_kind_of(annotation: Any, base: type) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, base)
