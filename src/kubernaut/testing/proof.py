"""Whether an action's contract declares exactly the permissions that it uses, shown by playing its scenarios.

It plays with the permissions that its contract declares. What the API server refuses it beyond these is noted and
granted, and the scenario played again, until nothing more is refused: so all of it is found, not only the first.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import msgspec

from kubernaut.api.contract import Permission
from kubernaut.cluster import Json
from kubernaut.devcluster.request_log import Call, RequestLog
from kubernaut.sdk.declare import AnyAction
from kubernaut.testing.installing import RUNNER, RUNS, user_of
from kubernaut.testing.playing import Verdict, play
from kubernaut.testing.scenario import Scenario
from kubernaut.testing.stage import open_stage

_MOST_ROUNDS = 12
_FORBIDDEN = 403
_CREATED = 201
"""Of a server-side apply: a server asks for the permission to create besides that to patch."""
# Everybody may ask what he himself may do.
_REVIEWS = "authorization.k8s.io"
_UNNAMED = frozenset({"create", "list", "watch", "deletecollection"})


class Use(NamedTuple):
    """What the API server was asked for, as permissions speak of it."""

    verb: str
    group: str
    resource: str
    """Plural, with subresource: `pods/log`."""
    namespace: str = ""
    """Empty: of the whole cluster, or of no namespace."""
    name: str = ""
    """Empty for what is asked of many; RBAC knows none at creation."""

    def __str__(self) -> str:
        what = f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}"
        name = f" {self.name}" if self.name else ""
        return f"{what}{name} in {self.namespace}" if self.namespace else f"{what}{name} in the whole cluster"


class Rule(NamedTuple):
    """A permission's smallest part."""

    verb: str
    group: str
    resource: str
    name: str = ""
    cluster: bool = False
    number: int = 0
    """Of the permission in the contract."""

    def __str__(self) -> str:
        name = f" {self.name}" if self.name else ""
        return f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}{name}"

    def covers(self, use: Use, *, anywhere: bool = False) -> bool:
        """Whether it permits this; `anywhere`, or only where such a permission can hold."""
        fits = (
            self.verb in (use.verb, "*")
            and self.group in (use.group, "*")
            and self.resource in (use.resource, "*")
            and self.name in ("", use.name)
        )
        return fits and (anywhere or self.cluster or bool(use.namespace))


def rules_of(permissions: Sequence[Permission]) -> Iterator[Rule]:
    """Each verb of each resource of each permission."""
    for number, one in enumerate(permissions):
        for group in one.api_groups:
            for resource in one.resources:
                for verb in one.verbs:
                    for name in one.resource_names or ("",):
                        yield Rule(verb, group, resource, name, one.cluster, number)


@dataclass(frozen=True)
class Proof:
    """What became of one action in its scenarios."""

    action: str
    scenarios: tuple[str, ...]
    used: Mapping[Rule, tuple[str, ...]]
    """By declared permission, in which scenarios."""
    undeclared: Mapping[Use, tuple[str, ...]]
    unused: tuple[Rule, ...]
    failures: tuple[str, ...]
    """Scenarios that did not go as they expect, although everything was permitted in the end."""

    @property
    def is_exact(self) -> bool:
        """Whether what is declared is what is used."""
        return not self.undeclared and not self.unused

    def to_add(self) -> list[Json]:
        """The permissions that the contract lacks, as it writes them."""
        return msgspec.json.decode(msgspec.json.encode(permissions_for(self.undeclared)), type=list[Json])


def permissions_for(uses: Iterable[Use]) -> list[Permission]:
    """As few as can be, none of them wider than what was used."""
    verbs: dict[tuple[str, str, bool], set[str]] = {}
    for use in uses:
        verbs.setdefault((use.group, use.resource, not use.namespace), set()).add(use.verb)
    resources: dict[tuple[str, tuple[str, ...], bool], list[str]] = {}
    for (group, resource, cluster), wanted in sorted(verbs.items()):
        resources.setdefault((group, tuple(sorted(wanted)), cluster), []).append(resource)
    return [
        Permission(api_groups=(group,), resources=tuple(of), verbs=wanted, cluster=cluster)
        for (group, wanted, cluster), of in resources.items()
    ]


def scenarios_of(action_type: str, scenarios: Iterable[Scenario]) -> list[Scenario]:
    """Those in whose workflows the action appears."""
    return [one for one in scenarios if action_type in set(_types_in(one.workflows))]


def _types_in(workflows: Iterable[Json]) -> Iterator[str]:
    for workflow in workflows:
        spec: Json = workflow.get("spec") or {}
        for step in (*(spec.get("steps") or ()), *(spec.get("finally") or ())):
            yield str(step.get("actionType", ""))


# -- playing ---------------------------------------------------------------------------------------


class _Watch(RequestLog):
    """Keeps what was asked under the accounts of actions, and of that everything: a play may be long."""

    def __init__(self, users: Mapping[str, str]) -> None:
        super().__init__()
        self._users = users
        self.granted: dict[str, set[Use]] = {action: set() for action in users.values()}
        self.refused: dict[str, set[Use]] = {action: set() for action in users.values()}

    def note(self, call: Call) -> None:
        super().note(call)
        action = self._users.get(call.user)
        if action is None or not call.resource or call.group == _REVIEWS:
            return
        name = (
            ""
            if call.verb in ("create", "list", "watch", "deletecollection") and "/" not in call.resource
            else call.name
        )
        use = Use(call.verb, call.group, call.resource, call.namespace, name)
        if use.namespace == RUNS and any(rule.covers(use) for rule in rules_of(RUNNER)):
            return
        (self.refused if call.code == _FORBIDDEN else self.granted)[action].add(use)
        if call.verb == "patch" and call.code == _CREATED:
            self.granted[action].add(use._replace(verb="create", name=""))


@dataclass
class _Play:
    """What one scenario came to, played until nothing more was refused."""

    granted: dict[str, set[Use]]
    undeclared: dict[str, set[Use]]
    failures: list[Verdict] = field(default_factory=list[Verdict])


async def _played(scenario: Scenario, actions: Sequence[AnyAction]) -> _Play:
    types = set(_types_in(scenario.workflows))
    # To install the others takes longer than most plays.
    actions = [action for action in actions if action.name in types]
    undeclared: dict[str, set[Use]] = {action.name: set() for action in actions}
    for rounds_left in reversed(range(_MOST_ROUNDS)):
        widened = [_with(action, permissions_for(undeclared[action.name])) for action in actions]
        with tempfile.TemporaryDirectory(prefix="proof-") as folder:
            async with open_stage(Path(folder), actions=widened) as stage:
                watch = _Watch({user_of(action.contract): action.name for action in actions})
                stage.dev.server.requests = watch
                result = await play(stage, scenario)
        news = {
            action.name: {use for use in watch.refused[action.name] if _is_beyond(action, use)}
            for action in widened
        }
        for name, uses in news.items():
            undeclared[name] |= uses
        if not any(news.values()) or not rounds_left:
            return _Play(watch.granted, undeclared, result.failures)
    raise AssertionError("there is a last round")


def _is_beyond(action: AnyAction, use: Use) -> bool:
    """No permission covers it anywhere. What one covers elsewhere is out of reach, and refused rightly."""
    rules = rules_of(action.contract.spec.rbac.permissions)
    return not any(rule.covers(use, anywhere=bool(use.namespace)) for rule in rules)


def _with(action: AnyAction, more: Sequence[Permission]) -> AnyAction:
    if not more:
        return action
    spec = action.contract.spec
    rbac = msgspec.structs.replace(spec.rbac, permissions=(*spec.rbac.permissions, *more))
    wider = msgspec.structs.replace(action.contract, spec=msgspec.structs.replace(spec, rbac=rbac))
    return replace(action, contract=wider)


async def prove(
    wanted: Sequence[AnyAction],
    scenarios: Iterable[Scenario],
    others: Sequence[AnyAction] = (),
    begins: Callable[[str], None] = lambda _scenario: None,
) -> list[Proof]:
    """Play each scenario in which one of the actions appears, and say of each action what it used.

    others: actions that the scenarios need besides, and of which nothing is said.
    begins: is told the name of each scenario before it is played.

    Raises OSError when no port of the loopback can be had.
    """
    types = {action.name for action in wanted}
    actions = [*wanted, *(action for action in others if action.name not in types)]
    plays: dict[str, tuple[Scenario, _Play]] = {}
    for scenario in scenarios:
        if types & set(_types_in(scenario.workflows)):
            begins(scenario.name)
            plays[scenario.name] = scenario, await _played(scenario, actions)
    return [_judged(action, plays) for action in wanted]


def _judged(action: AnyAction, plays: Mapping[str, tuple[Scenario, _Play]]) -> Proof:
    own = {
        name: played
        for name, (scenario, played) in plays.items()
        if action.name in set(_types_in(scenario.workflows))
    }
    rules = list(rules_of(action.contract.spec.rbac.permissions))
    used: dict[Rule, list[str]] = {}
    undeclared: dict[Use, list[str]] = {}
    for name, played in own.items():
        for rule in rules:
            if any(rule.covers(use) for use in played.granted[action.name]):
                used.setdefault(rule, []).append(name)
        for use in sorted(played.undeclared[action.name]):
            undeclared.setdefault(use, []).append(name)
    return Proof(
        action.name,
        tuple(own),
        {rule: tuple(where) for rule, where in used.items()},
        {use: tuple(where) for use, where in undeclared.items()},
        tuple(rule for rule in rules if rule not in used),
        tuple(f"{name}: {verdict}" for name, played in own.items() for verdict in played.failures),
    )
