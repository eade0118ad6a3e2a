"""Parts of plain JSON objects that may be absent, as types a checker can follow."""

from typing import Any, cast

from kubernaut.cluster import Json


def part(stored: Json | None, *path: str) -> Json:
    """The object at a path; empty where anything on the way is absent."""
    found: Any = stored
    for key in path:
        found = cast("Json", found or {}).get(key)
    return cast("Json", found or {})


def text(stored: Json | None, *path: str) -> str:
    """The text at a path; empty where anything on the way is absent."""
    return str(part(stored, *path[:-1]).get(path[-1]) or "")


def parts(stored: Json | None, *path: str) -> list[Json]:
    """The list of objects at a path; empty where anything on the way is absent."""
    return cast("list[Json]", part(stored, *path[:-1]).get(path[-1]) or [])
