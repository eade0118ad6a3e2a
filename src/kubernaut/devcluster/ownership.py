"""Who owns which field: `metadata.managedFields`, kept with every write."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .errors import Conflict, Fault
from .metadata import timestamp
from .objects import Object, is_list, is_map
from .resources import Resource
from .schema.fieldsets import (
    FieldSet,
    changed_sets,
    difference,
    intersection,
    paths,
    union,
)

if TYPE_CHECKING:
    from .writing import Write

_SERVER_METADATA = (
    "name",
    "namespace",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
    "uid",
    "generation",
    "managedFields",
    "resourceVersion",
)


@dataclass(slots=True)
class Entry:
    """One manager's part."""

    manager: str
    operation: str
    api_version: str
    subresource: str
    time: str
    fields: FieldSet | None

    @property
    def key(self) -> tuple[str, str, str]:
        return self.manager, self.operation, self.subresource

    def to_json(self) -> Object:
        entry: Object = {
            "manager": self.manager,
            "operation": self.operation,
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.fields or {},
        }
        if self.subresource:
            entry["subresource"] = self.subresource
        return entry

    def describe(self) -> str:
        text = f'conflict with "{self.manager}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        if self.operation == "Update":
            text += f" using {self.api_version}"
        return text


def entries_of(obj: Object) -> list[Entry]:
    raw = obj.get("metadata", {}).get("managedFields")
    return [
        Entry(
            str(entry.get("manager", "")),
            str(entry.get("operation", "Update")),
            str(entry.get("apiVersion", "")),
            str(entry.get("subresource", "")),
            str(entry.get("time", "")),
            entry.get("fieldsV1"),
        )
        for entry in (raw if is_list(raw) else ())
        if is_map(entry) and entry.get("fieldsV1") is not None
    ]


def owned_part(obj: Object) -> Object:
    """Without what only the server writes."""
    metadata = obj.get("metadata", {})
    kept = {key: value for key, value in metadata.items() if key not in _SERVER_METADATA}
    body = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}
    body.pop("metadata", None)
    if kept:
        body["metadata"] = kept
    return body


def record_change(
    obj: Object, old: Object, resource: Resource, subresource: str, write: Write, now: datetime
) -> bool:
    """Note in `obj` what this write changed. False when it changed nothing at all.

    Applies come here with their entry already in place (`operation="Apply"`).
    """
    new_part, old_part = owned_part(obj), owned_part(old) if old else {}
    same = new_part == old_part
    if write.operation == "Apply":
        if not same or not old:
            return True
        return _sets_of(obj) != _sets_of(old)
    entries = _starting_entries(obj, old)
    if not same:
        changed, removed = changed_sets(old_part, new_part, resource.rules.node)
        entries = _after_update(entries, changed, removed, _entry_for(resource, subresource, write, now))
    _put(obj, entries)
    if same and old:
        return _sets_of(obj) != _sets_of(old) or _version_changed(obj, old)
    return True


def _version_changed(obj: Object, old: Object) -> bool:
    return bool(obj["metadata"].get("generation") != old["metadata"].get("generation"))


def _sets_of(obj: Object) -> list[Any]:
    return [(entry.key, entry.fields) for entry in entries_of(obj)]


def _starting_entries(obj: Object, old: Object) -> list[Entry]:
    """What the client sent back, or what is stored when it sent nothing; `[{}]` forgets all."""
    sent = obj["metadata"].get("managedFields")
    if sent == [{}]:
        return []
    return (entries_of(obj) if sent else []) or entries_of(old)


def _entry_for(resource: Resource, subresource: str, write: Write, now: datetime) -> Entry:
    return Entry(
        write.manager,
        write.operation,
        resource.api_version,
        write.owned_as or subresource,
        timestamp(now),
        None,
    )


def _after_update(
    entries: list[Entry], changed: FieldSet | None, removed: FieldSet | None, mine: Entry
) -> list[Entry]:
    kept: list[Entry] = []
    for entry in entries:
        if entry.key == mine.key:
            mine.fields = entry.fields
            continue
        entry.fields = difference(difference(entry.fields, changed), removed)
        if entry.fields:
            kept.append(entry)
    mine.fields = union(difference(mine.fields, removed), changed)
    if mine.fields:
        kept.append(mine)
    return kept


def _put(obj: Object, entries: list[Entry]) -> None:
    if entries:
        obj["metadata"]["managedFields"] = [entry.to_json() for entry in entries]
    else:
        obj["metadata"].pop("managedFields", None)


def record_apply(
    merged: Object,
    live: Object,
    applied: FieldSet,
    resource: Resource,
    subresource: str,
    write: Write,
    force: bool,
    now: datetime,
) -> None:
    """Give the applied fields to their manager. Raises Conflict when others own changed ones."""
    entries = entries_of(live)
    changed, removed = changed_sets(owned_part(live), owned_part(merged), resource.rules.node)
    mine = Entry(write.manager, "Apply", resource.api_version, subresource, timestamp(now), applied)
    kept: list[Entry] = []
    faults: list[Fault] = []
    for entry in entries:
        if entry.key == mine.key:
            if entry.fields == applied:
                mine.time = entry.time
            continue
        taken = intersection(entry.fields, changed)
        if taken is not None and not force:
            faults.extend(Fault(path, "FieldManagerConflict", entry.describe()) for path in paths(taken))
        entry.fields = difference(difference(entry.fields, changed), removed)
        if entry.fields:
            kept.append(entry)
    if faults:
        raise Conflict.of_managers(faults)
    _put(merged, [*kept, mine] if applied else kept)
