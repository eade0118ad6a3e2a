"""Sets and removes keys of a Secret, with values from another Secret only; undoing it restores exactly those keys.

Values come in as secret inputs (mounted files) and leave in the Secret and its backup only.
"""

import base64
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from kubernaut.actions.deployments import Namespace
from kubernaut.actions.keyed import (
    Values,
    changed_values,
    get_to_change,
    is_base64,
    refuse_drift,
    refuse_immutable,
)
from kubernaut.actions.secret_backup import BACKUP_TYPE, Backup, keep, read_backup
from kubernaut.sdk import DnsName, Inputs, Object, Outputs, Permission, Refused, Run, Secret, action, kinds

_TOKEN_TYPE = "kubernetes.io/service-account-token"
Key = Annotated[str, Meta(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]


class UpdateSecretInputs(Inputs, frozen=True, kw_only=True):
    namespace: Namespace
    secret_name: Annotated[DnsName, Meta(description="Name of the Secret to change.")]
    key: Annotated[Key | None, Meta(description="Key to set to `value`.")] = None
    value: Annotated[Secret | None, Meta(description="Value of `key`.")] = None
    values: Annotated[
        Secret | None, Meta(description="Several at once: a JSON object of keys and their values.")
    ] = None
    encoding: Annotated[
        Literal["text", "base64"], Meta(description="How values are given; bytes that are no text need base64.")
    ] = "text"
    remove: Annotated[list[Key], Meta(description="Keys to remove; that one is not there is no fault.")] = []
    restore: Annotated[
        Key | None, Meta(description="Take back a change: its entry of the backup, as rollbacks name it.")
    ] = None

    def __post_init__(self) -> None:
        if (self.key is None) != (self.value is None):
            raise ValueError("`key` and `value` belong together")
        asked = self.key is not None or self.values is not None or bool(self.remove)
        if asked == (self.restore is not None):
            raise ValueError("give some of `key` with `value`, `values` and `remove`; or `restore` alone")
        self.wanted()

    def wanted(self) -> Values:
        """Key -> base64, or None to remove it. Raises ValueError, without values in its text."""
        given: dict[str, str] = {}
        if self.values is not None:
            try:
                given = msgspec.json.decode(self.values, type=dict[str, str])
            except (msgspec.MsgspecError, UnicodeError):
                raise ValueError("`values` is not a JSON object of texts") from None
        if self.key is not None and self.value is not None:
            if self.key in given:
                raise ValueError(f"{self.key} is in `values`, too")
            given[self.key] = self.value
        if twice := sorted(given.keys() & set(self.remove)):
            raise ValueError(f"{', '.join(twice)}: a key is either set or removed")
        if self.encoding == "base64":
            given = {key: "".join(text.split()) for key, text in given.items()}
            if broken := sorted(key for key, text in given.items() if not is_base64(text)):
                raise ValueError(f"{', '.join(broken)}: the value is not base64")
        else:
            given = {key: base64.b64encode(text.encode()).decode() for key, text in given.items()}
        return {**given, **dict.fromkeys(self.remove)}


class UpdateSecretOutputs(Outputs, frozen=True, kw_only=True):
    changed: Annotated[bool, Meta(description="False when every key was as wanted before.")]
    changed_keys: Annotated[list[str], Meta(description="Keys that were set, changed or removed.")]


@action(
    "kubernetes/update_secret",
    version="1.0.0",
    description="Sets or removes keys of a Secret; values are given by reference only.",
    permissions=[
        # `create` for the backup only; RBAC cannot limit it to a name.
        Permission(api_groups=("",), resources=("secrets",), verbs=("get", "patch", "create")),
    ],
    reversible=True,
    timeout="1m",
)
async def update_secret(inputs: UpdateSecretInputs, run: Run) -> UpdateSecretOutputs:
    secret = await get_to_change(run, kinds.SECRETS, inputs.secret_name, inputs.namespace)
    _refuse_special(secret)
    backup = await read_backup(run, secret)
    now: Values = secret.get("data") or {}
    wanted = inputs.wanted() if inputs.restore is None else _restored(secret, now, backup, inputs.restore)
    for value in wanted.values():
        _hide(run, value)
    before, after = changed_values(now, {key: text for key, text in {**now, **wanted}.items() if text is not None})
    if not after:
        run.say(f"Secret {inputs.namespace}/{inputs.secret_name} is as wanted already")
        return UpdateSecretOutputs(changed=False, changed_keys=[])
    refuse_immutable(secret)
    for value in before.values():
        _hide(run, value)
    entry = str(secret["metadata"]["resourceVersion"])
    undo = {"namespace": inputs.namespace, "secretName": inputs.secret_name, "restore": entry}
    run.undo_with("kubernetes/update_secret", undo)
    await keep(run, secret, backup, before, after, used=inputs.restore or "")
    await run.cluster.patch(secret, {"data": after})
    if not run.is_dry_run:
        run.say(f"changed {', '.join(after)} in Secret {inputs.namespace}/{inputs.secret_name}")
    return UpdateSecretOutputs(changed=True, changed_keys=list(after))


def _refuse_special(secret: Object) -> None:
    if secret.get("type") in (_TOKEN_TYPE, BACKUP_TYPE):
        meta = secret["metadata"]
        said = "its owner writes it" if secret["type"] == BACKUP_TYPE else "Kubernetes writes it"
        raise Refused("NotToBeChanged", f"Secret {meta['namespace']}/{meta['name']} is a {secret['type']}: {said}")


def _restored(secret: Object, now: Values, backup: Backup, name: str) -> Values:
    """What the entry says was before. Raises Refused("NoBackup") and Refused("Drifted")."""
    entry = backup.entries.get(name)
    if entry is None:
        meta = secret["metadata"]
        raise Refused(
            "NoBackup",
            f"what Secret {meta['namespace']}/{meta['name']} was is not kept (any more): it was restored already, "
            f"made anew, or changed more than ten times since",
        )
    if any(now.get(key) != value for key, value in entry.before.items()):
        refuse_drift(secret, now, entry.after)
    return entry.before


def _hide(run: Run, value: str | None) -> None:
    if value:
        run.hide(value)
        run.hide(base64.b64decode(value).decode("utf-8", "replace"))
