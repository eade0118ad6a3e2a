"""events.k8s.io/v1 is core/v1 Event under other field names; both are stored as core/v1."""

from __future__ import annotations

from kubernaut.devcluster.objects import Object

_NAMES = {
    "note": "message",
    "regarding": "involvedObject",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_BACK = {core: name for name, core in _NAMES.items()}


def event_to_core(obj: Object) -> None:
    for name, core in _NAMES.items():
        if name in obj:
            obj[core] = obj.pop(name)


def event_from_core(obj: Object) -> Object:
    shown = {_BACK.get(key, key): value for key, value in obj.items() if value != ""}
    shown["apiVersion"] = "events.k8s.io/v1"
    return shown
