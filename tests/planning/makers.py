"""Short ways to write workflows, actions and moments for tests."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from kubernaut.api.action import ActionExecution, ActionSpec, ActionStatus
from kubernaut.api.contract import ContractSpec, Parameter
from kubernaut.api.meta import ObjectMeta, Requester
from kubernaut.api.workflow import Backoff, Request, Retry, Step, WorkflowExecution, WorkflowSpec

START = datetime(2026, 1, 1, tzinfo=UTC)
IMAGE = "registry.example/actions/scale@sha256:" + "a" * 64
UNFENCED_IMAGE = "registry.example/foreign/scale@sha256:" + "b" * 64
WORKFLOW_UID = "wf-uid"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def contract(*, fenced: bool = True, idempotent: bool = False) -> ContractSpec:
    return ContractSpec(
        inputs=(Parameter(name="n", type="integer"), Parameter(name="m", type="integer")),
        outputs=(Parameter(name="n", type="integer"),),
        fenced=fenced,
        idempotent=idempotent,
        timeout="1m",
    )


ACTIONS: Mapping[str, ContractSpec] = {
    "test/plain": contract(),
    "test/idempotent": contract(idempotent=True),
    "test/unfenced": contract(fenced=False),
}


def retry(limit: int, **backoff: Any) -> Retry:
    return Retry(limit=limit, backoff=Backoff(**{"base": "10s", "cap": "1m", **backoff}))


def step(
    name: str, *, after: tuple[str, ...] = (), uses: tuple[str, ...] = (), action: str = "test/plain", **more: Any
) -> Step:
    """A step that waits for `after` and takes the output `n` of (at most two) steps in `uses`."""
    inputs = {key: f"$(steps.{source}.outputs.n)" for key, source in zip(("n", "m"), uses, strict=False)}
    return Step(name=name, action_type=action, run_after=after, inputs=inputs, **more)


def workflow(*steps: Step, finally_: tuple[Step, ...] = (), name: str = "w", **spec: Any) -> WorkflowExecution:
    return WorkflowExecution(
        metadata=ObjectMeta(name=name, namespace="ns", uid=WORKFLOW_UID, generation=1),
        spec=WorkflowSpec(steps=steps, finally_=finally_, **spec),
    )


def request(kind: Any, when: datetime = START, **more: Any) -> Request:
    return Request(type=kind, at=when, requester=Requester(username="ann"), **more)


def lone_action(
    *, action: str = "test/plain", limit: int = 0, timeout: str = "1m", **more: Any
) -> ActionExecution:
    return ActionExecution(
        metadata=ObjectMeta(name="alone", namespace="ns", uid="ae-uid", generation=1),
        spec=ActionSpec(
            action_type=action,
            image=IMAGE,
            contract=ACTIONS[action],
            retry=retry(limit),
            timeout=timeout,
            **more,
        ),
        status=ActionStatus(),
    )
