"""Policies in Rego: loading sets of them, asking them in a process of their own, testing and linting them.

Belongs here: everything that knows Rego. What the answers amount to is decided in `planning.policies`; what a
policy may look at stands in `api.policy`. `reading`, `functions`, `faults`, `compiling` and `worker` run inside
the worker process and import the standard library and the engine only.
"""

from kubernaut.safety.rego.engine import EngineFailed, PolicyEngine, RegoEngine, digest_of, judge, to_document
from kubernaut.safety.rego.faults import Fault
from kubernaut.safety.rego.policy_set import (
    PolicySet,
    UnreadableSet,
    from_config_maps,
    from_paths,
    shipped,
    with_library,
)
from kubernaut.safety.rego.process import Limits

__all__ = [
    "EngineFailed",
    "Fault",
    "Limits",
    "PolicyEngine",
    "PolicySet",
    "RegoEngine",
    "UnreadableSet",
    "digest_of",
    "from_config_maps",
    "from_paths",
    "judge",
    "shipped",
    "to_document",
    "with_library",
]
