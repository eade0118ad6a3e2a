"""What a pass changed, or would have changed: the source of reports and of rollback information."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kubernaut.sdk.undo import Object, Operation, differences, summary, undo_operations

Verb = Literal["patch", "delete", "create", "evict"]


@dataclass(frozen=True)
class Target:
    """One object, and what is done to it; the same in both passes of an action."""

    verb: Verb
    api_version: str
    kind: str
    namespace: str
    name: str
    asked: bytes
    """The request's body: another body is another change."""


@dataclass(frozen=True)
class Made:
    """One change. `after` is None for a deletion, `before` for a creation."""

    target: Target
    before: Object | None
    after: Object | None

    @property
    def undo(self) -> list[Operation]:
        """The JSON patch that takes it back; empty where there is none (creation, deletion)."""
        return [] if self.before is None or self.after is None else undo_operations(self.before, self.after)

    @property
    def is_effective(self) -> bool:
        """Does it leave the object other than it was?"""
        if self.before is None or self.after is None:
            return True
        return bool(differences(self.before, self.after))

    def to_report(self) -> dict[str, Any]:
        """As it stands in the termination message: the changed fields, before and after."""
        before: Mapping[str, Any] | None
        after: Mapping[str, Any] | None
        if self.before is None or self.after is None:
            before = None if self.before is None else _identity(self.before)
            after = None if self.after is None else _identity(self.after)
        else:
            before, after = summary(differences(*_without_secrets(self.before, self.after)))
        return {
            "kind": self.target.kind,
            "namespace": self.target.namespace,
            "name": self.target.name,
            "action": self.target.verb,
            "before": before,
            "after": after,
        }


@dataclass
class Journal:
    """The changes of one pass, in order, and what the author said about undoing them."""

    made: list[Made] = field(default_factory=list[Made])
    undo_action: str = ""
    undo_inputs: dict[str, Any] = field(default_factory=dict[str, Any])
    undo_facts: dict[str, Any] = field(default_factory=dict[str, Any])
    undo_list: str = ""
    """The input of `undo_action` that takes the list of what was changed; empty for none."""
    attempted: bool = False
    """Was a change sent for real, whatever came of it?"""

    def find(self, target: Target) -> Made | None:
        """The same change in this pass."""
        return next((made for made in self.made if made.target == target), None)

    def undo_of(self, after: Object) -> list[Operation]:
        """What takes back the change that made this of an object."""
        nothing: list[Operation] = []
        return next((made.undo for made in reversed(self.made) if made.after is after), nothing)

    def rollback(self, *, reversible: bool, captured_at: str) -> dict[str, Any] | None:
        """The rollback information, or None where nothing was changed or the action cannot be undone."""
        effective = [made for made in self.made if made.is_effective]
        if not reversible or not (effective or self.attempted):
            return None
        said: dict[str, Any] = {"available": True, "capturedAt": captured_at, **self.undo_facts}
        if self.undo_action and not self.undo_list:
            return {**said, "action": self.undo_action, "inputs": self.undo_inputs}
        undoable = [made for made in effective if made.undo or (self.undo_list and made.before is None)]
        if any(made.target.kind == "Secret" for made in undoable):
            return {"available": False, "reason": "HoldsSecrets"}
        if self.undo_list:
            inputs = {**self.undo_inputs, self.undo_list: [_undo_of(made) for made in undoable]}
            return {**said, "available": undoable == effective, "action": self.undo_action, "inputs": inputs}
        return {**said, "available": bool(undoable), "objects": [_undo_of(made) for made in undoable]}


def _undo_of(made: Made) -> dict[str, Any]:
    target = made.target
    named = {
        "apiVersion": target.api_version,
        "kind": target.kind,
        "namespace": target.namespace,
        "name": target.name,
        "uid": ((made.before if made.after is None else made.after) or {})["metadata"].get("uid", ""),
    }
    return {**named, "created": True} if made.before is None else {**named, "patch": made.undo}


def _without_secrets(before: Object, after: Object) -> tuple[Object, Object]:
    """The two states as reports may show them: of a Secret only which values are others than before."""
    if after.get("kind") != "Secret":
        return before, after
    told_before, told_after = dict(before), dict(after)
    for part in ("data", "stringData"):
        was: Object = before.get(part) or {}
        now: Object = after.get(part) or {}
        # Not even a digest: short values are found by trying.
        told_before[part] = dict.fromkeys(was, "(hidden)")
        told_after[part] = {key: "(hidden)" if was.get(key) == now[key] else "(hidden, another)" for key in now}
    return told_before, told_after


def _identity(obj: Object) -> dict[str, Any]:
    return {"uid": obj.get("metadata", {}).get("uid", "")}
