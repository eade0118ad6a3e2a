"""The runtime of a node whose time is not real."""

from kubernaut.devcluster.node.logs import ContainerLog
from kubernaut.devcluster.node.runtime import ContainerSpec, Running, StartRefused
from kubernaut.devcluster.objects import Object


class NoProcesses:
    """Refuses processes, which keep real time; simulated and scripted containers never come here."""

    name = "none"
    notice = ""

    def start_delay(self, pod: Object) -> float:
        return 0.0

    async def start(self, spec: ContainerSpec, log: ContainerLog) -> Running:
        raise StartRefused("processes keep real time: none can run in a cluster whose time is virtual")
