"""Probes: looking once at objects, at Prometheus, at an HTTP address, at an action's outputs.

Belongs here: what one look finds, and why. Does not belong here: what looks over time amount to
(`planning.probes`), and what is refused in a file of probes (`admission.probes`).

No look raises because of what it looked at: whatever could not be answered is `inconclusive`, never passed.
"""

from kubernaut.safety.probes.asking import Evaluator, Matter, Panel
from kubernaut.safety.probes.expressions import check_place
from kubernaut.safety.probes.making import Sources, panel_of
from kubernaut.safety.probes.templates import shipped_probes

__all__ = ["Evaluator", "Matter", "Panel", "Sources", "check_place", "panel_of", "shipped_probes"]
