"""The actions in the box, written as an outside author would write them.

One module each: types, contract and function. Belongs here: what an action does to its target. Does not belong
here: anything that authors outside cannot import (only `kubernaut.sdk` and `kubernaut.api`).
"""

SHIPPED = (
    "kubernaut.actions.scale_deployment",
    "kubernaut.actions.scale_statefulset",
    "kubernaut.actions.restart_pod",
    "kubernaut.actions.delete_pod",
    "kubernaut.actions.restart_deployment",
    "kubernaut.actions.rollback_deployment",
    "kubernaut.actions.increase_resources",
    "kubernaut.actions.update_hpa",
    "kubernaut.actions.patch_deployment",
    "kubernaut.actions.apply_manifest",
    "kubernaut.actions.update_configmap",
    "kubernaut.actions.update_secret",
    "kubernaut.actions.cordon_node",
    "kubernaut.actions.uncordon_node",
    "kubernaut.actions.drain_node",
    "kubernaut.actions.taint_node",
    "kubernaut.actions.untaint_node",
    "kubernaut.actions.rollout_status",
    "kubernaut.actions.collect_diagnostics",
)
"""Modules that declare one action each; every one becomes an image."""
