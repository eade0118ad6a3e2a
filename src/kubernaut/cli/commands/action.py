"""`kubernaut action`: its table of subcommands; each is a module `action_<name>` of this folder."""

import click

from kubernaut.cli.lazy import Entry, LazyGroup

_RUN, _WRITE = "At a cluster", "Write your own"

ACTIONS = (
    Entry("run", _RUN, "Run one action, without a workflow around it.", module="action_run"),
    Entry("list", _RUN, "List the single actions that were run.", module="action_list"),
    Entry("init", _WRITE, "Begin an action of your own.", module="action_init"),
    Entry("lint", _WRITE, "Check an action that you write.", module="action_lint"),
    Entry("contract", _WRITE, "Print the contract of an action, or compare two.", module="action_contract"),
    Entry("prove", _WRITE, "Show that an action declares just the permissions it uses.", module="action_prove"),
    Entry("build", _WRITE, "Build the image of an action that you write.", module="action_build"),
    Entry("install", _WRITE, "Put an action of your own into a cluster's catalogue.", module="action_install"),
)


@click.group("action", cls=LazyGroup, entries=ACTIONS)
def command() -> None:
    """Run single actions, and write your own."""
