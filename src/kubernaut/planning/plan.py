"""The plan: everything that decides what a whole workflow will do, in one canonical, hashed document. PURE.

An approval is bound to its hash. So it covers what the run depends on, and nothing else: no moment, no
resourceVersion, no text that nobody acts upon.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from kubernaut.api.meta import to_wire
from kubernaut.api.workflow import StepPhase, pin_key
from kubernaut.planning.facts import WorkflowFacts

VERSION = 1
"""Of the document. Raised with every change of what it holds, or of what an ApprovalRequest shows of it: a plan of
another version has another hash, and so a request of its own."""

_CANONICAL = msgspec.json.Encoder(order="sorted")


def plan_of(facts: WorkflowFacts) -> Mapping[str, Any]:
    """The document of a workflow that the door has let in (`facts.actions` holds every step's action)."""
    workflow = facts.workflow
    spec = workflow.spec
    keys = sorted({pin_key(step) for step in (*spec.steps, *spec.finally_)})
    return {
        "version": VERSION,
        "workflow": {
            "namespace": workflow.metadata.namespace,
            "name": workflow.metadata.name,
            "uid": workflow.metadata.uid,
        },
        # Of all that was asked but `requests`: steps, inputs, parameters, order, requester.
        "specHash": facts.spec_hash,
        "engine": facts.engine.name,
        "actions": [to_wire(facts.actions[key]) for key in keys],
        "kept": _kept(facts),
    }


def plan_hash(facts: WorkflowFacts) -> str:
    """`sha256:<hex>` of the document as JSON with sorted keys and no spaces."""
    return "sha256:" + hashlib.sha256(_CANONICAL.encode(plan_of(facts))).hexdigest()


def _kept(facts: WorkflowFacts) -> Mapping[str, Any]:
    """Which results of an earlier execution count, and what they are: later steps are given them."""
    if facts.earlier is None:
        return {}
    earlier = facts.earlier
    done = sorted(r.name for r in earlier.workflow.status.steps if r.phase == StepPhase.SUCCEEDED)
    return {
        "of": earlier.workflow.metadata.uid,
        "outputs": {name: to_wire(earlier.outputs.get(name, {})) for name in done},
    }
