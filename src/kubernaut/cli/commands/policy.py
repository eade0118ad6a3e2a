"""`kubernaut policy`: its table of subcommands; each is a module `policy_<name>` of this folder."""

import click

from kubernaut.cli.lazy import Entry, LazyGroup

_WRITE, _LOOK = "Write policies", "Look at policies"

POLICIES = (
    Entry("test", _WRITE, "Run the tests of policies.", module="policy_test"),
    Entry("eval", _WRITE, "Judge an input document, and tell which rule decides.", module="policy_eval"),
    Entry("lint", _WRITE, "Check policies as a cluster would before taking them.", module="policy_lint"),
    Entry("show", _LOOK, "Show the shipped policies, or those of a cluster.", module="policy_show"),
)


@click.group("policy", cls=LazyGroup, entries=POLICIES)
def command() -> None:
    """Write, test and look at policies in Rego."""
