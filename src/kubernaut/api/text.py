"""Texts of bounded size: what stands in a status is counted in bytes, not in characters."""

import re

# As Go's encoder writes them, with which the API server stores objects: \" and \\, \n, else \u00XX.
_ESCAPED = re.compile(r"[\x00-\x1f\"\\<>&\u2028\u2029]")
_SHORT = frozenset('"\\\n\r\t')
_MARK = "..."


def json_bytes(text: str) -> int:
    """Bytes of a text within JSON, without its quotes."""
    plain = len(text) if text.isascii() else len(text.encode(errors="replace"))
    return plain + sum(_extra(found[0]) for found in _ESCAPED.finditer(text))


def cut(text: str, limit: int) -> str:
    """The text, or as much of its beginning as takes at most `limit` bytes within JSON, with "..." behind it."""
    if len(text) <= limit and json_bytes(text) <= limit:
        return text
    left = limit - len(_MARK)
    for index, character in enumerate(text):
        left -= json_bytes(character)
        if left < 0:
            return text[:index] + _MARK
    return text


def _extra(character: str) -> int:
    if character in _SHORT:
        return 1
    return 6 - len(character.encode())
