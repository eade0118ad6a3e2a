"""What the packages of a set decide, and what they say of themselves in `# METADATA` comments."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from kubernaut.planning.policies import DECISIONS
from kubernaut.safety.rego.engine import RegoEngine

_BLOCK = re.compile(r"^# METADATA\n((?:#.*\n)*)package ", re.MULTILINE)


@dataclass(frozen=True)
class Package:
    """One package of a set."""

    name: str
    files: tuple[str, ...]
    decisions: tuple[str, ...]
    title: str = ""
    description: str = ""


def packages_of(engine: RegoEngine) -> list[Package]:
    """Every package by name, tests apart."""
    by_name: dict[str, list[str]] = {}
    for module in engine.modules:
        if not module.path.endswith("_test.rego"):
            by_name.setdefault(module.package, []).append(module.path)
    found: list[Package] = []
    for name, files in sorted(by_name.items()):
        names = {rule.name for rule in engine.rules if rule.package == name}
        told = [metadata_of(engine.policies.text_of(path)) for path in files]
        found.append(
            Package(
                name,
                tuple(sorted(files)),
                tuple(decision for decision in DECISIONS if decision in names),
                next((str(one["title"]) for one in told if "title" in one), ""),
                next((str(one["description"]) for one in told if "description" in one), ""),
            )
        )
    return found


def metadata_of(text: str) -> Mapping[str, Any]:
    """The annotations of a package (OPA's `# METADATA` blocks, YAML in comments); empty where there are none."""
    import yaml

    block = _BLOCK.search(text)
    if block is None:
        return {}
    try:
        value: object = yaml.load("\n".join(line[2:] for line in block[1].splitlines()), Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return {}
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}
