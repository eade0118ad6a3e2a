"""Reading parts of JSON objects that may be absent or null."""

from collections.abc import Mapping
from typing import Any, cast

from kubernaut.sdk import Object


def part(obj: Mapping[str, Any] | None, *path: str) -> Object:
    """A nested object; empty when any step of the path is missing."""
    here: Any = obj
    for step in path:
        here = None if here is None else here.get(step)
    return cast(Object, here or {})


def parts(obj: Mapping[str, Any] | None, *path: str) -> list[Object]:
    """A list of objects at the end of a path; empty when missing."""
    return cast(list[Object], part(obj, *path[:-1]).get(path[-1]) or [])
