"""Sets and removes keys of a ConfigMap; undoing it restores exactly the keys that it changed.

Pods see the change as kubelets refresh their volumes (about a minute), environment variables and `subPath` mounts
only after a restart: `kubernetes/restart_deployment`.
"""

import json
from typing import Annotated, Any

from msgspec import Meta

from kubernaut.actions.deployments import Namespace
from kubernaut.actions.keyed import (
    Values,
    changed_values,
    config_map_patch,
    config_map_values,
    get_to_change,
    is_base64,
    is_value,
    refuse_drift,
    refuse_immutable,
)
from kubernaut.sdk import DnsName, Inputs, Object, Outputs, Permission, Refused, Run, action, kinds

# What has to be restored is part of the results, and those are kept in 256 kB.
_MOST_TO_UNDO = 200_000


class UpdateConfigMapInputs(Inputs, frozen=True, kw_only=True):
    namespace: Namespace
    config_map: Annotated[DnsName, Meta(description="Name of the ConfigMap.")]
    data: Annotated[dict[str, str], Meta(description="Keys to set, with their texts.")] = {}
    binary_data: Annotated[dict[str, str], Meta(description="Keys to set, with their bytes in base64.")] = {}
    remove: Annotated[list[str], Meta(description="Keys to remove; that one is not there is no fault.")] = []
    operations: Annotated[
        list[dict[str, Any]],
        Meta(description="Instead of the above: a JSON patch (RFC 6902) of /data and /binaryData."),
    ] = []
    expect: Annotated[
        dict[str, Any],
        Meta(
            description="Refuse unless these keys are so: a text, {base64: ...}, or null for a key that must not "
            "be there."
        ),
    ] = {}

    def __post_init__(self) -> None:
        keyed = [*self.data, *self.binary_data, *self.remove]
        if bool(keyed) == bool(self.operations):
            raise ValueError("give either `operations`, or some of `data`, `binaryData` and `remove`")
        if twice := sorted({key for key in keyed if keyed.count(key) > 1}):
            raise ValueError(f"{', '.join(twice)}: each key can be set or removed only once")
        if broken := sorted(key for key, text in self.binary_data.items() if not is_base64(text)):
            raise ValueError(f"binaryData: {', '.join(broken)} is not base64")
        if broken := sorted(key for key, value in self.expect.items() if not is_value(value)):
            raise ValueError(f"expect: {', '.join(broken)} is neither a text nor {{base64: ...}} nor null")
        outside = {
            str(operation.get(part, ""))
            for operation in self.operations
            for part in ("path", "from")
            if part in operation or part == "path"
        }
        if outside := {path for path in outside if not path.startswith(("/data/", "/binaryData/"))}:
            raise ValueError(f"operations may only touch keys below /data and /binaryData, not {sorted(outside)}")


class UpdateConfigMapOutputs(Outputs, frozen=True, kw_only=True):
    changed: Annotated[bool, Meta(description="False when every key was as wanted before.")]
    changed_keys: Annotated[list[str], Meta(description="Keys that were set, changed or removed.")]


@action(
    "kubernetes/update_configmap",
    version="1.0.0",
    description="Sets or removes keys of a ConfigMap.",
    permissions=[Permission(api_groups=("",), resources=("configmaps",), verbs=("get", "patch"))],
    reversible=True,
    timeout="1m",
)
async def update_configmap(inputs: UpdateConfigMapInputs, run: Run) -> UpdateConfigMapOutputs:
    found = await get_to_change(run, kinds.CONFIG_MAPS, inputs.config_map, inputs.namespace)
    before = config_map_values(found)
    if inputs.operations:
        refuse_drift(found, before, inputs.expect)
        refuse_immutable(found)
        changed = await run.cluster.patch(found, inputs.operations, "json")
    else:
        body = config_map_patch(before, _wanted(inputs))
        if not body:
            run.say(f"ConfigMap {inputs.namespace}/{inputs.config_map} is as wanted already")
            return UpdateConfigMapOutputs(changed=False, changed_keys=[])
        refuse_drift(found, before, inputs.expect)
        refuse_immutable(found)
        changed = await run.cluster.patch(found, body)
    was, now = changed_values(before, config_map_values(changed))
    undo = _undo(inputs, was, now)
    if run.is_dry_run and len(json.dumps(undo)) > _MOST_TO_UNDO:
        raise Refused("TooLargeToUndo", "the values are too large for the way back to be kept (200 kB)")
    run.undo_with("kubernetes/update_configmap", undo)
    if not run.is_dry_run:
        run.say(f"changed {', '.join(now) or 'nothing'} in ConfigMap {inputs.namespace}/{inputs.config_map}")
    return UpdateConfigMapOutputs(changed=bool(now), changed_keys=list(now))


def _wanted(inputs: UpdateConfigMapInputs) -> Values:
    binary = {key: {"base64": text} for key, text in inputs.binary_data.items()}
    return {**inputs.data, **binary, **dict.fromkeys(inputs.remove)}


def _undo(inputs: UpdateConfigMapInputs, was: Values, now: Values) -> Object:
    parts: Object = {
        "data": {key: value for key, value in was.items() if isinstance(value, str)},
        "binaryData": {key: value["base64"] for key, value in was.items() if isinstance(value, dict)},
        "remove": [key for key, value in was.items() if value is None],
        "expect": now,
    }
    named = {"namespace": inputs.namespace, "configMap": inputs.config_map}
    return named | {name: part for name, part in parts.items() if part}
