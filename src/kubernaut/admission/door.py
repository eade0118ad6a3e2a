"""What the door knows: everything a judgement depends on besides the document itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kubernaut.api.contract import ActionContract
from kubernaut.api.definition import ActionDefinition
from kubernaut.api.faults import Fault
from kubernaut.api.workflow import WorkflowExecution


def _no_opinion(_expression: str) -> str | None:
    return None


@dataclass(frozen=True)
class Door:
    """The catalogue, the engines and the bounds in force."""

    catalogue: Mapping[str, ActionDefinition]
    """By action type."""
    contracts: Mapping[str, ActionContract] = field(default_factory=dict[str, ActionContract])
    """By image, for images other than the catalogue's that may run."""
    unreadable: Mapping[str, Fault] = field(default_factory=dict[str, Fault])
    """By image, why its contract cannot be had; the path is the judge's to fill in."""
    awaited: frozenset[str] = frozenset()
    """Images whose contracts are being read: nothing is said about them yet."""
    engines: frozenset[str] = frozenset({"job"})
    earlier: WorkflowExecution | None = None
    """What `spec.retryOf` names, if it exists."""
    cel_error: Callable[[str], str | None] = _no_opinion
    """What is wrong with a CEL expression."""
    is_offline: bool = False
    """Nothing but the document is at hand: what only a cluster can tell (`retryOf`, images) is passed over."""
    max_workflow_seconds: float = 24 * 3600.0
    """Longest timeout of a workflow, and longest wait between two attempts."""
