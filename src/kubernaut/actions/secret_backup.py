"""What keys of a Secret were before they were changed, kept in a Secret beside it: values never leave Secrets.

One backup for each Secret, named by its uid and owned by it, so that it goes with it. Each change is one entry,
named by the resourceVersion of the Secret that was changed: that name says nothing of any value. See
docs/decisions/0006-secrets-are-undone-from-a-secret.md.
"""

import base64
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from kubernaut.actions.keyed import Values
from kubernaut.sdk import Object, Refused, Run, kinds

BACKUP_TYPE = "kubernaut.ai/backup"
"""The type of such a Secret: nothing mounts it by accident."""
_MOST_ENTRIES = 10
# Half of what the API server takes for a Secret; the entries are JSON of base64, in base64 once more.
_MOST_BYTES = 500_000


class Entry(msgspec.Struct, frozen=True):
    """One change: of each key that it changed, the value before and after, in base64; None for "not there"."""

    number: int
    before: dict[str, str | None]
    after: dict[str, str | None]


class Backup(NamedTuple):
    """The Secret that keeps the entries, if there is one yet."""

    name: str
    found: Object | None
    entries: Mapping[str, Entry]


async def read_backup(run: Run, secret: Object) -> Backup:
    """The backup of a Secret. Raises Refused("BackupNotOurs") when something else has its name."""
    meta = secret["metadata"]
    name = f"kubernaut-backup-{meta['uid']}"
    found = await run.cluster.find(kinds.SECRETS, name, meta["namespace"])
    if found is None:
        return Backup(name, None, {})
    if found.get("type") != BACKUP_TYPE:
        raise Refused("BackupNotOurs", f"Secret {meta['namespace']}/{name} is no backup; delete it or rename it")
    data: dict[str, str] = found.get("data") or {}
    try:
        entries = {key: msgspec.json.decode(base64.b64decode(text), type=Entry) for key, text in data.items()}
    except (ValueError, msgspec.MsgspecError):
        raise Refused("BackupBroken", f"Secret {meta['namespace']}/{name} cannot be read; delete it") from None
    return Backup(name, found, entries)


async def keep(run: Run, secret: Object, backup: Backup, before: Values, after: Values, *, used: str = "") -> str:
    """Write an entry before the Secret is changed; answers with its name. The oldest go, and the `used` one.

    Raises Refused("TooLargeToUndo") when the values cannot be kept.
    """
    meta = secret["metadata"]
    name = str(meta["resourceVersion"])
    number = max((entry.number for entry in backup.entries.values()), default=0) + 1
    new = _encoded(Entry(number, before, after))
    if len(new) > _MOST_BYTES:
        raise Refused("TooLargeToUndo", "the values are too large for the way back to be kept (500 kB)")
    kept = _newest({key: entry for key, entry in backup.entries.items() if key not in (used, name)}, len(new))
    if backup.found is None:
        await run.cluster.create(kinds.SECRETS, _secret(secret, backup.name, {name: new}), meta["namespace"])
    else:
        gone = dict.fromkeys(backup.entries.keys() - kept - {name})
        await run.cluster.patch(backup.found, {"data": {**gone, name: new}})
    return name


def _newest(entries: Mapping[str, Entry], size: int) -> set[str]:
    kept: set[str] = set()
    for name, entry in sorted(entries.items(), key=lambda item: -item[1].number):
        size += len(_encoded(entry))
        if size > _MOST_BYTES or len(kept) == _MOST_ENTRIES - 1:
            break
        kept.add(name)
    return kept


def _encoded(entry: Entry) -> str:
    return base64.b64encode(msgspec.json.encode(entry)).decode()


def _secret(secret: Object, name: str, data: dict[str, str]) -> Object:
    meta = secret["metadata"]
    owner = {"apiVersion": "v1", "kind": "Secret", "name": meta["name"], "uid": meta["uid"]}
    return {
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/managed-by": "kubernaut", "app.kubernetes.io/component": "backup"},
            "annotations": {"kubernaut.ai/backup-of": meta["name"]},
            "ownerReferences": [owner],
        },
        "type": BACKUP_TYPE,
        "data": data,
    }
