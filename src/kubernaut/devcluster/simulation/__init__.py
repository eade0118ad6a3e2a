"""The flight simulator's workloads: programs that only pretend, by a small documented model.

Belongs here: the model (`model`, pure), and the runtime that plays it on a node (`runtime`). Does not belong here:
what the API server does wrong on demand (`faults`), and how a node runs pods (`node`).
"""
