"""The law that all builtin kinds share: read by shape, then what the shape demands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kubernaut.devcluster.errors import BadRequest, Fault
from kubernaut.devcluster.metadata import forbidden, invalid, label_faults, required
from kubernaut.devcluster.objects import Object, list_at, map_at
from kubernaut.devcluster.resources import Rules
from kubernaut.devcluster.schema.builtin import builtin_type
from kubernaut.devcluster.schema.check import shape_faults, type_error
from kubernaut.devcluster.schema.walk import drop_empty
from kubernaut.devcluster.selectors import selects


class BuiltinRules(Rules):
    """Subclasses extend `default`, `validate` and `validate_update`."""

    def __init__(self, kind: str, *, has_status: bool = False) -> None:
        super().__init__(builtin_type(kind), has_status=has_status)
        self.kind = kind

    def decode(self, obj: Object) -> list[str]:
        error = type_error(obj, self.node, "", "")
        if error:
            version = str(obj.get("apiVersion", "")).rpartition("/")[2]
            raise BadRequest(f'{self.kind} in version "{version}" cannot be handled as a {self.kind}: {error}')
        drop_empty(obj, self.node)
        return super().decode(obj)

    def validate(self, obj: Object) -> Iterable[Fault]:
        yield from shape_faults(obj, self.node)


def selector_faults(selector: Object | None, path: str, kind: str) -> Iterator[Fault]:
    """For selectors that must select something, as those of workloads."""
    if selector is None:
        return
    if not map_at(selector, "matchLabels") and not list_at(selector, "matchExpressions"):
        yield invalid(path, selector, f"empty selector is invalid for {kind}")
    yield from expression_faults(selector, path)


def expression_faults(selector: Object, path: str) -> Iterator[Fault]:
    yield from label_faults(map_at(selector, "matchLabels"), f"{path}.matchLabels")
    for index, need in enumerate(list_at(selector, "matchExpressions")):
        at = f"{path}.matchExpressions[{index}]"
        operator = need.get("operator")
        if operator in ("In", "NotIn"):
            if not need.get("values"):
                yield required(f"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in ("Exists", "DoesNotExist"):
            if need.get("values"):
                yield forbidden(
                    f"{at}.values",
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                )
        else:
            yield invalid(f"{at}.operator", operator, "not a valid selector operator")


def template_label_faults(spec: Object) -> Iterator[Fault]:
    """A workload's selector must select the pods that it makes."""
    labels = map_at(spec, "template", "metadata").get("labels")
    if not selects(spec.get("selector"), labels or {}):
        yield invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")


def not_negative(spec: Object, *fields: str, path: str = "spec") -> Iterator[Fault]:
    for field in fields:
        value = spec.get(field)
        if isinstance(value, int) and value < 0:
            yield invalid(f"{path}.{field}", value, "must be greater than or equal to 0")
