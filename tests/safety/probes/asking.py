"""Asking one probe as a controller would."""

from collections.abc import Mapping
from typing import Any

import msgspec

from kubernaut.admission.probes import check_probes, read_probes
from kubernaut.api.probes import Probe
from kubernaut.concurrency import Clock, SystemClock
from kubernaut.planning.probes import Observation
from kubernaut.safety.probes import Evaluator, Matter, Panel, check_place
from kubernaut.safety.probes.evidence import MOST_BYTES


def read(**fields: Any) -> Probe:
    """A probe as a file would hold it; what a file may not hold is a mistake of the test."""
    found, faults = read_probes({"probes": [{"name": "it", **fields}]})
    assert faults == []
    assert found is not None
    assert check_probes(found, check_place) == []
    return found.probes[0]


def faults_of(**fields: Any) -> str:
    """What is wrong with such a probe."""
    found, faults = read_probes({"probes": [{"name": "it", **fields}]})
    if found is not None:
        faults = check_probes(found, check_place)
    return "\n".join(map(str, faults))


async def ask(
    evaluators: Mapping[str, Evaluator], probe: Probe, matter: Matter | None = None, *, clock: Clock | None = None
) -> Observation:
    """One look, of which what is kept is small."""
    seen = await Panel(evaluators, clock or SystemClock(), 1.5).look(probe, matter or Matter())
    assert len(msgspec.json.encode(seen.evidence)) <= MOST_BYTES
    return seen
