"""What Kubernetes 1.36 wrote about Jobs whose pod was lost, and how it is read.

`losses_of_1_36.json` holds the last state of each Job and of its pod, seen by watches of a cluster with a real
kubelet; names, uids and dates were replaced, parts that nobody reads left out. `departed` are pods that were gone
when their Job failed.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from kubernaut.engines.job import read_job

SEEN: dict[str, Any] = json.loads((Path(__file__).parent / "losses_of_1_36.json").read_text())


@pytest.mark.parametrize(
    ("name", "reason", "exit_code", "container_started"),
    [
        ("out-of-memory", "OOMKilled", 137, True),
        # The kernel took a child only, and its parent told of it by a code of its own.
        ("out-of-memory-in-a-child", "OOMKilled", 3, True),
        ("evicted", "Evicted", 143, True),
        ("evicted-before-its-start", "Evicted", None, None),
        ("out-of-time", "DeadlineExceeded", 143, True),
        ("out-of-time-before-its-start", "DeadlineExceeded", None, None),
        ("out-of-time-without-a-node", "DeadlineExceeded", None, None),
        # Its taint's reason is overwritten by that of the collector.
        ("lost-after-its-eviction", "NodeLost", None, True),
        ("lost-with-its-node", "NodeLost", None, True),
    ],
)
def test_every_loss_is_read_as_what_it_was(
    name: str, reason: str, exit_code: int | None, container_started: bool | None
) -> None:
    seen = SEEN[name]
    facts = read_job(seen["job"], seen["pods"], [], departed=seen["departed"])
    assert facts.outcome is not None
    assert (facts.state, facts.reason) == ("failed", reason)
    assert (facts.outcome.exit_code, facts.container_started) == (exit_code, container_started)
    assert facts.outcome.executed is None


@pytest.mark.parametrize("name", [name for name, seen in SEEN.items() if seen["departed"]])
def test_without_the_memory_of_a_pod_nothing_is_claimed_of_it(name: str) -> None:
    facts = read_job(SEEN[name]["job"], [], [])
    assert facts.container_started is None
    assert facts.reason in ("Evicted", "DeadlineExceeded")
