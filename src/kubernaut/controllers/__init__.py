"""The loops: watch, queue, observe, decide (in `planning`), apply; finalizers, retention, leadership, health.

Belongs here: gathering facts, carrying out changes, and what wakes whom. Does not belong here: any decision
(`planning`), what a Job looks like (`engines`), how requests are sent (`cluster`).
"""

from kubernaut.controllers.controller import Controller, ControllerSettings, LeadershipSettings
from kubernaut.controllers.serve import serve

__all__ = ["Controller", "ControllerSettings", "LeadershipSettings", "serve"]
