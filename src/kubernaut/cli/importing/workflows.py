"""The WorkflowExecution with numbered steps, and lone executions, which are workflows of one step today."""

from typing import cast

from kubernaut.api import names
from kubernaut.cli.importing.older import Json, Older
from kubernaut.cli.importing.steps import Contracts, dns_label, duration, step_of
from kubernaut.cli.options import EXECUTION_NAMESPACE

_STATUS = "what came of the older run stays with the older object"
_SERVER = "is set by the cluster"
_AI = "advice to people; it was never part of what runs"
_WORKFLOW_NO_HOME = {
    "adaptiveOrchestration": "a run never changes itself: what was judged is what runs",
    "conditionOverrides": "conditions of a step cannot be written yet",
}
_AS_THEY_ARE = (
    "workflowType",
    "reason",
    "requiresApproval",
    "engine",
    "parallelism",
    "parameters",
    "priority",
    "rollbackStrategy",
    "targetResource",
    "remediationRequestRef",
    "requester",
)
_OLDER_NAMESPACES = ("kubernaut-system", "kubernaut-executor")
_KEPT_ANNOTATIONS_NOT = ("kubectl.kubernetes.io/last-applied-configuration",)


def workflow(document: Json, contracts: Contracts) -> tuple[Json, Older]:
    """An older WorkflowExecution."""
    older = Older(document)
    metadata = _metadata(older)
    spec = older.open("spec")
    found: Json = {key: spec.take(key) for key in _AS_THEY_ARE if spec.fields.get(key) is not None}
    definition = spec.open("workflowDefinition")
    if name := definition.text("name"):
        found.setdefault("workflowType", name)
    if "version" in definition.fields:
        definition.lose("version", "workflows have no version of their own; keep it in a label")
    for holder in (spec, definition):
        if "aiRecommendations" in holder.fields:
            holder.lose("aiRecommendations", _AI)
    strategy = spec.open("executionStrategy")
    _strategy(strategy, found)
    if timeout := duration(spec, "timeout"):
        found["timeout"] = timeout
    for key, why in _WORKFLOW_NO_HOME.items():
        if key in spec.fields:
            spec.lose(key, why)
    found["steps"] = _steps(spec, definition, strategy, contracts)
    found["finally"] = [step_of(item, n, contracts) for n, item in enumerate(spec.open_each("finally"), 1)]
    if not found["finally"]:
        del found["finally"]
    _drop_status(older)
    return _document(metadata, found), older


def single(document: Json, contracts: Contracts) -> tuple[Json, Older]:
    """A KubernetesExecution or an older ActionExecution: a workflow of one step."""
    older = Older(document)
    metadata = _metadata(older)
    spec = older.open("spec")
    for key in ("workflowExecutionRef", "stepNumber"):
        if key in spec.fields:
            spec.lose(key, "it is a workflow of its own now")
    if "imageVerification" in spec.fields:
        spec.lose("imageVerification", "how strictly images are judged stands in the catalogue, not in the run")
    step = step_of(spec, 1, contracts)
    for volume in spec.open_each("volumes"):
        if volume.text("name") == "workspace":
            step["usesWorkspace"] = True
            volume.note("pvcName", "the workflow makes its own workspace")
            volume.take("mountPath")
    if spec.take("dryRun"):
        spec.lose("dryRun", "every action tries a dry run first; one that only tries cannot be written yet")
    found: Json = {"steps": [step]}
    if spec.fields.get("targetResource") is not None:
        found["targetResource"] = spec.take("targetResource")
    _drop_status(older)
    return _document(metadata, found), older


def _document(metadata: Json, spec: Json) -> Json:
    return {"apiVersion": names.WORKFLOW_API, "kind": "WorkflowExecution", "metadata": metadata, "spec": spec}


def _metadata(older: Older) -> Json:
    older.take("apiVersion")
    older.take("kind")
    metadata = older.open("metadata")
    found: Json = {}
    for key in ("name", "generateName", "namespace", "labels"):
        if metadata.fields.get(key) is not None:
            found[key] = metadata.take(key)
    if found.get("namespace") in _OLDER_NAMESPACES:
        metadata.note("namespace", f"executions live in {EXECUTION_NAMESPACE} today")
        found["namespace"] = EXECUTION_NAMESPACE
    annotations = metadata.take("annotations")
    if isinstance(annotations, dict):
        given = cast(Json, annotations)
        kept = {key: value for key, value in given.items() if key not in _KEPT_ANNOTATIONS_NOT}
        if kept:
            found["annotations"] = kept
    for key in list(metadata.left_over()):
        metadata.lose(key.rpartition(".")[2], _SERVER)
    return found


def _drop_status(older: Older) -> None:
    if "status" in older.fields:
        older.lose("status", _STATUS)


def _strategy(strategy: Older, found: Json) -> None:
    if (approval := strategy.take("approvalRequired")) is not None:
        found.setdefault("requiresApproval", approval)
    if (rollback := strategy.take("rollbackStrategy")) is not None:
        found.setdefault("rollbackStrategy", rollback)
    if "dryRunFirst" in strategy.fields:
        if strategy.fields["dryRunFirst"]:
            strategy.note("dryRunFirst", "every action tries a dry run first")
        else:
            strategy.lose("dryRunFirst", "the dry run cannot be switched off")
    for number, check in enumerate(_list(strategy.take("safetyChecks"))):
        kind = cast(Json, check).get("type", "check") if isinstance(check, dict) else "check"
        strategy.lose(f"safetyChecks[{number}]", f"{kind}: a run names no checks; the door makes its own")


def _steps(spec: Older, definition: Older, strategy: Older, contracts: Contracts) -> list[Json]:
    older = definition.open_each("steps") or spec.open_each("steps")
    limit = strategy.take("maxRetries")
    numbers: dict[str, str] = {}
    steps: list[Json] = []
    for position, item in enumerate(older, 1):
        step = step_of(item, position, contracts)
        step["name"] = _unique(step["name"], {str(other["name"]) for other in steps})
        numbers[str(item.take("stepNumber") or position)] = step["name"]
        if limit is not None:
            step.setdefault("retry", {"limit": limit})
        steps.append(step)
    known = {str(step["name"]) for step in steps}
    after = definition.open("dependencies")
    for item, step in zip(older, steps, strict=True):
        wanted = [*_list(item.take("runAfter")), *_list(item.take("dependsOn"))]
        for key in (str(item.fields.get("stepNumber", "")), item.fields.get("name"), step["name"]):
            if key and key in after.fields:
                wanted += _list(after.take(key))
        names_of = dict.fromkeys(_step_named(wish, numbers, known) for wish in wanted)
        if names_of:
            step["runAfter"] = list(names_of)
    return steps


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _step_named(wish: object, numbers: dict[str, str], known: set[str]) -> str:
    text = str(wish)
    if text in numbers:
        return numbers[text]
    label = dns_label(text)
    return label if label in known else text  # unknown: the door names it, with what there is


def _unique(name: str, taken: set[str]) -> str:
    number, unique = 2, name
    while unique in taken:
        suffix = f"-{number}"
        unique, number = name[: 63 - len(suffix)] + suffix, number + 1
    return unique
