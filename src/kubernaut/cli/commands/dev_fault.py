"""`kubernaut dev fault`: what goes wrong in the cluster of `kubernaut dev up`."""

from typing import TYPE_CHECKING, Any, cast

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import verbose
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS = {
    "latency": "answers come later, by --seconds",
    "conflict": "writes are refused with 409",
    "too-many": "requests are refused with 429, to come back after --seconds",
    "error": "requests are refused with 500",
    "unavailable": "requests are refused with 503",
    "lost-answer": "writes are done, and their answer is lost",
    "broken-watch": "watches break after --seconds",
    "stale-watch": "watches tell what has happened later, by --seconds",
    "gone": "watches are refused with 410",
    "restart": "the server is away for --seconds, and all its connections break",
    "node-death": "the node loses its power, with all its pods",
    "clock-jump": "the server's and the nodes' time of day jumps by --seconds",
}


@click.group("fault")
def fault() -> None:
    """Break the cluster on purpose: add faults, list and clear them."""


@fault.command("add", epilog="Kinds: " + "; ".join(f"{kind}: {text}" for kind, text in KINDS.items()) + ".")
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.option("--user", "users", multiple=True, metavar="NAME", help="Only requests of this user.")
@click.option("--verb", "verbs", multiple=True, metavar="VERB", help="Only these: get, create, patch, watch...")
@click.option("--resource", "resources", multiple=True, metavar="NAME", help="Only these: pods, jobs.batch...")
@click.option("--chance", type=click.FloatRange(0, 1), help="Of each request. Default: 1.")
@click.option("--times", type=click.IntRange(1), help="At most so many requests.")
@click.option("--seconds", type=float, help="How long, or how far, it is. Default: 1.")
@click.option("--lasts", "lasts_seconds", type=click.FloatRange(0), help="Seconds after which it is gone.")
@click.option("--node", help="For node-death; the only node by default.")
@verbose
def add(kind: str, **wanted: Any) -> None:
    """Add a fault; it stays until it is cleared or used up."""
    names = {"lasts_seconds": "lastsSeconds"}
    given = {names.get(key, key): value for key, value in wanted.items() if value not in (None, ())}
    _add(current_terminal(), [{"kind": kind, **given}])


@fault.command("storm")
@click.argument("seed", type=click.IntRange(0))
@verbose
def storm(seed: int) -> None:
    """Add a mixture of faults that pass by themselves; the same for the same seed."""
    import msgspec

    from kubernaut.devcluster.faults import storm as mixture

    _add(current_terminal(), msgspec.to_builtins(mixture(seed)), f"?seed={seed}")


@fault.command("list")
@verbose
def list_() -> None:
    """List the faults that are in force."""
    from kubernaut.cli.output import format_table
    from kubernaut.devcluster.faults import PATH

    terminal = current_terminal()
    found = _ask(terminal, "GET", PATH)["faults"]
    if not found:
        terminal.say("nothing is broken")
        return
    rows = [[str(one["number"]), one["fault"]["kind"], _told(one), str(one["left"] or "")] for one in found]
    terminal.say(format_table(terminal, ["Number", "Kind", "For", "Times left"], rows))


@fault.command("clear")
@click.argument("number", type=click.IntRange(1), required=False)
@verbose
def clear(number: int | None) -> None:
    """Clear one fault, or all of them."""
    from kubernaut.devcluster.faults import PATH

    terminal = current_terminal()
    _ask(terminal, "DELETE", f"{PATH}?number={number}" if number else PATH)
    terminal.say(f"fault {number} is cleared" if number else "nothing is broken any more")


def _told(one: dict[str, Any]) -> str:
    return ", ".join(
        f"{key} {' '.join(map(str, cast('list[object]', value))) if isinstance(value, list) else value}"
        for key, value in one["fault"].items()
        if key not in ("kind", "times")
    )


def _add(terminal: Terminal, faults: "Sequence[Any]", query: str = "") -> None:
    from kubernaut.devcluster.faults import PATH

    numbers = _ask(terminal, "POST", PATH + query, faults)["added"]
    for number, one in zip(numbers, faults, strict=True):
        terminal.say(f"fault {number}: {one['kind']}, {KINDS[one['kind']]}")


def _ask(terminal: Terminal, method: str, path: str, body: object = None) -> dict[str, Any]:
    from kubernaut.cli.commands.dev import kubeconfig_of
    from kubernaut.cli.session import speak
    from kubernaut.cluster import Cluster

    kubeconfig = kubeconfig_of(terminal)
    if not kubeconfig.is_file():
        raise CommandFailed("no cluster is up", mend="Start one with: kubernaut dev up", code=Exit.UNREACHABLE)

    async def asked() -> dict[str, Any]:
        async with Cluster.connect(kubeconfig, user="kubernaut-dev") as cluster:
            return await cluster.request(method, path, body)

    return speak(asked())
