"""RFC 6902, JSON patch."""

from __future__ import annotations

from typing import Any

from kubernaut.devcluster.objects import copied, is_list, is_map


class PatchFailed(ValueError):
    """An operation cannot be carried out; the whole patch is void."""


def json_patch(target: Any, operations: list[Any]) -> Any:
    """Edits `target` in place where it can. Raises PatchFailed."""
    for operation in operations:
        target = _carried_out(target, operation)
    return target


def _carried_out(target: Any, operation: Any) -> Any:
    if not is_map(operation) or "op" not in operation or "path" not in operation:
        raise PatchFailed("a JSON patch operation needs op and path")
    word, path = str(operation["op"]), str(operation["path"])
    if word in ("move", "copy"):
        source = _parts(str(operation.get("from", "")))
        value = copied(_read(target, source))
        if word == "move":
            target = _remove(target, source)
        return _add(target, _parts(path), value)
    if word == "test":
        try:
            found = _read(target, _parts(path))
        except PatchFailed:
            found = None
        if found != operation.get("value"):
            raise PatchFailed(f"testing path {path}: value does not match: test failed")
        return target
    if word == "remove":
        return _remove(target, _parts(path))
    if word not in ("add", "replace"):
        raise PatchFailed(f"Unexpected kind: {word}")
    value = copied(operation.get("value"))
    if word == "replace":
        parts = _parts(path)
        _read(target, parts)
        if not parts:
            return value
        holder = _read(target, parts[:-1])
        if is_list(holder):
            holder[_index(parts[-1], len(holder) - 1)] = value
        else:
            holder[parts[-1]] = value
        return target
    return _add(target, _parts(path), value)


def _parts(path: str) -> list[str]:
    if path == "":
        return []
    if not path.startswith("/"):
        raise PatchFailed(f"invalid JSON pointer: {path}")
    return [part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/")]


def _read(target: Any, parts: list[str]) -> Any:
    for part in parts:
        if is_map(target) and part in target:
            target = target[part]
        elif is_list(target):
            target = target[_index(part, len(target) - 1)]
        else:
            raise PatchFailed(
                "the server rejected our request due to an error in our request"
                if not parts
                else f"doc is missing path: /{'/'.join(parts)}: missing value"
            )
    return target


def _index(part: str, last: int) -> int:
    try:
        index = int(part)
    except ValueError:
        raise PatchFailed(f"invalid array index: {part}") from None
    if not 0 <= index <= last:
        raise PatchFailed(f"Unable to access invalid index: {index}")
    return index


def _add(target: Any, parts: list[str], value: Any) -> Any:
    if not parts:
        return value
    holder = _read(target, parts[:-1])
    if is_list(holder):
        if parts[-1] == "-":
            holder.append(value)
        else:
            holder.insert(_index(parts[-1], len(holder)), value)
    elif is_map(holder):
        holder[parts[-1]] = value
    else:
        raise PatchFailed(f"add operation does not apply: doc is missing path: /{'/'.join(parts)}")
    return target


def _remove(target: Any, parts: list[str]) -> Any:
    if not parts:
        raise PatchFailed("the whole document cannot be removed")
    holder = _read(target, parts[:-1])
    if is_list(holder):
        del holder[_index(parts[-1], len(holder) - 1)]
    elif is_map(holder) and parts[-1] in holder:
        del holder[parts[-1]]
    else:
        raise PatchFailed(
            f"remove operation does not apply: doc is missing path: /{'/'.join(parts)}: missing value"
        )
    return target
