"""Older shapes of our objects, written as today's. Pure: documents in, documents and remarks out.

Nothing is dropped in silence: a field that has no home today is named with its path. The older shapes are those
of the project's design documents of 2025: KubernetesExecution, the WorkflowExecution with numbered steps, the
action registry in a ConfigMap.
"""

from kubernaut.cli.importing.older import NotOlder, Remark, Translation
from kubernaut.cli.importing.shapes import needed_contracts, translate

__all__ = ["NotOlder", "Remark", "Translation", "needed_contracts", "translate"]
