"""The node: runs pods, really or in play, and says what became of them.

Belongs here: the scheduler, images and their folders, runtimes, the life of pods and containers,
their logs and status. Does not belong here: what creates pods (`workloads`), the API (`rest`).

Three ways to run a container, chosen by its image: registered action images as real processes
(`bubblewrap`, else `plain`); images with a script (`scripted`, tests only); all others are
`simulated`.
"""

from kubernaut.devcluster.node.logs import LogQuery
from kubernaut.devcluster.node.node import Node, NodeSettings
from kubernaut.devcluster.node.plain import Plain
from kubernaut.devcluster.node.scripted import ScriptResult, ScriptStart
from kubernaut.devcluster.node.volumes import Account

__all__ = ["Account", "LogQuery", "Node", "NodeSettings", "Plain", "ScriptResult", "ScriptStart"]
