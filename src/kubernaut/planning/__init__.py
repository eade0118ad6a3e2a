"""What should happen next: facts in, a turn out. PURE.

Belongs here: phases and their tables, the facts that are looked at, the rules, the changes that follow, plans,
conditions and events as functions of what was decided. Does not belong here: reading or writing anything,
time, chance, evaluators (their verdicts come in as facts).
"""

from kubernaut.planning.action import decide as decide_action
from kubernaut.planning.workflow import decide as decide_workflow
from kubernaut.planning.workflow import steps_to_ask

__all__ = ["decide_action", "decide_workflow", "steps_to_ask"]
