"""Sorting objects as `kubectl get --sort-by` does, by the simple form of its JSONPath: `.status.steps[0].name`."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, cast

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.output import Json

_PART = re.compile(r"\.?([A-Za-z_][\w-]*)|\[['\"]([^'\"]+)['\"]\]|\[(\d+)\]")


def parse_path(text: str) -> list[str | int]:
    """`.a.b[0]`, `{.a.b}`, `a['b/c']` -> keys and indexes. Raises CommandFailed."""
    inner = text.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    path: list[str | int] = []
    position = 0
    while position < len(inner):
        found = _PART.match(inner, position)
        if found is None:
            raise CommandFailed(
                f"--sort-by: {text!r} is no simple JSONPath",
                mend="Write for example .metadata.creationTimestamp or .status.steps[0].name",
                code=Exit.USAGE,
            )
        path.append(int(found[3]) if found[3] else found[1] or found[2])
        position = found.end()
    if not path:
        raise CommandFailed(
            "--sort-by: the path is empty", mend="Write for example .metadata.name", code=Exit.USAGE
        )
    return path


def sorted_by(objects: Sequence[Json], text: str) -> list[Json]:
    """In the order of what stands at the path; those that lack it first. Raises CommandFailed where all do."""
    path = parse_path(text)
    if objects and all(_at(item, path) is None for item in objects):
        raise CommandFailed(f"--sort-by: no object has {text}", mend=_nearest(objects[0], path), code=Exit.USAGE)
    return sorted(objects, key=lambda item: _rank(_at(item, path)))


def _rank(value: Any) -> tuple[int, Any]:
    """Values of different types do not compare; nothing, then numbers, then text."""
    match value:
        case None:
            return (0, 0)
        case bool() | int() | float():
            return (1, float(value))
        case str():
            return (2, value)
        case _:
            return (3, str(value))


def _at(item: object, path: Sequence[str | int]) -> Any:
    for part in path:
        if isinstance(part, int) and isinstance(item, list):
            items = cast("list[object]", item)
            item = items[part] if part < len(items) else None
        elif isinstance(part, str) and isinstance(item, dict):
            item = cast("Json", item).get(part)
        else:
            return None
    return item


def _nearest(item: Json, path: Sequence[str | int]) -> str:
    """What the first part that leads nowhere was probably meant to be."""
    for number, part in enumerate(path):
        here = _at(item, path[:number])
        if isinstance(here, dict) and part not in here:
            names = list(cast("Json", here))
            close = get_close_matches(str(part), names, n=1)
            return f"Did you mean {close[0]}?" if close else f"There are: {', '.join(names)}"
    return ""
