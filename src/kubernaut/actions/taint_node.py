"""Sets a taint of a node; undoing it removes it, or gives it its earlier value."""

from typing import Annotated, Any

from msgspec import Meta

from kubernaut.actions.nodes import LIST_NODES, READ_AND_PATCH_NODES, NodeName, get_node, last_node_fault
from kubernaut.actions.taints import (
    Effect,
    TaintKey,
    TaintValue,
    identity,
    made,
    refuse_kubernetes_own,
    taints_of,
    value_of,
)
from kubernaut.sdk import Inputs, Object, Outputs, Refused, Run, action

_UNTAINT = "kubernetes/untaint_node"


class TaintInputs(Inputs, frozen=True, kw_only=True):
    node_name: NodeName
    key: TaintKey | None = None
    effect: Annotated[Effect | None, Meta(description="What it does to pods that do not tolerate it.")] = None
    value: TaintValue = ""
    overwrite: Annotated[bool, Meta(description="Change the value of one that is there.")] = False
    expected_value: Annotated[
        TaintValue | None, Meta(description="Refuse unless it is there with this value; with `overwrite`.")
    ] = None
    allow_last: Annotated[bool, Meta(description="Also where no other node would take pods.")] = False
    restore: Annotated[
        list[dict[str, Any]], Meta(description="Instead of key and effect: taints to put back, as rollbacks say.")
    ] = []
    reason: Annotated[str, Meta(max_length=253, description="Why; for the log only.")] = "automated_remediation"

    def __post_init__(self) -> None:
        if (self.key is None) != (self.effect is None) or (self.key is None) != bool(self.restore):
            raise ValueError("give `key` and `effect`, or `restore`")
        if any(not taint.get("key") or not taint.get("effect") for taint in self.restore):
            raise ValueError("a taint in `restore` needs key and effect")
        if self.expected_value is not None and not self.overwrite:
            raise ValueError("`expectedValue` belongs to `overwrite`")

    def wanted(self) -> list[Object]:
        """The taints that shall be there."""
        return self.restore or [made(self.key or "", self.effect or "", self.value)]


class TaintOutputs(Outputs, frozen=True, kw_only=True):
    changed: Annotated[bool, Meta(description="False when it was so before.")]
    previous_value: Annotated[str, Meta(description="Value of the taint before; empty when there was none.")]


@action(
    "kubernetes/taint_node",
    version="1.0.0",
    description="Sets a taint of a node, so that it keeps away, or sends away, pods that do not tolerate it.",
    permissions=[READ_AND_PATCH_NODES, LIST_NODES],
    reversible=True,
    timeout="30s",
)
async def taint_node(inputs: TaintInputs, run: Run) -> TaintOutputs:
    node = await get_node(run, inputs.node_name)
    there = {identity(taint): taint for taint in taints_of(node)}
    wanted = inputs.wanted()
    for taint in wanted:
        refuse_kubernetes_own(taint["key"])
    news = [t for t in wanted if identity(t) not in there or value_of(there[identity(t)]) != value_of(t)]
    previous = next((value_of(there[identity(t)]) for t in wanted if identity(t) in there), "")
    if not news:
        return TaintOutputs(changed=False, previous_value=previous)
    for taint in news:
        _check(inputs, taint, there.get(identity(taint)))
    closes = any(taint["effect"] != "PreferNoSchedule" for taint in news)
    if closes and not inputs.allow_last and (fault := await last_node_fault(run, inputs.node_name)):
        raise Refused("LastSchedulableNode", f"{fault}; set allowLast to taint it nevertheless")
    _say_undo(run, inputs, news, there)
    replaced = {identity(taint) for taint in news}
    kept = [taint for taint in taints_of(node) if identity(taint) not in replaced]
    await run.cluster.patch(node, {"spec": {"taints": [*kept, *news]}})
    if not run.is_dry_run:
        run.say(f"tainted node {inputs.node_name}: {', '.join(map(_told, news))} ({inputs.reason})")
    return TaintOutputs(changed=True, previous_value=previous)


def _check(inputs: TaintInputs, taint: Object, found: Object | None) -> None:
    where = f"node {inputs.node_name}"
    if found is None:
        if inputs.expected_value is not None:
            raise Refused("Drifted", f"{where} has no taint {_told(taint)} any more; somebody removed it since")
    elif not inputs.overwrite:
        raise Refused("TaintIsThere", f"{where} has the taint {_told(found)} already; set overwrite to change it")
    elif inputs.expected_value not in (None, value_of(found)):
        raise Refused("Drifted", f"{where} has the taint {_told(found)} by now; somebody changed it since")


def _say_undo(run: Run, inputs: TaintInputs, news: list[Object], there: dict[Any, Object]) -> None:
    taint = news[0]
    named = {"nodeName": inputs.node_name, "key": taint["key"], "effect": taint["effect"]}
    if identity(taint) in there:
        back = {"value": value_of(there[identity(taint)]), "expectedValue": value_of(taint)}
        run.undo_with("kubernetes/taint_node", {**named, **back, "overwrite": True, "allowLast": True})
    elif len(news) == 1:
        run.undo_with(_UNTAINT, {**named, "value": value_of(taint), "verifyHealth": False})
    else:
        # Several come from the rollback of one untaint, and are of one key.
        named.pop("effect")
        run.undo_with(_UNTAINT, {**named, "verifyHealth": False})


def _told(taint: Object) -> str:
    value = value_of(taint)
    return f"{taint['key']}{f'={value}' if value else ''}:{taint['effect']}"
