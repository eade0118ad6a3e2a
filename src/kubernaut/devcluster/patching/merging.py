"""RFC 7386, JSON merge patch."""

from __future__ import annotations

from typing import Any

from kubernaut.devcluster.objects import copied, is_map


def merge_patch(target: Any, patch: Any) -> Any:
    """Edits `target` in place where it can."""
    if not is_map(patch):
        return copied(patch)
    held: dict[str, Any] = target if is_map(target) else {}
    for key, value in patch.items():
        if value is None:
            held.pop(key, None)
        else:
            held[key] = merge_patch(held.get(key), value)
    return held
