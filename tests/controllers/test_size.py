"""The largest workflow that is let in fits into the store, with all that the API server writes beside it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from controllers.bench import NAMESPACE, WORKFLOWS, Bench, step
from kubernaut.admission.size import MOST_BYTES
from kubernaut.api.meta import LocalReference, to_wire
from kubernaut.api.workflow import MAX_STEPS, StepPhase, StepStatus, record_bytes
from kubernaut.cluster import kinds

MOMENT = datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)


def wordiest(name: str) -> Any:
    """A record than which none can be larger in a workflow of so many steps."""
    room = record_bytes(MAX_STEPS)
    record = StepStatus(
        name=name,
        phase=StepPhase.INDETERMINATE,
        reason="R" * 64,
        message="m" * room,
        started_at=MOMENT,
        completed_at=MOMENT,
        attempts=11,
        executed="unknown",
        execution=LocalReference(name="x" * 63, uid="f" * 36),
        fence="f" * 36,
        outputs={"o": "x" * (room - 9)},
        rollback_available=True,
    )
    return to_wire(record)


@pytest.mark.journey
async def test_a_thousand_steps_in_their_worst_state_are_stored_within_a_megabyte(bench: Bench) -> None:
    steps = [step(f"step-{n:04}", "succeed", *([f"step-{n - 1:04}"] if n else [])) for n in range(MAX_STEPS)]
    async with bench.controller():
        await bench.submit("large", steps)
        held = await bench.until_phase("large", "WaitingApproval")  # let in, but for its many steps
    held["status"]["steps"] = [wordiest(one["name"]) for one in steps]
    held["status"] |= {"message": "m" * 4000, "specHash": "f" * 64, "phase": "Indeterminate"}
    await bench.admin.replace(kinds.WORKFLOW_EXECUTIONS, held, "status")
    stored = bench.cluster.store.get(WORKFLOWS, "large", NAMESPACE)
    whole = len(json.dumps(stored, separators=(",", ":")))
    notes = len(json.dumps(stored["metadata"]["managedFields"], separators=(",", ":")))
    assert notes > 100_000  # the server does keep them
    assert whole <= MOST_BYTES
