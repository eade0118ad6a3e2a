"""Gathers the facts of one WorkflowExecution's turn."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from kubernaut.admission import check, pinned_actions, spec_hash
from kubernaut.api import names
from kubernaut.api.action import ActionExecution
from kubernaut.api.approval import ApprovalRequest
from kubernaut.api.graph import Graph, graph_of, without
from kubernaut.api.meta import JSON
from kubernaut.api.values import is_too_deep
from kubernaut.api.workflow import EngineDecision, PinnedAction, Step, WorkflowExecution
from kubernaut.cluster import Cluster, Json, Key, NotFound, kinds
from kubernaut.concurrency import Clock
from kubernaut.controllers.caches import Caches, Decoded
from kubernaut.controllers.doors import Doors
from kubernaut.controllers.parts import parts, text
from kubernaut.planning import steps_to_ask
from kubernaut.planning.facts import Earlier, ExecutionFacts, Limits, WhenVerdict, WorkflowFacts
from kubernaut.planning.phases import WORKFLOW_TERMINAL
from kubernaut.planning.readiness import cel_variables
from kubernaut.telemetry import get_log

log = get_log(__name__)

EvaluateWhen = Callable[[tuple[str, ...], Mapping[str, Any]], WhenVerdict]


class WorkflowObserver:
    """Reads from the caches; from the cluster only results that were too large for a status."""

    def __init__(
        self,
        cluster: Cluster,
        caches: Caches,
        clock: Clock,
        limits: Limits,
        executions: Decoded[ActionExecution],
        evaluate: EvaluateWhen,
        doors: Doors,
        resolved: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        """`resolved` is told how long it took to lay out the dependencies of a workflow."""
        self._cluster = cluster
        self._caches = caches
        self._clock = clock
        self._limits = limits
        self._executions = executions
        self._workflows = Decoded(caches.workflows, WorkflowExecution)
        self._approvals = Decoded(caches.approvals, ApprovalRequest)
        self._evaluate = evaluate
        self._doors = doors
        self._resolved = resolved
        self._graphs: dict[str, tuple[int, str, Graph, Graph]] = {}
        self._results: dict[str, dict[str, Mapping[str, JSON]]] = {}
        """Large outputs by the workflow that reads them, then by ActionExecution; kept while it runs."""
        caches.workflows.subscribe(self._workflow_changed)

    async def observe(self, key: Key, trouble: str = "") -> WorkflowFacts | None:
        """The facts, or None when the object is gone."""
        stored = self._caches.workflows.get(key[1], key[0])
        if stored is None:
            return None
        workflow = self._workflows.view(stored)
        facts = await self._around(workflow, trouble)
        asked, records = steps_to_ask(facts)
        if not asked:
            return facts
        variables = cel_variables(facts, records)
        verdicts = {step.name: self._evaluate(step.when, variables) for step in asked}
        return replace(facts, verdicts=verdicts)

    async def _around(self, workflow: WorkflowExecution, trouble: str) -> WorkflowFacts:
        digest, main, last = self._shape(workflow)
        facts = WorkflowFacts(
            now=self._clock.now(),
            workflow=workflow,
            graph=main,
            finally_graph=last,
            spec_hash=digest,
            trouble=trouble,
            limits=self._limits,
        )
        if workflow.status.phase in WORKFLOW_TERMINAL:
            self._forget(workflow.metadata.uid)
            return facts
        earlier = await self._earlier(workflow)
        if not workflow.status.spec_hash:
            return self._judged(facts, earlier)
        return replace(
            facts,
            executions=await self._executions_of(workflow, workflow.metadata.uid),
            workspace=self._workspace(workflow),
            earlier=earlier,
        )

    def _judged(self, facts: WorkflowFacts, earlier: Earlier | None) -> WorkflowFacts:
        """What the door says; only until the workflow is admitted."""
        workflow = facts.workflow
        door, obstacle = self._doors.door_for(workflow, earlier.workflow if earlier else None)
        faults = tuple(check(workflow, door))
        actions = dict(pinned_actions(workflow, door)) if not faults else dict[str, PinnedAction]()
        return replace(
            facts,
            faults=faults,
            obstacle=obstacle,
            actions=actions,
            approvals=self._approvals_of(workflow),
            earlier=earlier,
            engine=_engine(workflow),
        )

    def _approvals_of(self, workflow: WorkflowExecution) -> dict[str, ApprovalRequest]:
        owned = self._caches.approvals.owned_by(workflow.metadata.uid)
        return {request.metadata.name: request for request in map(self._approvals.view, owned)}

    def _shape(self, workflow: WorkflowExecution) -> tuple[str, Graph, Graph]:
        """Hash and graphs of the spec, computed once a generation."""
        meta = workflow.metadata
        known = self._graphs.get(meta.uid)
        if known is None or known[0] != meta.generation:
            begun = self._clock.monotonic()
            steps, last = workflow.spec.steps, workflow.spec.finally_
            main_names = [step.name for step in steps]
            graphs = _graph(steps), without(_graph(last), main_names)
            self._resolved(self._clock.monotonic() - begun)
            known = (meta.generation, spec_hash(workflow), *graphs)
            self._graphs[meta.uid] = known
        return known[1:]

    def _workflow_changed(self, _key: Key, old: Json | None, new: Json | None) -> None:
        if old is not None and (new is None or new["metadata"]["uid"] != old["metadata"]["uid"]):
            self._forget(old["metadata"]["uid"])

    def _forget(self, uid: str) -> None:
        """The workflow has ended, or is gone: thousands of finished ones may stay for a day."""
        self._graphs.pop(uid, None)
        self._results.pop(uid, None)

    async def _executions_of(self, workflow: WorkflowExecution, reader: str) -> dict[str, ExecutionFacts]:
        """By step. `reader` is the UID of the workflow for which they are looked at."""
        found: dict[str, ExecutionFacts] = {}
        for stored in self._caches.executions.owned_by(workflow.metadata.uid):
            execution = self._executions.view(stored)
            found[execution.spec.step] = await self._execution(execution, workflow.metadata.uid, reader)
        return found

    async def _execution(self, execution: ActionExecution, owner_uid: str, reader: str) -> ExecutionFacts:
        meta = execution.metadata
        fence = self._caches.fences.get(names.fence_name(meta.uid), meta.namespace)
        return ExecutionFacts(
            name=meta.name,
            uid=meta.uid,
            owner_uid=owner_uid,
            spec=execution.spec,
            status=execution.status,
            fence_uid=fence["metadata"]["uid"] if fence is not None else None,
            outputs=await self._outputs(execution, reader),
        )

    async def _outputs(self, execution: ActionExecution, reader: str) -> Mapping[str, JSON]:
        """Outputs of the status, or of the ConfigMap beside it where they did not fit."""
        name, uid = execution.status.results_config_map, execution.metadata.uid
        if not name:
            return execution.status.outputs
        known = self._results.setdefault(reader, {})
        if uid not in known:
            try:
                stored = await self._cluster.get(kinds.CONFIG_MAPS, name, execution.metadata.namespace)
            except NotFound:
                return execution.status.outputs
            known[uid] = _results(stored) if _is_of(stored, uid) else execution.status.outputs
        return known[uid]

    def _workspace(self, workflow: WorkflowExecution) -> Any:
        meta = workflow.metadata
        claim = self._caches.claims.get(names.workspace_name(meta.name, meta.uid), meta.namespace)
        if claim is None or claim["metadata"].get("deletionTimestamp"):
            return "absent"
        return "present" if _is_of(claim, meta.uid) else "foreign"

    async def _earlier(self, workflow: WorkflowExecution) -> Earlier | None:
        again = workflow.spec.retry_of
        if again is None:
            return None
        stored = self._caches.workflows.get(again.name, workflow.metadata.namespace)
        if stored is None or (again.uid and stored["metadata"]["uid"] != again.uid):
            return None
        before = self._workflows.view(stored)
        executions = await self._executions_of(before, workflow.metadata.uid)
        return Earlier(before, {step: execution.outputs for step, execution in executions.items()})


def _graph(steps: tuple[Step, ...]) -> Graph:
    return graph_of(steps)


def _engine(workflow: WorkflowExecution) -> EngineDecision:
    if workflow.spec.engine == "auto":
        return EngineDecision(name="job", reason="auto: no other engine is switched on")
    return EngineDecision(name=workflow.spec.engine, reason="spec.engine names it")


def _results(stored: Json) -> Mapping[str, JSON]:
    """What an action wrote; nothing where that cannot be used, as if it had given no outputs."""
    try:
        found = msgspec.json.decode(text(stored, "data", "outputs.json") or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        log.warning("outputs cannot be read", config_map=stored["metadata"]["name"], error=str(error))
        return {}
    if is_too_deep(found):
        log.warning("outputs are nested too deeply", config_map=stored["metadata"]["name"])
        return {}
    return found


def _is_of(stored: Json, uid: str) -> bool:
    return any(owner["uid"] == uid for owner in parts(stored, "metadata", "ownerReferences"))
