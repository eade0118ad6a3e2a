"""The action registry, a ConfigMap, as entries of the catalogue."""

import json
from collections.abc import Mapping
from typing import Any, cast

import yaml

from kubernaut.api.contract import ActionContract
from kubernaut.cli.importing.older import Json, Older
from kubernaut.cli.importing.steps import Contracts
from kubernaut.cli.importing.vocabulary import account, action_type
from kubernaut.cli.installing.actions import definition_manifest

_POLICIES = ("strict", "warn")


def entries(document: Json) -> dict[str, Json]:
    """What the ConfigMap says, by action type as it is written there; empty where it is no registry."""
    found: dict[str, Json] = {}
    data = document.get("data")
    for key, value in cast("Mapping[str, Any]", data).items() if isinstance(data, dict) else ():
        entry = _parsed(value)
        if isinstance(entry, dict) and "image" in entry:
            found[key] = cast(Json, entry)
        elif isinstance(entry, dict):  # one key for the whole registry
            inner = cast(Json, entry)
            found |= {k: cast(Json, v) for k, v in inner.items() if isinstance(v, dict) and "image" in v}
    return found


def registry(
    document: Json, contracts: Contracts, by_image: Mapping[str, ActionContract]
) -> tuple[list[Json], Older]:
    """An ActionDefinition for each entry whose contract is known: from its image, or an action in the box."""
    older = Older(document)
    for key in ("apiVersion", "kind", "metadata", "data"):
        older.take(key)
    found: list[Json] = []
    for written_as, fields in entries(document).items():
        entry = Older(fields, f"data[{written_as!r}]", older.remarks)
        made = _definition(entry, written_as, contracts, by_image)
        if made is not None:
            found.append(made)
        for path in list(entry.left_over()):
            entry.lose(path, "the catalogue has no such field", absolute=True)
    return found, older


def _definition(
    entry: Older, written_as: str, contracts: Contracts, by_image: Mapping[str, ActionContract]
) -> Json | None:
    kind = action_type(written_as.replace(".", "/", 1) if "/" not in written_as else written_as, contracts)
    image = entry.text("image")
    entry.take("contract")  # where it lies in the image; always the same place today
    contract = by_image.get(image) or contracts.get(kind)
    if contract is None:
        entry.lose("image", f"its contract could not be read, and no action in the box is called {kind}")
        return None
    if "@sha256:" not in image:
        entry.lose("image", f"{image} names no digest; push it, and write image@sha256:...")
        return None
    if image not in by_image:
        entry.note(
            "image", f"its contract was not read; that of the box's {kind} {contract.metadata.version} is used"
        )
    policy: Any = entry.take("verification") or "strict"
    if policy not in _POLICIES:
        entry.lose("verification", f"{policy} is none of {', '.join(_POLICIES)}; strict is used")
        policy = "strict"
    if contract.metadata.name != kind:
        entry.note("image", f"its contract calls it {contract.metadata.name}")
    definition = definition_manifest(contract, image)
    definition["spec"]["verification"] = {"policy": policy}
    if given := entry.text("serviceAccountName"):
        definition["spec"]["serviceAccountName"] = account(given, contracts) or given
    return definition


def _parsed(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        pass
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        return None
