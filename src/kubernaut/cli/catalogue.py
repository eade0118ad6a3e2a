"""The actions that there are: of a cluster, or those in the box."""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches

from kubernaut.api.contract import ContractSpec, Parameter
from kubernaut.api.definition import ActionDefinition
from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.linting import catalogue_of, shipped_catalogue
from kubernaut.cli.options import Where
from kubernaut.cli.session import connected
from kubernaut.cli.terminal import Terminal
from kubernaut.cluster import Cluster, Forbidden, NotFound, kinds


async def definitions(terminal: Terminal, where: Where, *, shipped: bool) -> Mapping[str, ActionDefinition]:
    """By action type, in their order. Raises CommandFailed, ClusterError."""
    if shipped:
        return dict(sorted(shipped_catalogue().items()))
    async with connected(where, terminal) as cluster:
        found = await catalogue_of(cluster)
    if found is None:
        raise CommandFailed(
            "you may not look at the catalogue",
            mend="See the actions in the box: --shipped",
            code=Exit.UNREACHABLE,
        )
    return dict(sorted(found.items()))


def definition_named(found: Mapping[str, ActionDefinition], word: str) -> ActionDefinition:
    """By its type, `kubernetes/scale_deployment`, or by what follows the slash. Raises CommandFailed."""
    plain = _plain(word)
    same = [name for name in found if name == word] or [
        name for name in found if plain in (_plain(name), _plain(name.rpartition("/")[2]))
    ]
    if len(same) == 1:
        return found[same[0]]
    if same:
        raise CommandFailed(f"{word!r} may be one of {', '.join(same)}", mend="Write it whole.", code=Exit.USAGE)
    within = [name for name in found if plain and plain in _plain(name)]
    short = {_plain(name.rpartition("/")[2]): name for name in found}
    close = get_close_matches(plain.rpartition("/")[2], short, n=1)
    meant = [short[close[0]]] if close else within
    hint = f"Did you mean {' or '.join(meant[:3])}? " if meant else ""
    raise CommandFailed(
        f"the catalogue has no action {word!r}",
        mend=f"{hint}List them with: kubernaut catalog list",
        code=Exit.USAGE,
    )


def _plain(word: str) -> str:
    return word.lower().replace("-", "_")


def first_sentence(text: str) -> str:
    """Of a description, for a list."""
    return re.split(r"(?<=\.)\s", " ".join(text.split()), maxsplit=1)[0]


def described(definition: ActionDefinition) -> Iterator[str]:
    """What a person who wants to use it needs to know."""
    spec, contract = definition.spec, definition.spec.contract
    yield f"{spec.action_type} {spec.version}"
    for line in contract.description.strip().splitlines():
        yield f"  {line}".rstrip()
    yield ""
    yield f"  Image:       {spec.image}"
    yield f"  Runs as:     {spec.service_account_name}"
    yield f"  Time limit:  {contract.timeout}, at most {contract.max_timeout}"
    yield f"  Promises:    {', '.join(_promises(contract)) or 'nothing'}"
    yield from _parameters("Inputs", contract.inputs)
    yield from _parameters("Outputs", contract.outputs)
    needed = [f"Secret {name}" for name in contract.dependencies.secrets]
    needed += [f"ConfigMap {name}" for name in contract.dependencies.config_maps]
    if needed:
        yield ""
        yield f"  Needs:       {', '.join(needed)}"
    yield from _permissions(contract)


def _promises(contract: ContractSpec) -> list[str]:
    promises = {
        "idempotent (may be run again)": contract.idempotent,
        "reversible (prints what undoes it)": contract.reversible,
        "fenced (one process at most makes the change)": contract.fenced,
    }
    return [promise for promise, given in promises.items() if given]


def _parameters(title: str, parameters: Sequence[Parameter]) -> Iterator[str]:
    if not parameters:
        return
    yield ""
    yield f"  {title}:"
    width = max(len(parameter.name) for parameter in parameters)
    for parameter in parameters:
        bounds = "; ".join(_bounds(parameter))
        yield f"    {parameter.name.ljust(width)}  {parameter.type}{f' ({bounds})' if bounds else ''}"
        if parameter.description:
            yield f"    {' ' * width}  {' '.join(parameter.description.split())}"


def _bounds(parameter: Parameter) -> Iterator[str]:
    if parameter.required and parameter.default is None:
        yield "required"
    if parameter.secret:
        yield "secret, by reference"
    if parameter.default not in (None, ""):
        yield f"default {parameter.default}"
    if parameter.enum:
        yield f"one of {', '.join(map(str, parameter.enum))}"
    if parameter.minimum is not None:
        yield f"at least {parameter.minimum:g}"
    if parameter.maximum is not None:
        yield f"at most {parameter.maximum:g}"
    if parameter.pattern:
        yield f"like {parameter.pattern}"


async def missing_dependencies(cluster: Cluster, contract: ContractSpec, namespace: str) -> list[str]:
    """Which Secrets and ConfigMaps that an action needs are not there, as far as one may look: `Secret git`."""
    missing: list[str] = []
    asked = contract.dependencies
    for kind, wanted in ((kinds.SECRETS, asked.secrets), (kinds.CONFIG_MAPS, asked.config_maps)):
        for name in wanted:
            try:
                await cluster.get(kind, name, namespace)
            except NotFound:
                missing.append(f"{kind.kind} {name}")
            except Forbidden:
                continue
    return missing


def made_by(dependency: str, namespace: str) -> str:
    """The command that makes a missing `Secret git`, in the namespace where the action will run."""
    kind, _, name = dependency.partition(" ")
    what = "secret generic" if kind == "Secret" else "configmap"
    return f"kubectl create {what} {name} -n {namespace} --from-literal=KEY=VALUE"


def _permissions(contract: ContractSpec) -> Iterator[str]:
    if not contract.rbac.permissions:
        return
    yield ""
    yield "  Permissions:"
    for one in contract.rbac.permissions:
        named = f" named {', '.join(one.resource_names)}" if one.resource_names else ""
        where = " in the whole cluster" if one.cluster else ""
        yield f"    {', '.join(one.verbs)}: {', '.join(one.resources)}{named}{where}"
