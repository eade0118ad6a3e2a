"""What was wrong before may stay wrong, while other things change.

Source: k8s.io/apiextensions-apiserver pkg/apiserver/validation (ratcheting). Items of lists are compared by their
place, so in a list that was shuffled more is refused than on a real server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from kubernaut.devcluster.errors import Fault
from kubernaut.devcluster.objects import Object, is_list, is_map

_PARTS = re.compile(r"[^.\[\]]+")
_NOTHING = object()
_WHOLE = "<nil>"
"""The path of the fault that only says that rules were not looked at because of the others."""


def still_wrong(faults: Iterable[Fault], new: Object, old: Object) -> list[Fault]:
    """Without the faults of values that are what they were."""
    left = [fault for fault in faults if not _is_unchanged(fault.path, new, old)]
    return [] if all(fault.path == _WHOLE for fault in left) else left


def _is_unchanged(path: str, new: Any, old: Any) -> bool:
    for part in _PARTS.findall(path):
        new, old = _below(new, part), _below(old, part)
        if new is _NOTHING or old is _NOTHING:
            return False
        if new == old:
            return True
    return False


def _below(value: Any, part: str) -> Any:
    if is_map(value):
        return value.get(part, _NOTHING)
    if is_list(value) and part.isdigit() and int(part) < len(value):
        return value[int(part)]
    return _NOTHING
