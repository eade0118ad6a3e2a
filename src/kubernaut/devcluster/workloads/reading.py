"""Reading parts of JSON objects that may be absent or null."""

from collections.abc import Mapping
from typing import Any

from kubernaut.devcluster.objects import Object


def part(obj: Mapping[str, Any] | None, *path: str) -> Object:
    """A nested object; empty when any step of the path is missing."""
    here: Any = obj
    for step in path:
        here = (here or {}).get(step)
    found: Object = here or {}
    return found


def parts(obj: Mapping[str, Any] | None, *path: str) -> list[Object]:
    """A list of objects at the end of a path; empty when missing."""
    found: list[Object] = part(obj, *path[:-1]).get(path[-1]) or []
    return found


def annotations_of(obj: Mapping[str, Any]) -> dict[str, str]:
    """An object's annotations, or none."""
    return part(obj, "metadata", "annotations")
