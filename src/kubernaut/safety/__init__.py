"""Evaluators: they answer a question about a run and decide nothing.

Belongs here: CEL conditions (`when`), Rego policies, probes (CEL on objects, PromQL, HTTP); later dry-run
differences. What they return are verdicts, data that decisions look at. Does not belong here: what follows from a
verdict (`planning`), and what is refused at the door (`admission`).
"""

from kubernaut.safety.cel import check_cel, evaluate_when

__all__ = ["check_cel", "evaluate_when"]
