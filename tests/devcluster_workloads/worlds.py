"""Objects for controllers to decide about, without a store."""

from datetime import UTC, datetime, timedelta
from typing import Any

NOW = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)


def text(seconds_ago: float = 0) -> str:
    return (NOW - timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def meta(name: str, uid: str, **more: Any) -> dict[str, Any]:
    made = {"name": name, "namespace": "ns", "uid": uid, "generation": 1, "creationTimestamp": text(60)}
    return {**made, **more}


def owned_by(kind: str, uid: str, name: str = "x") -> list[dict[str, Any]]:
    return [{"apiVersion": "v1", "kind": kind, "name": name, "uid": uid, "controller": True}]


def pod(name: str, owner: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    """`phase`, `ready` (bool), `exit_code`, `deleting`, `tracked`, `labels`, `ready_ago`."""
    made: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta(name, f"uid-{name}", labels=more.get("labels", {"app": "a"})),
        "spec": {"nodeName": "node", "containers": [{"name": "main", "image": "i"}]},
        "status": {"phase": more.get("phase", "Running"), "conditions": []},
    }
    if owner:
        made["metadata"]["ownerReferences"] = owner
    if more.get("deleting"):
        made["metadata"]["deletionTimestamp"] = text()
    if more.get("tracked"):
        made["metadata"]["finalizers"] = ["batch.kubernetes.io/job-tracking"]
    if "ready" in more:
        made["status"]["conditions"].append(
            {
                "type": "Ready",
                "status": str(more["ready"]),
                "lastTransitionTime": text(more.get("ready_ago", 30)),
            }
        )
    made["status"]["conditions"] += more.get("conditions", [])
    if "exit_code" in more:
        ended = {"exitCode": more["exit_code"], "finishedAt": text(1)}
        made["status"]["containerStatuses"] = [{"name": "main", "state": {"terminated": ended}}]
    return made
