"""Running an action that somebody writes, here and now: the runner's protocol without a pod around it."""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from kubernaut.api import names
from kubernaut.api.contract import ContractSpec
from kubernaut.api.duration import from_duration
from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.manifests import read_manifests
from kubernaut.cli.options import EXECUTION_NAMESPACE, Where
from kubernaut.cli.output import Json
from kubernaut.cli.packages import Package, SdkPackage
from kubernaut.cli.terminal import Terminal
from kubernaut.cluster import Cluster, NotFound, apply_manifests, kinds
from kubernaut.devcluster import DevCluster
from kubernaut.devcluster.node.machinery import Machinery
from kubernaut.sdk.entrypoint import run_process
from kubernaut.testing.trial import keys_of, write_files

_REFUSED = frozenset({64, 65, 66, 75})
"""Exit codes of the runner after which nothing was changed."""


@dataclass(frozen=True)
class Asked:
    """What is to be run."""

    package: Package
    contract: ContractSpec
    inputs: Mapping[str, object]
    secrets: Sequence[Json]
    seconds: float | None


class _Change(msgspec.Struct, frozen=True):
    kind: str = ""
    namespace: str = ""
    name: str = ""
    action: str = "change"
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


class _Told(msgspec.Struct, frozen=True):
    """The termination message, as far as it is told on."""

    executed: Literal["yes", "no", "unknown"] = "unknown"
    reason: str = ""
    message: str = ""
    changes: tuple[_Change, ...] = ()


async def run_locally(terminal: Terminal, where: Where, asked: Asked, objects: Sequence[str] | None) -> int:
    """The exit code. `objects`: files to put into a cluster made for this; None takes the one of `where`.

    Standard output is the action's own: rollback information, and the outputs as the last line.
    """
    with tempfile.TemporaryDirectory(prefix="kubernaut-run-") as made:
        folder = Path(made)
        async with _a_cluster(terminal, where, folder, objects) as cluster:
            variables = await _variables(terminal, where, asked, folder, cluster)
            if isinstance(asked.package, SdkPackage):
                code = await run_process(
                    asked.package.load(),
                    variables,
                    sys.stdin,
                    sys.stdout,
                    sys.stderr,
                    connect=lambda: _connection(where, terminal, folder, objects),
                )
            else:
                code = await _run_program(asked, {**variables, **_kubeconfig(where, terminal, folder, objects)})
        _tell(terminal, code, folder / "termination-log")
    return Exit.SUCCEEDED if code == 0 else Exit.REFUSED if code in _REFUSED else Exit.FAILED


@asynccontextmanager
async def _a_cluster(
    terminal: Terminal, where: Where, folder: Path, objects: Sequence[str] | None
) -> AsyncGenerator[Cluster]:
    if objects is None:
        async with _connection(where, terminal, folder, None) as cluster:
            yield cluster
        return
    manifests = [manifest.document for manifest in read_manifests(tuple(objects))] if objects else []
    spaces = {
        EXECUTION_NAMESPACE,
        *(str(one.get("metadata", {}).get("namespace") or "default") for one in manifests),
    }
    machinery = Machinery(folder / "machinery")
    async with DevCluster(folder, hooks=[machinery]), _connection(where, terminal, folder, objects) as cluster:
        wanted = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in sorted(spaces)]
        await apply_manifests(cluster, [*wanted, *map(_placed, manifests)])
        yield cluster


def _placed(manifest: Json) -> Json:
    kind = kinds.kind_of(manifest)
    if not kind.namespaced or manifest["metadata"].get("namespace"):
        return manifest
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": "default"}}


def _connection(where: Where, terminal: Terminal, folder: Path, objects: Sequence[str] | None) -> Cluster:
    if objects is not None:
        return Cluster.connect(folder / "kubeconfig", user="kubernaut-local")
    return Cluster.connect(
        where.kubeconfig, where.context, environment=terminal.environment, user="kubernaut-local"
    )


def _kubeconfig(where: Where, terminal: Terminal, folder: Path, objects: Sequence[str] | None) -> dict[str, str]:
    """For programs that find the cluster themselves."""
    if objects is not None:
        return {"KUBECONFIG": str(folder / "kubeconfig")}
    named = str(where.kubeconfig) if where.kubeconfig else terminal.environment.get("KUBECONFIG", "")
    return {"KUBECONFIG": named} if named else {}


async def _variables(
    terminal: Terminal, where: Where, asked: Asked, folder: Path, cluster: Cluster
) -> dict[str, str]:
    """The runner contract's, as far as it has a meaning here; besides them, those of this process."""
    place = where.namespace_or_default
    log = folder / "termination-log"
    log.touch()
    (folder / "workspace").mkdir()
    given = dict(terminal.environment)
    given |= {
        "ACTION_INPUTS": msgspec.json.encode(asked.inputs).decode(),
        "KUBERNAUT_TERMINATION_LOG": str(log),
        "KUBERNAUT_NAMESPACE": place,
        "KUBERNAUT_DEADLINE_SECONDS": f"{asked.seconds or from_duration(asked.contract.timeout):g}",
        "WORKSPACE_PATH": given.get("WORKSPACE_PATH") or str(folder / "workspace"),
    }
    if asked.secrets:
        values: dict[str, str | bytes] = {}
        for one in asked.secrets:
            reference = one["secretKeyRef"]
            found = await _keys(cluster, "secret", reference["name"], place)
            if reference["key"] not in found:
                raise CommandFailed(
                    f"the Secret {reference['name']} has no key {reference['key']}", code=Exit.REFUSED
                )
            values[one["input"]] = found[reference["key"]]
        given["KUBERNAUT_SECRETS_DIR"] = str(write_files(folder / "secret-inputs", values))
    wanted = [("secret", name) for name in asked.contract.dependencies.secrets]
    wanted += [("configmap", name) for name in asked.contract.dependencies.config_maps]
    for kind, name in wanted:
        variable = names.dependency_variable(kind, name)
        if not given.get(variable):
            keys = await _keys(cluster, kind, name, place)
            given[variable] = str(write_files(folder / f"{kind}-{name}", keys))
    return given


async def _keys(cluster: Cluster, kind: str, name: str, namespace: str) -> dict[str, bytes]:
    try:
        return keys_of(
            await cluster.get(kinds.SECRETS if kind == "secret" else kinds.CONFIG_MAPS, name, namespace)
        )
    except NotFound as error:
        word = "Secret" if kind == "secret" else "ConfigMap"
        variable = names.dependency_variable(kind, name)
        raise CommandFailed(
            f"there is no {word} {name} in namespace {namespace}, and the action needs it",
            mend=f"Make it, or put its keys as files into a folder and set {variable}.",
            code=Exit.REFUSED,
        ) from error


async def _run_program(asked: Asked, variables: Mapping[str, str]) -> int:
    """A program in another language, as this machine can run it."""
    assert not isinstance(asked.package, SdkPackage), "those run in this process"
    recipe, program = asked.package.recipe(), asked.package.program
    command = [str(program) if part == names.ENTRYPOINT_PATH else part for part in recipe.entrypoint]
    sys.stdout.flush()
    try:
        process = await asyncio.create_subprocess_exec(
            *command, env=dict(variables), cwd=asked.package.folder, stdin=asyncio.subprocess.DEVNULL
        )
    except OSError as error:
        raise CommandFailed(
            f"{command[0]} cannot be run here: {error.strerror}", mend="Is it there, and may it be executed?"
        ) from error
    seconds = asked.seconds or from_duration(asked.contract.timeout)
    try:
        async with asyncio.timeout(seconds):
            return await process.wait()
    except TimeoutError:
        raise CommandFailed(f"it did not end within {seconds:g} s", code=Exit.TIMED_OUT) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _tell(terminal: Terminal, code: int, log: Path) -> None:
    text = log.read_bytes() if os.path.getsize(log) else b"{}"
    try:
        told = msgspec.json.decode(text, type=_Told)
    except msgspec.DecodeError:
        told = _Told(message=text.decode(errors="replace").strip())
    for change in told.changes:
        place = f"{change.namespace}/" if change.namespace else ""
        terminal.remark(f"{change.action} {change.kind} {place}{change.name}")
        before, after = change.before or {}, change.after or {}
        for path in sorted({*before, *after}):
            terminal.remark(f"  {path}: {_short(before, path)} -> {_short(after, path)}")
    if code:
        # The message itself stands above: the action has told it on its standard error.
        terminal.remark(f"ended with exit code {code}{f' ({told.reason})' if told.reason else ''}")


def _short(values: Mapping[str, Any], path: str) -> str:
    if path not in values:
        return "(absent)"
    text = msgspec.json.encode(values[path]).decode()
    return text if len(text) <= 60 else f"{text[:59]}…"
