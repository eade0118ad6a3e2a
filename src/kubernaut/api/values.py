"""JSON values as they are kept: how deep they may be, and how much of an object they take.

Nothing here recurses: a value from outside may be nested deeper than Python's stack.
"""

from collections.abc import Iterator, Mapping
from typing import cast

import msgspec

MOST_LEVELS = 64
"""Of objects and lists in each other, in everything that is judged, handed on or recorded."""
_KEY_NOTE = len('"f:":{},')


def is_too_deep(value: object, most: int = MOST_LEVELS) -> bool:
    """Whether a value is nested more than so many levels deep."""
    level: list[object] = [value]
    for _ in range(most + 1):
        level = [member for part in level for member in _members(part)]
        if not level:
            return False
    return True


def stored_bytes(value: object) -> int:
    """Bytes of a JSON value within an object, with the API server's notes of who wrote which of its keys.

    Lists are written whole, and have one note (`metadata.managedFields`). Raises RecursionError for a value that
    `is_too_deep`.
    """
    notes = 0
    left: list[object] = [value]
    while left:
        part = left.pop()
        if isinstance(part, Mapping):
            members = cast("Mapping[str, object]", part)
            notes += sum(len(key) + _KEY_NOTE for key in members)
            left += members.values()
    return len(msgspec.json.encode(value)) + notes


def _members(part: object) -> Iterator[object]:
    if isinstance(part, Mapping):
        yield from cast("Mapping[str, object]", part).values()
    elif isinstance(part, list | tuple):
        yield from cast("list[object]", part)
