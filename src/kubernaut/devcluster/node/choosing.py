"""Which way of running containers a machine gets: the strongest that works, or the one that was asked for."""

from typing import Literal

from kubernaut.devcluster.node.bubblewrap import Bubblewrap
from kubernaut.devcluster.node.plain import Plain
from kubernaut.devcluster.node.runtime import Runtime

RuntimeName = Literal["auto", "bubblewrap", "plain"]
RUNTIMES: tuple[RuntimeName, ...] = ("auto", "bubblewrap", "plain")


class RuntimeMissing(Exception):
    """The runtime that was asked for does not work on this machine."""


async def choose_runtime(wanted: RuntimeName = "auto") -> Runtime:
    """Raises RuntimeMissing; never for "auto", since plain processes run everywhere."""
    if wanted == "plain":
        return Plain()
    found = await Bubblewrap.find()
    if found is not None:
        return found
    if wanted == "bubblewrap":
        raise RuntimeMissing("bubblewrap is not installed, or this machine does not let it make sandboxes")
    return Plain()
