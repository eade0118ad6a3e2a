"""What is doubtful about policies that compile: rules that never fire, and verdicts that say nothing."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Any, Union, get_args, get_origin

import msgspec

from kubernaut.api.policy import PolicyInput
from kubernaut.planning.policies import ALLOW, DECISIONS
from kubernaut.safety.rego.faults import Fault
from kubernaut.safety.rego.policy_set import SHIPPED
from kubernaut.safety.rego.reading import FUNCTION, SET, Module, Rule

_ROOT = "kubernaut"
_MEANT = {
    "violation": "deny",
    "denied": "deny",
    "denies": "deny",
    "warning": "warn",
    "warnings": "warn",
    "approval": "require_approval",
    "dry_run": "require_dry_run",
    "autonomy": "min_autonomy",
}


def doubts(modules: Sequence[Module]) -> list[Fault]:
    """Warnings about all modules but the shipped ones, by place."""
    own = [module for module in modules if not module.path.startswith(SHIPPED)]
    found = [
        *_without_message(own),
        *_never_asked(own, modules),
        *_shadowing(own, modules),
        *_misnamed(own),
        *_unknown_input(own),
        *_negated(own),
        *_nothing_allows(own, modules),
    ]
    return sorted(set(found), key=lambda one: (one.place.path, one.place.line, one.place.column, one.message))


def _is_ours(package: str) -> bool:
    return package == _ROOT or package.startswith(f"{_ROOT}.")


def _is_test(module: Module) -> bool:
    return module.path.endswith("_test.rego")


def _without_message(own: Sequence[Module]) -> Iterator[Fault]:
    for rule in _rules(own):
        if _is_ours(rule.package) and rule.name in DECISIONS and rule.gives in ("bare", "other"):
            what = "an object without msg" if rule.gives == "bare" else "neither text nor an object with msg"
            yield Fault(rule.place, f"{rule.name} gives {what}: nobody will know why", "Give a message.")


def _never_asked(own: Sequence[Module], modules: Sequence[Module]) -> Iterator[Fault]:
    """Packages outside `kubernaut` that no module mentions."""
    read = {mention.name for module in modules for mention in (*module.mentions, *module.imports)}
    for module in own:
        path = f"data.{module.package}"
        is_read = any(name == path or name.startswith(f"{path}.") for name in read)
        if not _is_ours(module.package) and not is_read and not _is_test(module):
            mend = f"Name it {_ROOT}.{module.package}, or import it."
            yield Fault(module.place, f"nobody reads the package {module.package}", mend)


def _shadowing(own: Sequence[Module], modules: Sequence[Module]) -> Iterator[Fault]:
    shipped = {module.package for module in modules if module.path.startswith(SHIPPED)}
    for module in own:
        if module.package in shipped:
            message = f"the package {module.package} is a shipped one: its rules and these become one"
            yield Fault(module.place, message, "Give it a name of your own.")


def _misnamed(own: Sequence[Module]) -> Iterator[Fault]:
    for rule in _rules(module for module in own if not _is_test(module)):
        if not _is_ours(rule.package) or rule.name in DECISIONS or rule.kind == FUNCTION:
            continue
        close = get_close_matches(rule.name.lower(), DECISIONS, n=1, cutoff=0.8)
        meant = _MEANT.get(rule.name) or (close[0] if close else "")
        if meant and rule.kind == SET:
            yield Fault(rule.place, f"{rule.name} is no decision: nobody asks for it", f"Did you mean {meant}?")


def _unknown_input(own: Sequence[Module]) -> Iterator[Fault]:
    """Fields that no input document has: what reads them never fires."""
    for mention in (mention for module in own if not _is_test(module) for mention in module.mentions):
        names = mention.name.split(".")
        if names[0] != "input":
            continue
        if unknown := _first_unknown(names[1:]):
            path, known = unknown
            close = get_close_matches(path[-1], known, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"There are {', '.join(sorted(known))}."
            yield Fault(mention.place, f"the input document has no {'.'.join(['input', *path])}", hint)


def _negated(own: Sequence[Module]) -> Iterator[Fault]:
    """Where engines differ: when the value is not there, ours says true, and OPA 1.4 nothing at all."""
    for mention in (mention for module in own if not _is_test(module) for mention in module.negated):
        if mention.name.startswith("input."):
            path = ", ".join(f'"{name}"' for name in mention.name.split(".")[1:])
            yield Fault(
                mention.place,
                f"engines differ on `not` before a call when {mention.name} is absent",
                f"Write object.get(input, [{path}], ...) with a value for that case.",
            )


def _nothing_allows(own: Sequence[Module], modules: Sequence[Module]) -> Iterator[Fault]:
    decides = [rule for rule in _rules(own) if _is_ours(rule.package) and rule.name in DECISIONS]
    allows = any(_is_ours(rule.package) and rule.name == ALLOW for rule in _rules(modules))
    if decides and not allows:
        yield Fault(
            decides[0].place, "no package has `allow`, so everything is denied", "Write `allow if { ... }`."
        )


def _rules(modules: Any) -> Iterator[Rule]:
    for module in modules:
        yield from module.rules


def _first_unknown(names: Sequence[str]) -> tuple[list[str], list[str]] | None:
    """The path to the first name that is no field, and those that there are."""
    kind: Any = PolicyInput
    for number, name in enumerate(names):
        struct = _struct_in(kind)
        if struct is None:
            return None
        known: Mapping[str, Any] = {one.encode_name: one.type for one in msgspec.structs.fields(struct)}
        if name not in known:
            return list(names[: number + 1]), list(known)
        kind = known[name]
    return None


def _struct_in(kind: Any) -> type[msgspec.Struct] | None:
    if get_origin(kind) in (Union, UnionType):
        found = [struct for part in get_args(kind) if (struct := _struct_in(part)) is not None]
        return found[0] if found else None
    return kind if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None
