"""Options that commands share, spelled as kubectl spells them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kubernaut.cli.terminal import Terminal

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

F = TypeVar("F", bound=Callable[..., Any])

EXECUTION_NAMESPACE = "kubernaut-workflows"
"""Where executions live unless somebody says otherwise; `deploy/` makes it."""
SYSTEM_NAMESPACE = "kubernaut-system"
"""Where the controller lives."""


@dataclass(frozen=True)
class Where:
    """Which cluster, and which namespace of it."""

    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str | None = None
    as_user: str = ""
    as_groups: tuple[str, ...] = ()

    @property
    def namespace_or_default(self) -> str:
        return self.namespace or EXECUTION_NAMESPACE


def in_namespace(namespace: str) -> str:
    """What to add to a command line that is shown, so that it means this namespace."""
    return "" if namespace in ("", EXECUTION_NAMESPACE) else f" -n {namespace}"


def verbose(function: F) -> F:
    """`-v`: sets the terminal's, wherever on the line it stands."""

    def note(context: click.Context, _: click.Parameter, value: bool) -> None:
        terminal = context.find_object(Terminal)
        if value and terminal is not None:
            terminal.verbose = True

    return click.option(
        "-v", "--verbose", is_flag=True, expose_value=False, callback=note, help="Tell more; errors in full."
    )(function)


def cluster_options(function: F) -> F:
    """`--kubeconfig`, `--context` and `-v`; a command gets `kubeconfig` and `context`."""
    function = verbose(function)
    function = click.option(
        "--context", help="Context of the kubeconfig to use.", shell_complete=completed("contexts")
    )(function)
    return click.option(
        "--kubeconfig",
        type=click.Path(path_type=Path),
        help="Kubeconfig file. Default: $KUBECONFIG, the pod's own account, ~/.kube/config.",
    )(function)


def impersonation_options(function: F) -> F:
    """`--as` and `--as-group`; a command gets `as_user` and `as_groups`."""
    function = click.option(
        "--as-group", "as_groups", multiple=True, metavar="GROUP", help="A group of that user; may be repeated."
    )(function)
    return click.option(
        "--as", "as_user", default="", metavar="USER", help="Speak as this user, if the cluster lets you."
    )(function)


def namespace_option(function: F) -> F:
    """`-n`; a command gets `namespace`, None when not said."""
    return click.option(
        "-n",
        "--namespace",
        help=f"Namespace of the executions. Default: {EXECUTION_NAMESPACE}.",
        shell_complete=completed("namespaces"),
    )(function)


def all_namespaces_option(function: F) -> F:
    """`-A`; a command gets `everywhere`."""
    return click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="Of all namespaces.")(function)


def selector_option(function: F) -> F:
    """`-l`; a command gets `selector`."""
    return click.option("-l", "--selector", default="", help="Only those with these labels: a=b,c!=d,e.")(function)


def execution_argument(*kinds: str, parameter: str = "name") -> Callable[[F], F]:
    """The NAME of an execution of one of these kinds (`wfe`, `ae`, `ad`), completed from the cluster."""
    return click.argument(parameter, metavar="NAME", shell_complete=completed("executions", *kinds))


def completed(
    how: str, *arguments: str
) -> Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]:
    """A completer of `completing` by name: that room is loaded at the tab key and not before."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem]":
        from kubernaut.cli import completing

        completer = getattr(completing, how)
        if arguments:
            completer = completer(*arguments)
        found: list[CompletionItem] = completer(context, parameter, incomplete)
        return found

    return complete


def output_option(*formats: str) -> Callable[[F], F]:
    """`-o`; a command gets `output`. The first format is the default."""

    def decorate(function: F) -> F:
        return click.option(
            "-o",
            "--output",
            type=click.Choice(formats),
            default=formats[0],
            show_default=True,
            help="How to print.",
        )(function)

    return decorate


def files_option(function: F) -> F:
    """`-f`, repeatable; a command gets `files`."""
    return click.option(
        "-f",
        "--file",
        "files",
        multiple=True,
        required=True,
        metavar="FILE",
        shell_complete=offered_files,
        help="YAML or JSON file, folder of such, or - for standard input. Repeatable.",
    )(function)


def offered_files(_: click.Context, __: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Has the shell offer its files, for words that are no `click.Path`: `-`, or an image, may stand there too."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


class Duration(click.ParamType[float]):
    """Seconds, from `90`, `90s`, `5m` or `1h30m`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from kubernaut.api.duration import from_duration

        if isinstance(value, int | float):
            return float(value)
        try:
            return float(value) if value.isdecimal() else from_duration(value)
        except ValueError:
            self.fail(f"{value!r} is no duration; write for example 90s, 5m or 1h30m", param, ctx)


def timeout_option(function: F) -> F:
    """`--timeout`; a command gets `timeout`, seconds or None."""
    return click.option(
        "--timeout", type=Duration(), help="Stop waiting after this long (5m, 90s); the execution itself goes on."
    )(function)


def wait_option(help: str) -> Callable[[F], F]:  # noqa: A002  as click calls it
    """`--wait`; a command gets `wait`."""
    return click.option("--wait", is_flag=True, help=help)


def reason_option(function: F) -> F:
    """`--reason`; a command gets `reason`."""
    return click.option("--reason", default="", help="Why; stays on the record.")(function)


def settings_options(function: F) -> F:
    """`--settings`, `--set` and `--preset`; a command gets `file`, `assignments` and `preset`."""
    function = click.option(
        "--preset", type=click.Choice(["small", "medium", "large"]), help="Limits fit for a cluster's size."
    )(function)
    function = click.option(
        "--set", "assignments", multiple=True, metavar="PATH=VALUE", help="One setting. Repeatable."
    )(function)
    return click.option("--settings", "file", type=click.Path(path_type=Path), help="YAML file of settings.")(
        function
    )
