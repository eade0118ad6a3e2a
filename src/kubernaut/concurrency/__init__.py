"""How things wait, take turns and end.

Belongs here: time as a value one can pass (`Clock`), the queue that gives every key one turn at a
time, the limiter, the owner of tasks. Knows nothing of Kubernetes: it could be a library of its
own. Does not belong here: what a turn does, and anything that speaks to a network.

This is the only room that reads the time, sleeps or starts tasks.
"""

from kubernaut.concurrency.clock import Clock, SystemClock, VirtualClock, wait_for_event, within
from kubernaut.concurrency.limiter import Limiter
from kubernaut.concurrency.queue import KeyedQueue, QueueClosed
from kubernaut.concurrency.supervision import Supervisor, TaskEnded

__all__ = [
    "Clock",
    "KeyedQueue",
    "Limiter",
    "QueueClosed",
    "Supervisor",
    "SystemClock",
    "TaskEnded",
    "VirtualClock",
    "wait_for_event",
    "within",
]
