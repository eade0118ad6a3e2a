"""`kubernaut action`: its table of subcommands; each is a module `action_<name>` of this folder."""

import click

from kubernaut.cli.lazy import Entry, LazyGroup

_RUN = "At a cluster"

ACTIONS = (
    Entry("run", _RUN, "Run one action, without a workflow around it.", module="action_run"),
    Entry("list", _RUN, "List the single actions that were run.", module="action_list"),
)


@click.group("action", cls=LazyGroup, entries=ACTIONS)
def command() -> None:
    """Run single actions, and write your own."""
