"""Who owns which field: `metadata.managedFields`, kept with every write."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from .objects import Object
from .resources import Resource

if TYPE_CHECKING:
    from .writing import Write


def record_change(
    obj: Object, old: Object, resource: Resource, subresource: str, write: Write, now: datetime
) -> bool:
    """Note in `obj` what this write changed. False when it changed nothing."""
    return obj != old
