"""Judging files as the door does, each fault with its line and column."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from kubernaut.admission import Document, Door, check, check_action, check_definition, read_document
from kubernaut.api.action import ActionExecution
from kubernaut.api.contract import ActionContract
from kubernaut.api.definition import ActionDefinition
from kubernaut.api.faults import Fault
from kubernaut.api.workflow import WorkflowExecution
from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.manifests import Manifest
from kubernaut.cli.output import Json
from kubernaut.cli.terminal import Terminal
from kubernaut.safety import check_cel

if TYPE_CHECKING:
    from kubernaut.cli.foreign import Foreign
    from kubernaut.cluster import Cluster

_OUR_KINDS = (
    "WorkflowExecution",
    "ActionExecution",
    "ActionDefinition",
    "KubernetesExecution",
    "RemediationWorkflow",
)
_OUR_DOMAINS = ("kubernaut.ai", "kubernaut.io")

Catalogue = Mapping[str, ActionDefinition]
"""By action type."""


class Found(NamedTuple):
    """A fault, and where it stands."""

    source: str
    line: int
    column: int
    fault: Fault

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}: {self.fault}"

    def to_json(self) -> Json:
        return {
            "file": self.source,
            "line": self.line,
            "column": self.column,
            "path": self.fault.path,
            "message": self.fault.message,
            "mend": self.fault.mend,
        }


def is_ours(manifest: Manifest) -> bool:
    """Whether the door would look at it at all; files may hold other objects too."""
    group = str(manifest.document.get("apiVersion", "")).partition("/")[0]
    return manifest.kind in _OUR_KINDS or group.endswith(_OUR_DOMAINS)


def faults_in(
    manifests: Sequence[Manifest], catalogue: Catalogue, *, is_offline: bool, foreign: "Foreign | None" = None
) -> list[Found]:
    """Everything that the door refuses, file by file. Definitions in the files count as if installed.

    `foreign` is what is known of images that the catalogue does not name.
    """
    ours = [(manifest, *read_document(manifest.document)) for manifest in manifests if is_ours(manifest)]
    there = dict(catalogue) | {
        document.spec.action_type: document for _, document, _ in ours if isinstance(document, ActionDefinition)
    }
    door = Door(catalogue=there, cel_error=check_cel, is_offline=is_offline)
    if foreign is not None:
        door = replace(door, contracts=foreign.contracts, unreadable=foreign.unreadable)
    found: list[Found] = []
    for manifest, document, faults in ours:
        for fault in faults if document is None else _judge(document, door):
            path = "" if fault.path == "(root)" else fault.path
            found.append(Found(manifest.source, *manifest.locate(path), fault))
    return found


def _judge(document: Document, door: Door) -> tuple[Fault, ...]:
    match document:
        case WorkflowExecution():
            return tuple(check(document, door))
        case ActionExecution():
            return tuple(check_action(document, door))
        case ActionDefinition():
            return tuple(check_definition(document))


def shipped_catalogue() -> dict[str, ActionDefinition]:
    """The actions in the box as they would be installed; which image serves them does not matter here."""
    from kubernaut.cli.installing import account_of, shipped_contracts

    return {
        contract.metadata.name: _definition(contract, account_of(contract)) for contract in shipped_contracts()
    }


def catalogue_with(own: Sequence[ActionContract]) -> dict[str, ActionDefinition]:
    """The actions in the box and one's own, as they would be installed."""
    from kubernaut.cli.installing import account_of

    added = {contract.metadata.name: _definition(contract, account_of(contract)) for contract in own}
    return shipped_catalogue() | added


def _definition(contract: ActionContract, account: str) -> ActionDefinition:
    from kubernaut.api.definition import DefinitionSpec
    from kubernaut.api.meta import ObjectMeta

    return ActionDefinition(
        metadata=ObjectMeta(name="shipped"),
        spec=DefinitionSpec(
            action_type=contract.metadata.name,
            image=f"shipped@sha256:{'0' * 64}",
            version=contract.metadata.version,
            service_account_name=account,
            contract=contract.spec,
        ),
    )


async def catalogue_of(cluster: "Cluster") -> Catalogue | None:
    """The catalogue of a cluster; None where one may not look: the controller judges with the one it sees."""
    import msgspec

    from kubernaut.cli.session import fetch_all
    from kubernaut.cluster import Forbidden, kinds

    try:
        stored = await fetch_all(cluster, kinds.ACTION_DEFINITIONS, None)
    except Forbidden:
        return None
    return {item.spec.action_type: item for item in msgspec.convert(stored, list[ActionDefinition])}


def refuse_document(
    document: Json, catalogue: Catalogue, mend: str = "", foreign: "Foreign | None" = None
) -> None:
    """Raises CommandFailed if the door would refuse a document that stands in no file.

    `mend` is said where the door has nothing better.
    """
    found = faults_in([Manifest(document, "")], catalogue, is_offline=True, foreign=foreign)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        fault = found[0].fault
        message = f"refused: {fault.path}: {fault.message}{more}"
        raise CommandFailed(message, mend=fault.mend or mend, code=Exit.REFUSED)


def refuse_faults(terminal: Terminal, found: Sequence[Found]) -> None:
    """Prints the faults and raises CommandFailed if there are any."""
    for item in found:
        terminal.remark(str(item))
    if found:
        count = "one fault" if len(found) == 1 else f"{len(found)} faults"
        raise CommandFailed(f"refused: {count}; nothing was started", code=Exit.REFUSED)
