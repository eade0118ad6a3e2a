"""JSON values as they are kept: how deep they may be, and how much of an object they take.

Nothing here recurses: a value from outside may be nested deeper than Python's stack.
"""

import re
from collections.abc import Iterator, Mapping
from typing import cast

import msgspec

MOST_LEVELS = 64
"""Of objects and lists in each other, in everything that is judged, handed on or recorded."""
MOST_READ_LEVELS = 128
"""What is nested deeper is not even read: room enough for `MOST_LEVELS` within any object and list of objects."""
TOO_DEEP = "(nested too deeply)"
"""Stands for what `without_depths` took out."""
_KEY_NOTE = len('"f:":{},')
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{\]}]')


def is_too_deep(value: object, most: int = MOST_LEVELS) -> bool:
    """Whether a value is nested more than so many levels deep."""
    level = [value] if _is_container(value) else []
    for _ in range(most):
        if not level:
            return False
        level = [member for part in level for member in _members(part) if _is_container(member)]
    return bool(level)


def without_depths(document: bytes, most: int = MOST_READ_LEVELS) -> bytes:
    """JSON text in which everything nested deeper than so many levels is the text `TOO_DEEP`.

    For documents on which a parser's stack has ended: it takes a hundred times as long as parsing. Never raises;
    what was no JSON before is none after it.
    """
    kept: list[bytes] = []
    level = end = 0
    for token in _TOKENS.finditer(document):
        match token[0][:1]:
            case b"[" | b"{":
                level += 1
                if level == most + 1:
                    kept.append(document[end : token.start()])
            case b"]" | b"}":
                if level == most + 1:
                    kept.append(b'"%s"' % TOO_DEEP.encode())
                    end = token.end()
                level -= 1
            case _:
                pass
    return b"".join((*kept, document[end:] if level <= most else b""))


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


def _is_container(value: object) -> bool:
    return isinstance(value, Mapping | list | tuple)


def _members(part: object) -> Iterator[object]:
    if isinstance(part, Mapping):
        yield from cast("Mapping[str, object]", part).values()
    elif isinstance(part, list | tuple):
        yield from cast("list[object]", part)
