"""Transition rules that everybody writes, answered without the CEL library.

It takes 18 MB and a tenth of a second to load, and a cluster whose definitions hold only these needs none of
it. What is not written exactly so goes to the library.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from kubernaut.devcluster.objects import is_list, is_map, map_at

Holds: TypeAlias = Callable[[Any, Any], bool]
"""Of self and oldSelf."""

_NAME = r"([A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*)"
_IMMUTABLE = re.compile(
    rf"has\(self\.{_NAME}\) == has\(oldSelf\.\1\) && \(!has\(self\.\1\) \|\| self\.\1 == oldSelf\.\1\)"
)
_KEPT = re.compile(rf"!has\(oldSelf\.{_NAME}\) \|\| has\(self\.\1\)")
_SAME = "self == oldSelf"
_GROWING = re.compile(rf"size\(self\) >= size\(oldSelf\) && oldSelf\.all\({_NAME}, \1 in self\)")


def idiom_of(rule: str) -> Holds | None:
    """How to answer a rule, if it is one of those known here."""
    text = " ".join(rule.split())
    if text == _SAME:
        return same
    if found := _IMMUTABLE.fullmatch(text):
        return partial(_is_unchanged, found[1])
    if found := _KEPT.fullmatch(text):
        return partial(_is_kept, found[1])
    if (found := _GROWING.fullmatch(text)) and found[1] not in ("self", "oldSelf"):
        return _has_grown
    return None


def _is_unchanged(name: str, now: Any, old: Any) -> bool:
    new, was = map_at(now), map_at(old)
    return (name in new) == (name in was) and (name not in new or same(new[name], was[name]))


def _is_kept(name: str, now: Any, old: Any) -> bool:
    return name not in map_at(old) or name in map_at(now)


def _has_grown(now: list[Any], old: list[Any]) -> bool:
    return len(now) >= len(old) and all(any(same(was, new) for new in now) for was in old)


def same(one: Any, other: Any) -> bool:
    """Equal as CEL sees it: numbers by value, but true is not 1."""
    if is_map(one) and is_map(other):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if is_list(one) and is_list(other):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)
