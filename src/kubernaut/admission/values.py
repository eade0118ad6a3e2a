"""Whether a JSON value is one at all: what Kubernetes could not store, and what nobody could judge."""

import math
from collections.abc import Mapping
from typing import cast

from kubernaut.api.faults import Fault
from kubernaut.api.values import MOST_LEVELS

_INT64 = 2**63
_MOST_FAULTS = 100


def unfit_values(value: object, path: str) -> list[Fault]:
    """What in a value is no JSON that Kubernetes keeps: its depth, numbers, texts and keys. Never raises."""
    faults: list[Fault] = []
    left: list[tuple[str, int, object]] = [(path, 0, value)]
    while left and len(faults) < _MOST_FAULTS:
        here, depth, part = left.pop()
        if depth > MOST_LEVELS:
            faults.append(Fault(path, f"is nested more than {MOST_LEVELS} levels deep"))
            break
        if isinstance(part, Mapping):
            members = cast("Mapping[object, object]", part)
            for key in reversed(list(members)):
                if not isinstance(key, str) or not _is_unicode(key):
                    faults.append(Fault(here or "(root)", "has a key that is not text", "Put the key in quotes."))
                else:
                    left.append((joined(here, key), depth + 1, members[key]))
        elif isinstance(part, list | tuple):
            items = list(enumerate(cast("list[object]", part)))
            left += [(f"{here}[{index}]", depth + 1, item) for index, item in reversed(items)]
        elif message := _unfit(part):
            faults.append(Fault(here or "(root)", message))
    return faults


def joined(path: str, key: str) -> str:
    """The path of a member of an object; an overlong key is cut."""
    return f"{path}.{key[:100]}" if path else key[:100]


def _unfit(part: object) -> str:
    match part:
        case None | bool():
            return ""
        case int():
            return "" if -_INT64 <= part < _INT64 else "is a number beyond 64 bits"
        case float():
            return "" if math.isfinite(part) else "is not a finite number"
        case str():
            return "" if _is_unicode(part) else "holds half a character (a lone surrogate)"
        case _:
            return "is no JSON value"


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
