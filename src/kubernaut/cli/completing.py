"""What may come next on a command line: commands, options, and names that only the cluster knows.

The names come from the cluster that the line itself names (`--context`, `-n`), else the usual one, and within a
second or not at all: a shell that hangs at the tab key is worse than one that offers nothing.
"""

import os.path
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem, ShellComplete

from kubernaut.cli.terminal import Terminal

if TYPE_CHECKING:
    from kubernaut.cluster import Cluster
    from kubernaut.cluster.connection import Connection

PATIENCE_SECONDS = 1.0
_MOST_NAMES = 500
# How cobra, the library that kubectl is made of, tells the shell what to do: 0 offers files where nothing is
# offered, 4 does not (spf13/cobra, completions.go, ShellCompDirective).
_OFFER_FILES, _NO_FILES = 0, 4

Names = list[tuple[str, str]]
"""Each with a word about it."""
Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def completions(words: Sequence[str], incomplete: str, terminal: Terminal) -> list[CompletionItem]:
    """Everything that may stand after these words and begins with `incomplete`."""
    from kubernaut.cli.app import COMPLETION_VARIABLE, app

    return ShellComplete(app, {"obj": terminal}, "kubernaut", COMPLETION_VARIABLE).get_completions(
        list(words), incomplete
    )


def answer_kubectl(words: Sequence[str], terminal: Terminal | None = None) -> int:
    """Prints what kubectl expects of a `kubectl_complete-` program: a line each, then `:directive`."""
    terminal = terminal or Terminal()
    *before, incomplete = list(words) or [""]
    found = completions(before, incomplete, terminal)
    plain = [item for item in found if item.type == "plain"]
    for item in plain:
        terminal.say(f"{item.value}\t{item.help}" if item.help else str(item.value))
    terminal.say(f":{_NO_FILES if len(plain) == len(found) else _OFFER_FILES}")
    return 0


def executions(*kinds: str) -> Completer:
    """Completes names of executions: plain ones of workflows, `ae/NAME` of single actions."""

    async def ask(cluster: "Cluster", context: click.Context) -> Names:
        from kubernaut.cli.lookup import kind_named, short_name
        from kubernaut.cli.output import value_at

        namespace = _namespace(context)
        found: Names = []
        for word in kinds:
            kind = kind_named(word)
            assert kind is not None, "a developer wrote it"
            listed = await cluster.list(kind, namespace if kind.namespaced else None, limit=_MOST_NAMES)
            prefix = "" if word == kinds[0] else f"{short_name(kind)}/"
            found += [
                (prefix + item["metadata"]["name"], str(value_at(item, "status.phase") or ""))
                for item in listed.items
            ]
        return found

    return _completer(ask)


async def _steps(cluster: "Cluster", context: click.Context) -> Names:
    """Of the execution that stands on the line."""
    from kubernaut.cli.output import parts
    from kubernaut.cluster import kinds

    # Click gives up parsing at an option that lacks its value, and leaves the words where they were.
    loose = [word for word in context.args if not word.startswith("-")]
    name = str(context.params.get("name") or next(iter(loose), "")).removeprefix("wfe/")
    found = await cluster.get(kinds.WORKFLOW_EXECUTIONS, name, _namespace(context))
    return [
        (str(step["name"]), str(step.get("phase") or ""))
        for step in parts(found, "status.steps") or parts(found, "spec.steps")
    ]


async def _action_types(cluster: "Cluster", _: click.Context) -> Names:
    from kubernaut.cluster import kinds

    found = await cluster.list(kinds.ACTION_DEFINITIONS, limit=_MOST_NAMES)
    return [
        (
            str(item["spec"]["actionType"]),
            str(item["spec"]["contract"].get("description") or "").split("\n")[0].split(". ")[0],
        )
        for item in found.items
    ]


async def _namespaces(cluster: "Cluster", _: click.Context) -> Names:
    from kubernaut.cluster import kinds

    found = await cluster.list(kinds.NAMESPACES, limit=_MOST_NAMES)
    return [(str(item["metadata"]["name"]), "") for item in found.items]


def _completer(ask: Callable[["Cluster", click.Context], Any]) -> Completer:
    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        terminal = context.find_object(Terminal) or Terminal()
        if not _may_have_cluster(context, terminal):
            return []
        return [
            CompletionItem(name, help=told or None)
            for name, told in _asked(context, terminal, ask)
            if name.startswith(incomplete)
        ]

    return complete


steps_of = _completer(_steps)
action_types = _completer(_action_types)
namespaces = _completer(_namespaces)


def kinds_and_executions(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The kinds of `get`, and names of the one that stands there already."""
    kinds = {"wfe": "WorkflowExecutions", "ae": "ActionExecutions", "ad": "the catalogue"}
    words: Sequence[str] = context.params.get("words") or ()
    if words:
        return executions(words[0] if words[0] in kinds else "wfe")(context, parameter, incomplete)
    plain = [CompletionItem(word, help=told) for word, told in kinds.items() if word.startswith(incomplete)]
    return plain + executions("wfe")(context, parameter, incomplete)


def contexts(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completes the contexts of the kubeconfig; no cluster is asked."""
    import yaml

    terminal = context.find_object(Terminal) or Terminal()
    names: list[str] = []
    for path in _kubeconfigs(context, terminal):
        try:
            with open(path, encoding="utf-8") as file:
                names += [str(one["name"]) for one in yaml.load(file, yaml.CSafeLoader)["contexts"]]
        except (OSError, yaml.YAMLError, KeyError, TypeError):
            continue
    return [CompletionItem(name) for name in dict.fromkeys(names) if name.startswith(incomplete)]


def _asked(
    context: click.Context, terminal: Terminal, ask: Callable[["Cluster", click.Context], Any]
) -> Iterable[tuple[str, str]]:
    from kubernaut.cluster import ClusterError
    from kubernaut.cluster.finding import find_connection
    from kubernaut.cluster.quick import is_simple

    given = context.params
    try:
        connection = find_connection(given.get("kubeconfig"), given.get("context"), terminal.environment)
        return (_read_quickly if is_simple(connection) else _read)(connection, lambda at: ask(at, context))
    except (ClusterError, TimeoutError, OSError, ValueError):
        return []  # the user asked for a completion, not for a diagnosis


def _read_quickly(connection: "Connection", ask: Callable[["Cluster"], Coroutine[Any, Any, Names]]) -> Names:
    from kubernaut.cluster import Cluster
    from kubernaut.cluster.quick import without_loop

    cluster = Cluster(connection, user="kubernaut-cli", timeout=PATIENCE_SECONDS, quick=True)
    return without_loop(ask(cluster))


def _read(connection: "Connection", ask: Callable[["Cluster"], Coroutine[Any, Any, Names]]) -> Names:
    import asyncio

    from kubernaut.cluster import Cluster

    async def work() -> Names:
        async with asyncio.timeout(PATIENCE_SECONDS), Cluster(connection, user="kubernaut-cli") as cluster:
            return await ask(cluster)

    return asyncio.run(work())


def _namespace(context: click.Context) -> str:
    from kubernaut.cli.options import EXECUTION_NAMESPACE

    return context.params.get("namespace") or EXECUTION_NAMESPACE


def _may_have_cluster(context: click.Context, terminal: Terminal) -> bool:
    """Judged from files: what follows loads an HTTP library."""
    if terminal.environment.get("KUBERNETES_SERVICE_HOST"):
        return True
    return any(os.path.exists(path) for path in _kubeconfigs(context, terminal))


def _kubeconfigs(context: click.Context, terminal: Terminal) -> list[str]:
    if context.params.get("kubeconfig"):
        return [str(context.params["kubeconfig"])]
    named = [path for path in terminal.environment.get("KUBECONFIG", "").split(":") if path]
    return named or [os.path.join(terminal.environment.get("HOME", "/"), ".kube", "config")]
