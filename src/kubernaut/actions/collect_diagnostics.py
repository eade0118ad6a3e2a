"""Gathers what a person would look at first: a Deployment's state, its pods, their events and logs. Only reads."""

import json
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from kubernaut.actions.deployments import (
    READ,
    DeploymentName,
    Namespace,
    get_deployment,
    missing_for_rollout,
)
from kubernaut.sdk import (
    ClusterError,
    Failed,
    Inputs,
    Object,
    Outputs,
    Permission,
    Run,
    action,
    kinds,
)

_MOST_WARNINGS = 10
_MOST_PODS = 50


class DiagnosticsInputs(Inputs, frozen=True, kw_only=True):
    namespace: Namespace
    deployment: DeploymentName
    include_logs: Annotated[bool, Meta(description="The end of each container's log.")] = True
    include_events: Annotated[bool, Meta(description="Events about the Deployment and its pods.")] = True
    tail_lines: Annotated[int, Meta(ge=1, le=1000, description="Lines of each log.")] = 100


class DiagnosticsOutputs(Outputs, frozen=True, kw_only=True):
    summary: Annotated[str, Meta(description="The state in one sentence.")]
    pods: Annotated[int, Meta(description="Pods of the Deployment.")]
    ready_pods: Annotated[int, Meta(description="Those of them that are ready.")]
    restarts: Annotated[int, Meta(description="Restarts of all their containers.")]
    warnings: Annotated[list[str], Meta(description="The latest warnings, at most ten.")]
    report: Annotated[str, Meta(description="The file in the workspace; empty without a workspace.")]


@action(
    "kubernetes/collect_diagnostics",
    version="1.0.0",
    description="Gathers state, events and logs of a Deployment; as a file in the workspace where there is one.",
    permissions=[
        READ,
        Permission(api_groups=("",), resources=("pods", "events"), verbs=("list",)),
        Permission(api_groups=("",), resources=("pods/log",), verbs=("get",)),
    ],
    idempotent=True,
    timeout="2m",
)
async def collect_diagnostics(inputs: DiagnosticsInputs, run: Run) -> DiagnosticsOutputs:
    deployment = await get_deployment(run, inputs.deployment, inputs.namespace)
    selector = label_selector(deployment["spec"]["selector"])
    pods = await run.cluster.list(kinds.PODS, inputs.namespace, label_selector=selector)
    events: list[Object] = []
    if inputs.include_events:
        names = {inputs.deployment, *(pod["metadata"]["name"] for pod in pods)}
        found = await run.cluster.list(kinds.EVENTS, inputs.namespace)
        events = [event for event in found if event.get("involvedObject", {}).get("name") in names]
    logs: dict[str, str] = {}
    if inputs.include_logs and not run.is_dry_run:
        logs = await _logs(pods[:_MOST_PODS], inputs.tail_lines, run)
    report = ""
    if run.workspace is not None and not run.is_dry_run:
        report = _write(run.workspace, inputs, _document(deployment, pods, events, logs), run)
    return DiagnosticsOutputs(
        summary=_summary(deployment),
        pods=len(pods),
        ready_pods=sum(_is_ready(pod) for pod in pods),
        restarts=sum(status.get("restartCount", 0) for pod in pods for status in _containers(pod)),
        warnings=_warnings(events),
        report=report,
    )


def label_selector(selector: Object) -> str:
    """A LabelSelector object as the text that list requests take (Kubernetes API reference, LabelSelector v1)."""
    parts = [f"{key}={value}" for key, value in sorted(selector.get("matchLabels", {}).items())]
    for expression in selector.get("matchExpressions", []):
        key, values = expression["key"], ",".join(expression.get("values", []))
        operator = expression["operator"]
        forms = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        parts.append(forms.get(operator, f"!{key}"))
    return ",".join(parts)


async def _logs(pods: list[Object], tail_lines: int, run: Run) -> dict[str, str]:
    logs: dict[str, str] = {}
    for pod in pods:
        for container in pod["spec"]["containers"]:
            name = f"{pod['metadata']['name']}/{container['name']}"
            try:
                logs[name] = await run.cluster.logs(pod, container["name"], tail_lines=tail_lines)
            except ClusterError as error:
                # A container that never started has none, and that is worth knowing.
                logs[name] = f"(no log: {error})"
    return logs


def _document(deployment: Object, pods: list[Object], events: list[Object], logs: dict[str, str]) -> Object:
    def bare(obj: Object) -> Object:
        metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
        return {**obj, "metadata": metadata}

    return {
        "deployment": bare(deployment),
        "pods": [bare(pod) for pod in pods],
        "events": [bare(event) for event in events],
        "logs": logs,
    }


def _write(workspace: Path, inputs: DiagnosticsInputs, document: Object, run: Run) -> str:
    name = f"diagnostics-{inputs.namespace}-{inputs.deployment}.json"
    try:
        (workspace / name).write_text(run.redact(json.dumps(document, indent=1)) + "\n", encoding="utf-8")
    except OSError as error:
        raise Failed("WorkspaceNotWritable", f"the report cannot be written to {workspace}: {error}") from error
    run.say(f"wrote {name}")
    return name


def _summary(deployment: Object) -> str:
    name = deployment["metadata"]["name"]
    try:
        missing = missing_for_rollout(deployment)
    except Failed as given_up:
        missing = given_up.message
    return f"Deployment {name}: {missing or 'rolled out and available'}"


def _containers(pod: Object) -> list[Any]:
    return list(pod.get("status", {}).get("containerStatuses", []))


def _is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _warnings(events: list[Object]) -> list[str]:
    warned = [event for event in events if event.get("type") == "Warning"]
    warned.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    return [f"{event.get('reason', '')}: {event.get('message', '')}"[:200] for event in warned[-_MOST_WARNINGS:]]
