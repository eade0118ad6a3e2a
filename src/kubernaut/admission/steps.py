"""Each step for itself: its name, action, image, account, times."""

import re
from collections.abc import Iterator

from msgspec.structs import replace

from kubernaut.admission.catalogue import check_contract, is_account_name, version_fault
from kubernaut.admission.door import Door
from kubernaut.admission.pins import DEFAULT_ACCOUNT, IMAGE
from kubernaut.admission.survey import Placed, Survey
from kubernaut.admission.times import seconds_of
from kubernaut.admission.words import MEND_DIGEST, NO_DIGEST
from kubernaut.api.contract import ContractSpec, Dependencies
from kubernaut.api.definition import ActionDefinition
from kubernaut.api.faults import Fault
from kubernaut.api.workflow import Retry, Step

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
TYPE = re.compile(r"[a-z0-9][a-z0-9-]*/[a-z0-9][a-z0-9_-]*")


def name_faults(survey: Survey) -> Iterator[Fault]:
    """Malformed names, and names used twice, also between `steps` and `finally`."""
    for placed in survey.placed:
        path, name = f"{placed.path}.name", placed.step.name
        if not _NAME.fullmatch(name):
            yield Fault(path, "is malformed", "Write a-z, 0-9 and hyphens, at most 63 characters.")
        first = survey.by_name[name]
        if first is not placed:
            yield Fault(path, f"the name {name[:63]} is already used by {first.path}", "Give each step its own.")


def action_faults(survey: Survey) -> Iterator[Fault]:
    """Unknown action types, images that may not run, accounts that a step may not choose."""
    for placed in survey.placed:
        step, path = placed.step, placed.path
        if step.image is not None and not IMAGE.fullmatch(step.image):
            yield Fault(f"{path}.image", NO_DIGEST, MEND_DIGEST)
        definition = survey.door.catalogue.get(step.action_type)
        if definition is None and (step.image is None or not TYPE.fullmatch(step.action_type)):
            yield _unknown_type(survey, placed)
            continue
        if definition is not None and (newer := version_fault(definition, f"{path}.actionType")):
            yield newer
            continue
        yield from image_faults(survey.door, step, f"{path}.image", definition)
        yield from account_faults(survey.door, step, f"{path}.serviceAccountName", definition)
        if step.cluster:
            yield Fault(f"{path}.cluster", "is reserved for runs in several clusters", "Leave it out.")


def image_faults(door: Door, step: Step, here: str, definition: ActionDefinition | None) -> Iterator[Fault]:
    """What is wrong with an image of the step's own: unreadable, of no known contract, of another action."""
    image = step.image
    if image is None or not IMAGE.fullmatch(image) or (definition and image == definition.spec.image):
        return
    if image in door.contracts:
        name = door.contracts[image].metadata.name
        if name not in (step.action_type, step.action_type.rpartition("/")[2]):
            yield Fault(here, f"the image's contract is that of {name}, not of {step.action_type}")
        yield from _dependency_faults(door.contracts[image].spec, definition, here)
    elif image in door.unreadable:
        yield replace(door.unreadable[image], path=here)
    elif image not in door.awaited and not door.is_offline:
        mend = f"Leave it out to run {definition.spec.image}." if definition else ""
        yield Fault(here, "is not the catalogue's, and its contract is not known", mend)


def _dependency_faults(contract: ContractSpec, definition: ActionDefinition | None, path: str) -> Iterator[Fault]:
    """Which Secrets an action gets to see is said by who keeps the catalogue, not by who makes an image."""
    given = definition.spec.contract.dependencies if definition else Dependencies()
    asked = contract.dependencies
    for kind, wanted, allowed in (
        ("Secret", asked.secrets, given.secrets),
        ("ConfigMap", asked.config_maps, given.config_maps),
    ):
        for name in sorted({*wanted} - {*allowed}):
            message = (
                f"the image's contract asks for the {kind} {name}, which the catalogue does not give this action"
            )
            yield Fault(path, message, "Have the image installed in the catalogue: kubernaut action install.")


def contract_faults(survey: Survey) -> Iterator[Fault]:
    """Contracts that contradict themselves: nothing can be judged by them."""
    told: set[str] = set()
    for placed in survey.placed:
        known = survey.action_of(placed.step)
        if known is None or known.action.key in told:
            continue
        told.add(known.action.key)
        broken = check_contract(known.action.contract, "contract")
        if broken:
            first = f"{broken[0].path} {broken[0].message}"
            if placed.step.image in survey.door.contracts:
                mend = "Whoever makes the image has to mend it."
                yield Fault(f"{placed.path}.image", f"the image's contract is broken: {first}", mend)
                continue
            mend = "Whoever keeps the catalogue has to mend it."
            yield Fault(f"{placed.path}.actionType", f"the catalogue's entry is broken: {first}", mend)


def time_faults(survey: Survey) -> Iterator[Fault]:
    """Timeouts above what the contract allows, and waits that cannot be."""
    for placed in survey.placed:
        step, path = placed.step, placed.path
        known = survey.action_of(step)
        yield from retry_faults(step.retry, f"{path}.retry", survey.door.max_workflow_seconds)
        if step.timeout is not None:
            most = known.action.contract.max_timeout if known else ""
            yield from timeout_faults(step.timeout, most, f"{path}.timeout")


def timeout_faults(text: str, most: str, path: str) -> Iterator[Fault]:
    """A timeout that is no duration, or above the most that the contract allows (empty: not known)."""
    seconds, limit = seconds_of(text), seconds_of(most)
    if seconds is None:
        yield Fault(path, "is no duration", 'Write for example "90s", "5m" or "1h30m".')
    elif seconds <= 0:
        yield Fault(path, "must be longer than nothing")
    elif limit is not None and seconds > limit:
        yield Fault(path, f"is longer than the action's contract allows ({most})")


def retry_faults(retry: Retry, path: str, most_seconds: float) -> Iterator[Fault]:
    """Waits between attempts that are no durations, too long, or the wrong way round."""
    base, cap = seconds_of(retry.backoff.base), seconds_of(retry.backoff.cap)
    for name, seconds in (("base", base), ("cap", cap)):
        here = f"{path}.backoff.{name}"
        if seconds is None:
            yield Fault(here, "is no duration", 'Write for example "10s" or "5m".')
        elif seconds > most_seconds:
            yield Fault(here, f"is longer than {most_seconds / 3600:g} hours")
    if base is not None and cap is not None and base > cap:
        yield Fault(f"{path}.backoff.base", f"is above the cap of {retry.backoff.cap}")
    if not 0 <= retry.limit <= 10:
        yield Fault(f"{path}.limit", "must be between 0 and 10")


def _unknown_type(survey: Survey, placed: Placed) -> Fault:
    path, asked = f"{placed.path}.actionType", placed.step.action_type
    if not TYPE.fullmatch(asked):
        return Fault(path, "is malformed", "Write domain/action, for example kubernetes/scale_deployment.")
    nearest = survey.types_nearest
    near = nearest.find(asked)
    hint = f"Did you mean {near}? " if near else ""
    return Fault(path, f"the catalogue has no action {asked}", hint + nearest.listed())


def account_faults(door: Door, step: Step, here: str, definition: ActionDefinition | None) -> Iterator[Fault]:
    """An account that is not the registered one, where that is not allowed."""
    asked = step.service_account_name
    registered = definition.spec.service_account_name if definition else DEFAULT_ACCOUNT
    if asked in ("", registered):
        return
    if definition is None:
        # An account of the catalogue's brings permissions that were given to another image.
        owners = [d.spec.action_type for d in door.catalogue.values() if d.spec.service_account_name == asked]
        if owners:
            yield Fault(here, f"{asked} is the account of {owners[0]}", "Make an account for this action.")
            return
    elif not definition.spec.allow_other_service_accounts:
        yield Fault(here, f"{step.action_type} runs as {registered}, and as nobody else", "Leave it out.")
        return
    if not is_account_name(asked):
        yield Fault(here, "is no name of a ServiceAccount")
