"""Probes of the actions in the box, as files beside this one: `shipped/<name>.yaml`."""

from functools import cache
from importlib.resources import files

import msgspec
import yaml

from kubernaut.api.probes import ProbeSet


@cache
def shipped_probes(action_type: str) -> ProbeSet | None:
    """Of `kubernetes/scale_deployment`, for instance; None for a type that none were written for."""
    if not action_type.startswith("kubernetes/"):
        return None
    name = action_type.partition("/")[2]
    file = files("kubernaut.safety.probes") / "shipped" / f"{name}.yaml"
    if not name.replace("_", "").isalnum() or not file.is_file():
        return None
    return msgspec.convert(yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader), ProbeSet)
