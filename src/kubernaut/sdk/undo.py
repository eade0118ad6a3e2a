"""What a change did to an object, and the patch that takes exactly that back. Pure.

The reverse is a JSON patch (RFC 6902) that tests every value before it restores it: where somebody else has
changed the field since, it is refused as a whole instead of overwriting their work.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeGuard

Object = dict[str, Any]
Operation = dict[str, Any]
Operations = list[Operation]

# Written by the API server with every change; nobody's to restore.
_SERVERS_OWN = frozenset(
    {"/status", "/apiVersion", "/kind"}
    | {f"/metadata/{name}" for name in ("resourceVersion", "generation", "managedFields", "uid", "selfLink")}
    | {"/metadata/creationTimestamp", "/metadata/deletionTimestamp", "/metadata/deletionGracePeriodSeconds"}
)

_SHARED_MAPS = frozenset({"labels", "annotations"})


class Difference(NamedTuple):
    """One place where two states of an object differ. ABSENT stands for "not there"."""

    parts: tuple[str | int, ...]
    before: Any
    after: Any


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Any = _Absent()


def differences(before: Object, after: Object) -> list[Difference]:
    """Every place where the states differ, as deep as possible, without what the API server writes itself."""
    return list(_differences((), before, after))


def undo_operations(before: Object, after: Object) -> list[Operation]:
    """The JSON patch that turns `after` into `before` in every place where they differ, and refuses elsewhere.

    Entries of lists are found by their place; a test on their `name` makes sure that it is still theirs.
    """
    found = differences(before, after)
    names = _names_on_the_way(found, after)
    tests = [{"op": "test", "path": path, "value": name} for path, name in names.items()]
    for difference in found:
        # The API server's JSON patch takes what is not there for null (evanphx/json-patch, `test`).
        value: Any = None if difference.after is ABSENT else difference.after
        tests.append({"op": "test", "path": _pointer(difference.parts), "value": value})
    return tests + [_restore(difference) for difference in found]


def summary(found: Sequence[Difference], *, limit: int = 16) -> tuple[dict[str, Any], dict[str, Any]]:
    """Before and after as flat maps from path to value, at most `limit` entries, for people to read."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for difference in found[:limit]:
        path = readable(difference.parts)
        if difference.before is not ABSENT:
            before[path] = _shortened(difference.before)
        if difference.after is not ABSENT:
            after[path] = _shortened(difference.after)
    return before, after


def readable(parts: Sequence[str | int]) -> str:
    """A path as people write it: `spec.template.spec.containers[0].image`."""
    text = ""
    for part in parts:
        plain = isinstance(part, str) and part.replace("-", "").replace("_", "").isalnum()
        if isinstance(part, int):
            text += f"[{part}]"
        elif plain:
            text += f".{part}" if text else part
        else:
            text += f"[{part!r}]"
    return text


def _differences(parts: tuple[str | int, ...], before: Any, after: Any) -> Iterator[Difference]:
    if parts and _pointer(parts) in _SERVERS_OWN:
        return
    if before is ABSENT and _is_object(after) and parts[-1:] and parts[-1] in _SHARED_MAPS:
        # Others may have added entries of their own by the time of an undo; an empty map counts as none.
        before = {}
    if _is_object(before) and _is_object(after):
        for key in sorted({*before, *after}):
            yield from _differences((*parts, key), before.get(key, ABSENT), after.get(key, ABSENT))
    elif _is_list(before) and _is_list(after) and _same_entries(before, after):
        for index, pair in enumerate(zip(before, after, strict=True)):
            yield from _differences((*parts, index), *pair)
    elif not _same(before, after):
        yield Difference(parts, before, after)


def _is_object(value: Any) -> TypeGuard[Object]:
    return isinstance(value, dict)


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _same_entries(before: list[Any], after: list[Any]) -> bool:
    """Do two lists hold the same things in the same places, so that each can be compared with its like?"""
    if len(before) != len(after):
        return False
    return all(
        _is_object(a) and _is_object(b) and a.get("name", ABSENT) == b.get("name", ABSENT)
        for a, b in zip(before, after, strict=True)
    )


def _same(one: Any, other: Any) -> bool:
    # Python holds True == 1; JSON does not.
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _restore(difference: Difference) -> Operation:
    path = _pointer(difference.parts)
    if difference.before is ABSENT:
        return {"op": "remove", "path": path}
    op = "add" if difference.after is ABSENT else "replace"
    return {"op": op, "path": path, "value": difference.before}


def _names_on_the_way(found: Sequence[Difference], after: Object) -> dict[str, Any]:
    names: dict[str, Any] = {}
    for difference in found:
        at: Any = after  # the paths were made from it, so each part is there
        for depth, part in enumerate(difference.parts[:-1]):
            at = at[part]
            named: Any = at
            if isinstance(part, int) and _is_object(named) and "name" in named:
                names[_pointer((*difference.parts[: depth + 1], "name"))] = named["name"]
    return names


def _pointer(parts: Sequence[str | int]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def _shortened(value: Any) -> Any:
    if isinstance(value, int | float | bool) or value is None:
        return value
    text = value if isinstance(value, str) else repr(value)
    return value if len(text) <= 200 else text[:199] + "…"
