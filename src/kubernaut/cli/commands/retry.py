"""`kubernaut retry`."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import (
    Where,
    cluster_options,
    completed,
    execution_argument,
    in_namespace,
    namespace_option,
    reason_option,
    timeout_option,
    wait_option,
)
from kubernaut.cli.output import Json, part
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    from kubernaut.cluster import Cluster

_NUMBERED = re.compile(r"-retry-(\d+)\Z")
_NOT_KEPT = ("requests", "requester", "retryOf", "rollbackOf")
_MOST_TRIES = 100


@click.command("retry")
@execution_argument("wfe")
@click.option(
    "--from-step",
    default="",
    metavar="STEP",
    help="Run this step again, and all that wait for it, also if they succeeded.",
    shell_complete=completed("steps_of"),
)
@click.option("--again", is_flag=True, help="Also if it has been retried already.")
@click.option("--dry-run", is_flag=True, help="Let the cluster judge it, but change nothing.")
@namespace_option
@reason_option
@wait_option("Follow the new execution to its end; the exit code tells how it ended.")
@timeout_option
@cluster_options
def command(
    name: str,
    from_step: str,
    again: bool,
    dry_run: bool,
    namespace: str | None,
    reason: str,
    wait: bool,
    timeout: float | None,
    kubeconfig: Path | None,
    context: str | None,
) -> int:
    """Run again what did not succeed.

    Makes a new execution, NAME-retry-1 and so on, with the same steps. Steps that succeeded keep their results and
    are not run again, unless --from-step says so. The old execution stays as it is.
    """
    from kubernaut.cli.lookup import parse_workflow
    from kubernaut.cli.session import speak

    where = Where(kubeconfig, context, namespace)
    asked = _Retry(current_terminal(), where, from_step, reason, again=again, dry_run=dry_run)
    return speak(asked.carry_out(parse_workflow(name, "retried"), wait=wait and not dry_run, seconds=timeout))


class _Retry:
    def __init__(
        self, terminal: Terminal, where: Where, from_step: str, reason: str, *, again: bool, dry_run: bool
    ) -> None:
        self._terminal = terminal
        self._where = where
        self._from_step = from_step
        self._reason = reason
        self._again = again
        self._dry_run = dry_run
        self._place = in_namespace(where.namespace_or_default)

    async def carry_out(self, name: str, *, wait: bool, seconds: float | None) -> int:
        from kubernaut.cli.following import follow
        from kubernaut.cli.linting import catalogue_of, refuse_document
        from kubernaut.cli.session import connected, fetch
        from kubernaut.cluster import kinds

        kind, namespace = kinds.WORKFLOW_EXECUTIONS, self._where.namespace_or_default
        async with connected(self._where, self._terminal) as cluster:
            earlier = await fetch(cluster, kind, name, namespace)
            self._check(earlier)
            body = self._body(earlier)
            catalogue = await catalogue_of(cluster)
            if catalogue is not None:
                refuse_document(body, catalogue)
            created = await self._create(cluster, body, name)
            new = str(created["metadata"]["name"])
            suffix = " (dry run)" if self._dry_run else ""
            self._terminal.say(f"{new} created, a retry of {name}{suffix}")
            return await follow(self._terminal, cluster, kind, new, namespace, seconds) if wait else Exit.SUCCEEDED

    def _check(self, earlier: Json) -> None:
        """What only the cluster would refuse after it was created. Raises CommandFailed."""
        from kubernaut.cli.advice import has_ended, phase_of, unknown_steps

        name = earlier["metadata"]["name"]
        unknown = [step["name"] for step in unknown_steps(earlier)]
        if unknown:
            raise CommandFailed(
                f"nobody knows what became of {', '.join(unknown)} of {name}",
                mend=f"Find out, then say so: kubernaut resolve {name} --step {unknown[0]}{self._place}",
                code=Exit.REFUSED,
            )
        if not has_ended(earlier):
            raise CommandFailed(
                f"{name} has not ended yet ({phase_of(earlier)})",
                mend=f"Wait for its end: kubernaut watch {name}{self._place}, "
                f"or stop it: kubernaut cancel {name}{self._place}",
                code=Exit.REFUSED,
            )
        if phase_of(earlier) == "Completed" and not self._from_step:
            raise CommandFailed(
                f"every step of {name} succeeded: there is nothing to run again",
                mend="Name the step to begin with: --from-step STEP",
                code=Exit.REFUSED,
            )

    def _body(self, earlier: Json) -> Json:
        metadata = earlier["metadata"]
        spec = {key: value for key, value in earlier["spec"].items() if key not in _NOT_KEPT}
        spec["retryOf"] = {"name": metadata["name"], "uid": metadata["uid"]}
        if self._from_step:
            spec["retryOf"]["fromStep"] = self._from_step
        if self._reason:
            spec["reason"] = self._reason
        kept = {
            key: {name: value for name, value in part(metadata, key).items() if "kubernaut.ai/" not in name}
            for key in ("labels", "annotations")
        }
        kept["annotations"].pop("kubectl.kubernetes.io/last-applied-configuration", None)
        named = {"name": self._numbered(str(metadata["name"]), 1), "namespace": metadata["namespace"]}
        return {
            "apiVersion": earlier["apiVersion"],
            "kind": earlier["kind"],
            "metadata": named | {key: value for key, value in kept.items() if value},
            "spec": spec,
        }

    def _numbered(self, name: str, step: int) -> str:
        found = _NUMBERED.search(name)
        number = int(found[1]) if found else 0
        suffix = f"-retry-{number + step}"
        return _NUMBERED.sub("", name)[: 63 - len(suffix)].rstrip("-.") + suffix

    async def _create(self, cluster: "Cluster", body: Json, name: str) -> Json:
        """Under the next free name; only with --again under another than the first. Raises CommandFailed."""
        from kubernaut.cli.requests import signed
        from kubernaut.cluster import AlreadyExists, kinds

        body = await signed(cluster, body)
        kind, namespace = kinds.WORKFLOW_EXECUTIONS, body["metadata"]["namespace"]
        for step in range(1, _MOST_TRIES):
            body["metadata"]["name"] = self._numbered(name, step)
            try:
                return await cluster.create(kind, body, namespace, dry_run=self._dry_run)
            except AlreadyExists:
                if not self._again:
                    raise await self._retried(cluster, body["metadata"]["name"], namespace) from None
        raise CommandFailed(
            f"{name} has been retried {_MOST_TRIES - 1} times", mend="Submit it anew: kubernaut run"
        )

    async def _retried(self, cluster: "Cluster", new: str, namespace: str) -> CommandFailed:
        from kubernaut.cli.advice import has_ended, phase_of
        from kubernaut.cli.session import fetch
        from kubernaut.cluster import kinds

        found = await fetch(cluster, kinds.WORKFLOW_EXECUTIONS, new, namespace)
        phase = phase_of(found)
        ended = has_ended(found) and phase != "Completed"
        mend = f"Retry that one: kubernaut retry {new}" if ended else f"Follow that one: kubernaut watch {new}"
        return CommandFailed(
            f"it has been retried already, as {new} ({phase})",
            mend=f"{mend}{self._place}; for another all the same: --again",
            code=Exit.REFUSED,
        )
