"""The workflows that are run, and what each may cost."""

from collections.abc import Mapping
from typing import NamedTuple

from kubernaut.cluster import Json

ACTION_TYPE = "benchmark/nothing"
IMAGE = "registry.example/benchmark/nothing@sha256:" + "b" * 64
FIRST_STEP_WRITES = 9
FURTHER_STEP_WRITES = 6


class Shape(NamedTuple):
    """Steps by name, with the names of those that they wait for."""

    name: str
    steps: Mapping[str, tuple[str, ...]]

    @property
    def budget(self) -> int:
        """API writes that one run may take: ours and the runner's, Events apart."""
        return FIRST_STEP_WRITES + FURTHER_STEP_WRITES * (len(self.steps) - 1)

    def workflow(self, name: str, namespace: str, *, ends: bool = True) -> Json:
        """A WorkflowExecution whose actions do nothing and end, or do nothing for ever."""
        steps = [
            {
                "name": step,
                "actionType": ACTION_TYPE,
                "timeout": "15m",
                "inputs": {"ends": ends},
                **({"runAfter": list(after)} if after else {}),
            }
            for step, after in self.steps.items()
        ]
        return {
            "apiVersion": "workflowexecution.kubernaut.ai/v1alpha1",
            "kind": "WorkflowExecution",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"steps": steps},
        }


def chain(length: int) -> Shape:
    """Each step waits for the one before."""
    steps = {f"step-{n}": (f"step-{n - 1}",) if n > 1 else () for n in range(1, length + 1)}
    return Shape("one step" if length == 1 else f"chain of {length}", steps)


FORK = Shape("fork of 5", {"root": (), "a": ("root",), "b": ("root",), "c": ("root",), "join": ("a", "b", "c")})
"""One root, three steps at once, one that waits for all of them."""


def definition() -> Json:
    """The catalogue's entry of the action that does nothing."""
    return {
        "apiVersion": "kubernaut.ai/v1alpha1",
        "kind": "ActionDefinition",
        "metadata": {"name": ACTION_TYPE.replace("/", "-")},
        "spec": {
            "actionType": ACTION_TYPE,
            "image": IMAGE,
            "version": "1.0.0",
            "serviceAccountName": "default",
            "contract": {"fenced": True, "inputs": [{"name": "ends", "type": "boolean"}]},
        },
    }
