"""Reading parts of JSON objects that may be absent or null."""

from collections.abc import Mapping
from typing import Any, cast

from kubernaut.devcluster.errors import NotFound
from kubernaut.devcluster.objects import Object
from kubernaut.devcluster.store import Store


def peek(store: Store, resource: str, name: str, namespace: str | None = None) -> Object | None:
    """An object as it is stored, to be read only: unlike `Store.find`, nothing is copied."""
    try:
        return store.record(resource, name, namespace).object
    except NotFound:
        return None


def part(obj: Mapping[str, Any] | None, *path: str) -> Object:
    """A nested object; empty when any step of the path is missing."""
    here: Any = obj
    for step in path:
        here = None if here is None else here.get(step)
    return cast(Object, here or {})


def parts(obj: Mapping[str, Any] | None, *path: str) -> list[Object]:
    """A list of objects at the end of a path; empty when missing."""
    return cast(list[Object], part(obj, *path[:-1]).get(path[-1]) or [])


def items(obj: Mapping[str, Any] | None, *path: str) -> list[Any]:
    """A list of anything else at the end of a path; empty when missing."""
    return cast(list[Any], part(obj, *path[:-1]).get(path[-1]) or [])


def annotations_of(obj: Mapping[str, Any]) -> dict[str, str]:
    """An object's annotations, or none."""
    return part(obj, "metadata", "annotations")
