"""What manifests may be applied, and how what they made is taken back. Pure.

The form of the way back is the sdk's (`Run.undo_with`, `changes_as`): objects with a JSON patch each, or created.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from kubernaut.sdk import Object, Refused

MANAGER = "kubernaut-apply"
"""Owner of what is applied."""
MOST_MANIFESTS = 50
_SERVERS = ("uid", "resourceVersion", "managedFields", "creationTimestamp", "deletionTimestamp", "generation")
_OWNER = re.compile(r'conflict with "([^"]*)"')


def documents(given: Sequence[Object]) -> list[Object]:
    """The manifests, with those of a `List` one by one."""
    found: list[Object] = []
    for one in given:
        items: Any = one.get("items")
        if one.get("apiVersion") == "v1" and one.get("kind") == "List" and _is_list(items):
            # What is no object is left for the faults to name.
            found += [item if _is_object(item) else {} for item in items]
        else:
            found.append(one)
    return found


def manifest_faults(found: Sequence[Object], namespace: str) -> list[str]:
    """Why they cannot be applied, all of it."""
    faults: list[str] = []
    if len(found) > MOST_MANIFESTS:
        faults.append(f"{len(found)} manifests are too many for one step, {MOST_MANIFESTS} are the most")
    seen: set[tuple[str, ...]] = set()
    for number, manifest in enumerate(found):
        found_metadata: Any = manifest.get("metadata")
        metadata: Object = found_metadata if _is_object(found_metadata) else {}
        texts = (manifest.get("apiVersion"), manifest.get("kind"), metadata.get("name"))
        if not all(isinstance(text, str) and text for text in texts):
            faults.append(f"manifest {number + 1} needs apiVersion, kind and metadata.name")
            continue
        faults += [f"{named(manifest)}: {fault}" for fault in _faults(manifest, metadata, namespace)]
        identity = (str(texts[0]).rpartition("/")[0], str(texts[1]), str(texts[2]))
        if identity in seen:
            faults.append(f"{named(manifest)} is there twice")
        seen.add(identity)
    return faults


def _faults(manifest: Object, metadata: Object, namespace: str) -> list[str]:
    faults: list[str] = []
    if manifest["apiVersion"] == "v1" and manifest["kind"] == "Secret":
        faults.append("a Secret is not given in clear; kubernetes/update_secret takes values by reference")
    if (place := metadata.get("namespace") or namespace) != namespace:
        faults.append(f"it is for namespace {place}, the step for {namespace}: use a step for each")
    written = [f"metadata.{part}" for part in _SERVERS if metadata.get(part)]
    if written := [*written, *(["status"] if "status" in manifest else [])]:
        faults.append(f"only the API server and controllers write {', '.join(written)}; leave it out")
    return faults


def named(obj: Mapping[str, Any]) -> str:
    """`Deployment web`."""
    return f"{obj['kind']} {obj['metadata']['name']}"


def owners_of(messages: Sequence[str]) -> set[str]:
    """The field managers that the API server names in the causes of a conflict."""
    return {found[1] for message in messages if (found := _OWNER.search(message))}


# -- the way back ----------------------------------------------------------------------------------


def undo_fault(entry: Mapping[str, Any], namespace: str) -> str:
    """Why an entry of the way back cannot be used; empty when it can."""
    texts = all(isinstance(entry.get(part), str) for part in ("apiVersion", "kind", "namespace", "name", "uid"))
    patch: Any = entry.get("patch")
    is_patch = _is_list(patch) and all(map(_is_object, patch))
    if not texts or is_patch == (entry.get("created") is True):
        return "an entry of `undo` needs apiVersion, kind, namespace, name, uid, and either patch or created: true"
    if entry["namespace"] != namespace:
        return f"an entry of `undo` is for namespace {entry['namespace']}, the step for {namespace}"
    return ""


def is_restored(obj: Object, operations: Sequence[Mapping[str, Any]]) -> bool:
    """Whether everything that the operations would restore is so already."""
    restoring = [operation for operation in operations if operation.get("op") != "test"]
    return all(_at(obj, str(op.get("path"))) == op.get("value") for op in restoring)


def drifted(obj: Object, operations: Sequence[Mapping[str, Any]]) -> list[str]:
    """The paths at which somebody changed since what the operations would take back."""
    tests = [operation for operation in operations if operation.get("op") == "test"]
    return [str(op["path"]) for op in tests if _at(obj, str(op.get("path"))) != op.get("value")]


def refuse_changed(obj: Object, managers: Mapping[str, Any], uid: str) -> None:
    """Raises Refused("Drifted") unless the object is the one that was created and nobody else changed it.

    managers: who owns fields of it, `kubernaut.sdk.managers_of`. An empty uid: it was not known when it was told.
    """
    others = sorted(who for who, fields in managers.items() if who != MANAGER and not _is_mark(fields))
    if uid and obj["metadata"].get("uid") != uid:
        raise Refused("Drifted", f"{named(obj)} was deleted and made anew by somebody else; it was left alone")
    if others or MANAGER not in managers:
        who = ", ".join(others) or "somebody"
        raise Refused("Drifted", f"{named(obj)} was changed by {who} since it was created; it was left alone")


_MARK = re.compile(r"f:(?:[a-z0-9-]+\.)*kubernetes\.io/.*|\.")


def _is_mark(fields: Any) -> bool:
    """Whether these are but annotations that Kubernetes' own controllers write, as a rollout's revision."""
    for part in ("f:metadata", "f:annotations"):
        if not _is_object(fields) or set(fields) != {part}:
            return False
        fields = fields[part]
    return _is_object(fields) and all(_MARK.fullmatch(key) for key in fields)


def _at(obj: Object, pointer: str) -> Any:
    """What stands there; None for nothing, as the API server's JSON patch sees it."""
    found: Any = obj
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if _is_object(found):
            found = found.get(key)
        elif _is_list(found) and key.isdigit() and int(key) < len(found):
            found = found[int(key)]
        else:
            return None
    return found


def _is_object(value: Any) -> TypeGuard[Object]:
    return isinstance(value, dict)


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)
