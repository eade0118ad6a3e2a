"""`kubernaut run` and `kubernaut apply`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import Where, cluster_options, files_option, namespace_option, timeout_option
from kubernaut.cli.output import Json, part
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    from kubernaut.cli.manifests import Manifest
    from kubernaut.cluster import Cluster, ResourceKind


@click.command("run")
@files_option
@namespace_option
@click.option(
    "--wait", is_flag=True, help="Follow what was submitted to its end; the exit code tells how it ended."
)
@timeout_option
@click.option("--again", is_flag=True, help="If there is an execution of that name, submit under a new one.")
@click.option("--dry-run", is_flag=True, help="Let the cluster judge it, but change nothing.")
@cluster_options
def command(
    files: tuple[str, ...],
    namespace: str | None,
    wait: bool,
    timeout: float | None,
    again: bool,
    dry_run: bool,
    kubeconfig: Path | None,
    context: str | None,
) -> int:
    """Submit what stands in files; --wait follows it to its end.

    Executions are created, once: submitting the same file again changes nothing, unless --again is said.
    Other objects (a Deployment to try it on, for example) are applied first, as kubectl apply would.
    """
    from kubernaut.cli.manifests import read_manifests
    from kubernaut.cli.session import speak

    manifests = read_manifests(files)
    if not manifests:
        raise CommandFailed("nothing stands in these files", code=Exit.USAGE)
    terminal = current_terminal()
    submission = _Submission(terminal, Where(kubeconfig, context, namespace), again=again, dry_run=dry_run)
    return speak(submission.carry_out(manifests, wait=wait and not dry_run, seconds=timeout))


class _Submission:
    def __init__(self, terminal: Terminal, where: Where, *, again: bool, dry_run: bool) -> None:
        self._terminal = terminal
        self._where = where
        self._again = again
        self._dry_run = dry_run

    async def carry_out(self, manifests: "list[Manifest]", *, wait: bool, seconds: float | None) -> int:
        from kubernaut.cli.following import follow
        from kubernaut.cli.lookup import kind_named
        from kubernaut.cli.session import connected, require_installation
        from kubernaut.cluster import kinds

        executions = (kinds.WORKFLOW_EXECUTIONS, kinds.ACTION_EXECUTIONS)
        ours = [(kind_named(manifest.kind), manifest) for manifest in manifests]
        async with connected(self._where, self._terminal) as cluster:
            others = [manifest for kind, manifest in ours if kind not in executions]
            if others:
                await self._apply(cluster, others)
            if len(others) == len(manifests):
                return Exit.SUCCEEDED
            await require_installation(cluster)
            await self._judge(cluster, manifests)
            submitted = [
                (kind, await self._submit(cluster, kind, manifest))
                for kind, manifest in ours
                if kind is not None and kind in executions
            ]
            if not wait:
                return Exit.SUCCEEDED
            codes = [
                await follow(self._terminal, cluster, kind, found["metadata"]["name"], _namespace(found), seconds)
                for kind, found in submitted
            ]
        return next((code for code in codes if code is not Exit.SUCCEEDED), Exit.SUCCEEDED)

    async def _judge(self, cluster: "Cluster", manifests: "list[Manifest]") -> None:
        """The door's verdict before anything is created. Raises CommandFailed."""
        from kubernaut.cli.foreign import Foreign, read_foreign
        from kubernaut.cli.linting import catalogue_of, faults_in, refuse_faults

        catalogue = await catalogue_of(cluster)
        if catalogue is None:
            return
        found = await read_foreign(self._terminal, manifests, catalogue)
        for image, fault in found.unreadable.items():
            # The controller may stand nearer to that registry, or have another login.
            self._terminal.remark(f"{image}: {fault.message}; the controller looks for itself")
        foreign = Foreign(found.contracts)
        refuse_faults(self._terminal, faults_in(manifests, catalogue, is_offline=True, foreign=foreign))

    async def _apply(self, cluster: "Cluster", manifests: "list[Manifest]") -> None:
        from kubernaut.cluster import apply_manifests

        try:
            applied = await apply_manifests(
                cluster,
                [self._placed(manifest.document) for manifest in manifests],
                field_manager="kubernaut-cli",
                dry_run=self._dry_run,
            )
        except KeyError as error:
            raise CommandFailed(
                str(error.args[0]), mend="Apply objects of other kinds with: kubectl apply -f", code=Exit.REFUSED
            ) from None
        for kind, _, name, change in applied:
            self._terminal.say(f"{kind.kind.lower()}/{name} {change}{self._suffix}")

    async def _submit(self, cluster: "Cluster", kind: "ResourceKind", manifest: "Manifest") -> Json:
        from kubernaut.cli.requests import signed
        from kubernaut.cli.session import create
        from kubernaut.cluster import AlreadyExists

        body = await signed(cluster, self._placed(manifest.document))
        namespace = _namespace(body)
        try:
            created = await create(cluster, kind, body, namespace, dry_run=self._dry_run)
        except AlreadyExists:
            if self._again:
                name = {"generateName": f"{manifest.name}-"}
                metadata = {key: value for key, value in body["metadata"].items() if key != "name"} | name
                created = await cluster.create(
                    kind, {**body, "metadata": metadata}, namespace, dry_run=self._dry_run
                )
            else:
                return await self._the_same(cluster, kind, body)
        self._tell(kind, created, "created")
        return created

    async def _the_same(self, cluster: "Cluster", kind: "ResourceKind", body: Json) -> Json:
        """The execution that is there already. Raises CommandFailed if it asks for something else."""
        name, namespace = str(body["metadata"]["name"]), _namespace(body)
        # A dry run of the same text would fill in the same defaults, so that only real differences differ.
        found = await cluster.get(kind, name, namespace)
        asked = await cluster.create(
            kind,
            {**body, "metadata": {"generateName": f"{name}-", "namespace": namespace}},
            namespace,
            dry_run=True,
        )
        if _asked_for(found) != _asked_for(asked):
            raise CommandFailed(
                f"{kind.kind} {name!r} in namespace {namespace} is there already and asks for something else",
                mend="Submit under a new name with --again, or delete the old one.",
                code=Exit.REFUSED,
            )
        self._tell(kind, found, "unchanged")
        return found

    def _placed(self, document: Json) -> Json:
        """With the namespace that it will live in. Raises CommandFailed where file and option disagree."""
        from kubernaut.cli.lookup import kind_named

        metadata = part(document, "metadata")
        said, asked = metadata.get("namespace"), self._where.namespace
        if said and asked and said != asked and kind_named(str(document.get("kind"))) is not None:
            raise CommandFailed(
                f"the file says namespace {said}, the command line {asked}", mend="Leave out -n.", code=Exit.USAGE
            )
        namespace = said or self._where.namespace_or_default
        return {**document, "metadata": {**metadata, "namespace": namespace}}

    def _tell(self, kind: "ResourceKind", found: Json, change: str) -> None:
        self._terminal.say(f"{kind.kind.lower()}/{found['metadata']['name']} {change}{self._suffix}")

    @property
    def _suffix(self) -> str:
        return " (dry run)" if self._dry_run else ""


def _asked_for(found: Json) -> Json:
    """The spec without what operators and admission add to a stored one."""
    return {key: value for key, value in found["spec"].items() if key not in ("requests", "requester")}


def _namespace(found: Json) -> str:
    return str(found["metadata"]["namespace"])
