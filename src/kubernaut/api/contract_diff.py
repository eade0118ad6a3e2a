"""What changed between two contracts of an action, and what that means for those who use it. Pure.

Compatible is what nobody has to do anything for: every input that was valid is valid still, what comes out can be
read as before, nothing more is asked of the cluster. Everything else is breaking and needs a new major version.
"""

import re
from collections.abc import Iterator
from typing import Literal

from kubernaut.api.contract import ActionContract, ContractSpec, Parameter, Permission, ValueType
from kubernaut.api.duration import from_duration
from kubernaut.api.faults import Fault
from kubernaut.api.meta import JSON, Frozen

Effect = Literal["breaking", "compatible"]

_STRINGS = ("string", "duration")
_NUMBERS = ("integer", "number")
# Every value of the first type is one of the second.
_WIDER: frozenset[tuple[ValueType, ValueType]] = frozenset({("integer", "number"), ("duration", "string")})


class ContractChange(Frozen, frozen=True, kw_only=False):
    """One difference: where, what it does to users, and why."""

    path: str
    effect: Effect
    reason: str

    def __str__(self) -> str:
        return f"{self.effect}: {self.path}: {self.reason}"


def contract_changes(old: ActionContract, new: ActionContract) -> tuple[ContractChange, ...]:
    """Everything that differs, but the version and texts for people. Equal contracts have no changes."""
    found: list[ContractChange] = []
    if old.metadata.name != new.metadata.name:
        found.append(_breaking("metadata.name", f"another action: {old.metadata.name} is {new.metadata.name} now"))
    return (
        *found,
        *_input_changes(old.spec, new.spec),
        *_output_changes(old.spec, new.spec),
        *_permission_changes(old.spec, new.spec),
        *_dependency_changes(old.spec, new.spec),
        *_time_changes(old.spec, new.spec),
        *_promise_changes(old.spec, new.spec),
        *_container_changes(old.spec, new.spec),
    )


def is_breaking(changes: tuple[ContractChange, ...]) -> bool:
    """Whether any user has to do something."""
    return any(change.effect == "breaking" for change in changes)


def version_faults(old: ActionContract, new: ActionContract) -> tuple[Fault, ...]:
    """Where the new version does not say what changed (semver.org; below 1.0.0 the minor counts as the major)."""
    changes = contract_changes(old, new)
    before, after = old.metadata.version, new.metadata.version
    path = "metadata.version"
    if _order(after) < _order(before):
        return (Fault(path, f"goes back from {before} to {after}", "Give it a higher one."),)
    if _order(after) == _order(before):
        if not changes:
            return ()
        wanted = next_version(before, breaking=is_breaking(changes))
        return (Fault(path, f"is {before} as before, and the contract is another", f"Make it {wanted}."),)
    if is_breaking(changes) and _compatible_range(before) == _compatible_range(after):
        wanted = next_version(before, breaking=True)
        message = f"{after} promises to be compatible with {before}, and is not"
        return (Fault(path, message, f"Make it {wanted}, or take the breaking changes back."),)
    return ()


def next_version(version: str, *, breaking: bool) -> str:
    """The least version that may follow, without `v` and suffixes: `1.4.2` -> `2.0.0` or `1.5.0`."""
    major, minor, patch = _numbers(version)
    if breaking:
        return f"{major + 1}.0.0" if major else f"0.{minor + 1}.0"
    return f"{major}.{minor + 1}.0" if major else f"0.{minor}.{patch + 1}"


def _breaking(path: str, reason: str) -> ContractChange:
    return ContractChange(path, "breaking", reason)


def _compatible(path: str, reason: str) -> ContractChange:
    return ContractChange(path, "compatible", reason)


def _input_changes(old: ContractSpec, new: ContractSpec) -> Iterator[ContractChange]:
    before, after = {p.name: p for p in old.inputs}, {p.name: p for p in new.inputs}
    for name in before.keys() - after.keys():
        yield _breaking(f"spec.inputs.{name}", "it is gone; steps that give it are refused")
    for name, parameter in after.items():
        path = f"spec.inputs.{name}"
        if name in before:
            yield from _kept_input(before[name], parameter, path)
        elif _must_be_given(parameter):
            yield _breaking(path, "it is new and required; steps that know nothing of it are refused")
        else:
            yield _compatible(path, "it is new and may be left out")


def _kept_input(old: Parameter, new: Parameter, path: str) -> Iterator[ContractChange]:
    if _must_be_given(new) and not _must_be_given(old):
        yield _breaking(path, "it could be left out and is required now")
    elif _must_be_given(old) and not _must_be_given(new):
        yield _compatible(path, "it may be left out now")
    elif not _must_be_given(old) and not _same(old.default, new.default):
        yield _breaking(f"{path}.default", "steps that leave it out would do something else")
    if old.secret != new.secret:
        yield _breaking(
            f"{path}.secret", "a secret is given by reference, other inputs in clear: steps must change"
        )
    yield from _bounds(old, new, path, "values that were taken are refused", "more values are taken")


def _output_changes(old: ContractSpec, new: ContractSpec) -> Iterator[ContractChange]:
    before, after = {p.name: p for p in old.outputs}, {p.name: p for p in new.outputs}
    for name in before.keys() - after.keys():
        yield _breaking(f"spec.outputs.{name}", "it is gone; steps that refer to it are refused")
    for name in after.keys() - before.keys():
        yield _compatible(f"spec.outputs.{name}", "it is new")
    for name in before.keys() & after.keys():
        path, was, now = f"spec.outputs.{name}", before[name], after[name]
        if was.required and not now.required:
            yield _breaking(path, "it was always there and may be missing now")
        elif now.required and not was.required:
            yield _compatible(path, "it is always there now")
        if was.secret != now.secret:
            yield _breaking(f"{path}.secret", "a secret comes as a reference, other outputs in clear")
        # What comes out is the readers' input: here the old declaration must hold for the new values.
        yield from _bounds(now, was, path, "readers meet values that could not come before", "fewer values come")


def _bounds(given: Parameter, taken: Parameter, path: str, narrower: str, wider: str) -> Iterator[ContractChange]:
    """Where a value that is valid for `given` may be refused by `taken`, and where the other way round."""
    for part in _misfits(given, taken):
        yield _breaking(f"{path}.{part}", narrower)
    for part in sorted({*_misfits(taken, given)} - {*_misfits(given, taken)}):
        yield _compatible(f"{path}.{part}", wider)


def _misfits(given: Parameter, taken: Parameter) -> Iterator[str]:
    """The parts of a declaration for which a value of `given` may not be one of `taken`."""
    kind = given.type
    if kind != taken.type and (kind, taken.type) not in _WIDER:
        yield "type"
    if taken.enum and not (given.enum and all(option in taken.enum for option in given.enum)):
        yield "enum"
    if kind in _STRINGS:
        # Whether one pattern takes all that another takes is not decided here: another pattern is another promise.
        if taken.pattern and taken.pattern != given.pattern:
            yield "pattern"
        if taken.max_length is not None and (given.max_length is None or given.max_length > taken.max_length):
            yield "maxLength"
    if kind in _NUMBERS:
        if taken.minimum is not None and (given.minimum is None or given.minimum < taken.minimum):
            yield "minimum"
        if taken.maximum is not None and (given.maximum is None or given.maximum > taken.maximum):
            yield "maximum"


def _must_be_given(parameter: Parameter) -> bool:
    return parameter.required and parameter.default is None


def _same(one: JSON, other: JSON) -> bool:
    # Python holds True == 1; JSON does not.
    return one == other and isinstance(one, bool) == isinstance(other, bool)


Right = tuple[str, str, str, str, bool]


def _rights(permissions: tuple[Permission, ...]) -> set[Right]:
    return {
        (group, resource, verb, name, permission.cluster)
        for permission in permissions
        for group in permission.api_groups
        for resource in permission.resources
        for verb in permission.verbs
        for name in permission.resource_names or ("*",)
    }


def _covers(held: Right, asked: Right) -> bool:
    """Whether one right gives another; `*` is RBAC's own word for all, and the cluster holds every namespace."""
    words = all(mine in ("*", theirs) for mine, theirs in zip(held[:4], asked[:4], strict=True))
    return words and (held[4] or not asked[4])


def _permission_changes(old: ContractSpec, new: ContractSpec) -> Iterator[ContractChange]:
    before, after = _rights(old.rbac.permissions), _rights(new.rbac.permissions)
    for asked in sorted(after):
        if not any(_covers(held, asked) for held in before):
            yield _breaking("spec.rbac.permissions", f"it needs more than its account has: {_shown(asked)}")
    for held in sorted(before):
        if not any(_covers(asked, held) for asked in after):
            yield _compatible("spec.rbac.permissions", f"it needs less: no longer {_shown(held)}")


def _shown(right: Right) -> str:
    group, resource, verb, name, cluster = right
    place = " in the whole cluster" if cluster else ""
    return f"{verb} {resource}{f'.{group}' if group else ''}{f' named {name}' if name != '*' else ''}{place}"


def _dependency_changes(old: ContractSpec, new: ContractSpec) -> Iterator[ContractChange]:
    for field, kind, before, after in (
        ("secrets", "Secret", old.dependencies.secrets, new.dependencies.secrets),
        ("configMaps", "ConfigMap", old.dependencies.config_maps, new.dependencies.config_maps),
    ):
        path = f"spec.dependencies.{field}"
        for name in sorted({*after} - {*before}):
            yield _breaking(path, f"the {kind} {name} must be there before it can run")
        for name in sorted({*before} - {*after}):
            yield _compatible(path, f"the {kind} {name} is no longer needed")


def _time_changes(old: ContractSpec, new: ContractSpec) -> Iterator[ContractChange]:
    for path, before, after, less in (
        ("spec.timeout", old.timeout, new.timeout, "steps that do not say have less time"),
        ("spec.maxTimeout", old.max_timeout, new.max_timeout, "steps that ask for more are refused"),
    ):
        was, now = from_duration(before), from_duration(after)
        if now < was:
            yield _breaking(path, f"{less}: {after} instead of {before}")
        elif now > was:
            yield _compatible(path, f"{after} instead of {before}")


def _promise_changes(old: ContractSpec, new: ContractSpec) -> Iterator[ContractChange]:
    lost = {
        "idempotent": "it is no longer tried again when nobody knows whether it has run",
        "reversible": "it no longer says how it is undone",
        "fenced": "nothing keeps a second process from doing the same: no retries, approval by default",
    }
    for name, reason in lost.items():
        before, after = getattr(old, name), getattr(new, name)
        if before and not after:
            yield _breaking(f"spec.{name}", reason)
        elif after and not before:
            yield _compatible(f"spec.{name}", "it promises more")


def _container_changes(old: ContractSpec, new: ContractSpec) -> Iterator[ContractChange]:
    if old.resources != new.resources:
        yield _compatible("spec.resources", "quotas may have to be looked at")
    if old.security_context != new.security_context:
        yield _compatible("spec.securityContext", "files in a shared workspace may belong to another user")


_VERSION = re.compile(r"v?([0-9]+)\.([0-9]+)\.([0-9]+)(?:-([0-9A-Za-z.-]+))?")


def _numbers(version: str) -> tuple[int, int, int]:
    found = _VERSION.match(version)
    assert found is not None, "the struct's own pattern"
    return int(found[1]), int(found[2]), int(found[3])


def _compatible_range(version: str) -> tuple[int, ...]:
    major, minor, _ = _numbers(version)
    return (major,) if major else (0, minor)


def _order(version: str) -> tuple[tuple[int, int, int], bool, tuple[tuple[bool, int, str], ...]]:
    """Precedence by semver.org, part 11: one with a suffix is before the one without; builds do not count."""
    found = _VERSION.match(version)
    assert found is not None, "the struct's own pattern"
    words = found[4].split(".") if found[4] else []
    return (
        _numbers(version),
        not words,
        tuple((not word.isdecimal(), int(word) if word.isdecimal() else 0, word) for word in words),
    )
