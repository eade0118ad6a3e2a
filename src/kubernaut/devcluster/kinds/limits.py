"""LimitRange: its bounds must fit together, and say what containers get that say nothing.

Source: k8s.io/kubernetes pkg/apis/core/v1/defaults.go and pkg/apis/core/validation (ValidateLimitRange).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kubernaut.devcluster.errors import Fault
from kubernaut.devcluster.metadata import duplicate, forbidden, invalid
from kubernaut.devcluster.objects import Object, list_at, map_at
from kubernaut.devcluster.quantities import parse_quantity

from .rules import BuiltinRules

_PAIRS = (
    # lower, upper, where the fault is told, its words
    ("min", "max", "min", "min value {0} is greater than max value {1}"),
    ("min", "defaultRequest", "defaultRequest", "min value {0} is greater than default request value {1}"),
    ("defaultRequest", "max", "defaultRequest", "default request value {0} is greater than max value {1}"),
    (
        "defaultRequest",
        "default",
        "defaultRequest",
        "default request value {0} is greater than default limit value {1}",
    ),
    ("min", "default", "default", "min value {0} is greater than default value {1}"),
    ("default", "max", "default", "default value {0} is greater than max value {1}"),
)


class LimitRangeRules(BuiltinRules):
    def __init__(self) -> None:
        super().__init__("LimitRange")

    def default(self, obj: Object) -> None:
        super().default(obj)
        for item in list_at(obj, "spec", "limits"):
            if item.get("type") == "Container":
                _fill(item, "default", map_at(item, "max"))
                _fill(item, "defaultRequest", map_at(item, "default"))
                _fill(item, "defaultRequest", map_at(item, "min"))

    def validate(self, obj: Object) -> Iterable[Fault]:
        yield from super().validate(obj)
        seen: set[str] = set()
        for index, item in enumerate(list_at(obj, "spec", "limits")):
            at, kind = f"spec.limits[{index}]", str(item.get("type"))
            if kind in seen:
                yield duplicate(f"{at}.type", kind)
            seen.add(kind)
            if kind == "Pod":
                for part in ("default", "defaultRequest"):
                    if item.get(part):
                        yield forbidden(f"{at}.{part}", "may not be specified when `type` is 'Pod'")
            yield from _order_faults(item, at)


def _fill(item: Object, part: str, source: Object) -> None:
    if source:
        item[part] = {**source, **map_at(item, part)}


def _order_faults(item: Object, at: str) -> Iterator[Fault]:
    for lower, upper, where, words in _PAIRS:
        low, high = map_at(item, lower), map_at(item, upper)
        for name in sorted(low.keys() & high.keys()):
            if parse_quantity(low[name]) > parse_quantity(high[name]):
                told = words.format(low[name], high[name])
                yield invalid(f"{at}.{where}[{name}]", map_at(item, where)[name], told)
