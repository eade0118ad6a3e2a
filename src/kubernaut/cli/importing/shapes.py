"""Which older shape a document has, and its translation."""

from collections.abc import Mapping
from typing import cast

from kubernaut.api import names
from kubernaut.api.contract import ActionContract
from kubernaut.cli.importing.older import Json, NotOlder, Older, Remark, Translation
from kubernaut.cli.importing.registry import entries, registry
from kubernaut.cli.importing.steps import Contracts
from kubernaut.cli.importing.workflows import single, workflow

_OLDER_STEP_FIELDS = {"stepNumber", "action", "dependsOn", "criticalStep", "targetCluster", "rollbackSpec"}
_INSTALLED = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")


def translate(
    document: Json, contracts: Contracts, by_image: Mapping[str, ActionContract] | None = None
) -> Translation:
    """Today's documents for an older one. Raises NotOlder.

    contracts: of the actions in the box, by action type. by_image: of registry entries, where they could be read.
    """
    kind = document.get("kind")
    if kind == "WorkflowExecution" and _is_older_workflow(document):
        made, older = workflow(document, contracts)
        return _done([made], older)
    if kind == "KubernetesExecution" or (kind == "ActionExecution" and "contract" not in _spec(document)):
        made, older = single(document, contracts)
        return _done([made], older)
    if kind == "ConfigMap" and entries(document):
        definitions, older = registry(document, contracts, by_image or {})
        return _done(definitions, older)
    raise NotOlder(_what_it_is(document))


def needed_contracts(document: Json) -> list[str]:
    """Images of a registry whose contracts should be read before `translate`."""
    if document.get("kind") != "ConfigMap":
        return []
    return [str(entry["image"]) for entry in entries(document).values() if "@sha256:" in str(entry["image"])]


def _done(documents: list[Json], older: Older) -> Translation:
    left = [Remark(path, "has no home today", True) for path in older.left_over()]
    remarks = sorted({*older.remarks, *left}, key=lambda remark: remark.path)
    return Translation(tuple(documents), tuple(remarks))


def _is_older_workflow(document: Json) -> bool:
    spec = _spec(document)
    steps = spec.get("steps")
    given = cast("list[object]", steps) if isinstance(steps, list) else []
    has_older_steps = any(isinstance(step, dict) and _OLDER_STEP_FIELDS & step.keys() for step in given)
    older_fields = {"workflowDefinition", "executionStrategy", "adaptiveOrchestration"} & spec.keys()
    return bool(older_fields or has_older_steps or document.get("apiVersion") != names.WORKFLOW_API)


def _spec(document: Json) -> Json:
    spec = document.get("spec")
    return cast(Json, spec) if isinstance(spec, dict) else {}


def _what_it_is(document: Json) -> str:
    kind = document.get("kind") or "an object without a kind"
    if kind in ("WorkflowExecution", "ActionExecution", "ActionDefinition"):
        return f"this {kind} has today's shape already"
    if kind == "ConfigMap":
        return "this ConfigMap is no action registry: no key holds an image"
    if kind in _INSTALLED:
        return f"a {kind} is not imported: `kubernaut install` makes accounts and roles from the contracts"
    return (
        f"{kind} is none of the older kinds: WorkflowExecution, KubernetesExecution, ActionExecution, a registry"
    )
