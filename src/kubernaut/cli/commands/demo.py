"""`kubernaut demo`."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import EXECUTION_NAMESPACE, verbose
from kubernaut.cli.output import Json, format_table, part, parts, span, took, value_at
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    from kubernaut.cluster import Cluster

TARGET = ("production", "payment-service")


class Scene(NamedTuple):
    """One remediation of the demo."""

    file: str
    title: str
    phase: str
    """How it ends when everything is as it should be."""


SCENES = (
    Scene("scale.yaml", "One action: more replicas", "Completed"),
    Scene("restart-and-scale.yaml", "Two actions at once, then one that needs both", "Completed"),
    Scene("five-steps.yaml", "A failure, a retry, a condition, `finally`", "PartiallyCompleted"),
)


@click.command("demo")
@verbose
def command() -> int:
    """Run three remediations on a cluster inside this process.

    They change a Deployment for real: an API server, its controllers and a node run here, and actions are
    processes with their own accounts and permissions. Nothing is left behind.
    """
    from kubernaut.cli.session import speak
    from kubernaut.telemetry import set_up_logging

    terminal = current_terminal()
    set_up_logging("info" if terminal.verbose else "error", "console")
    with tempfile.TemporaryDirectory(prefix="kubernaut-demo-") as folder:
        return speak(_play(terminal, Path(folder)))


async def _play(terminal: Terminal, folder: Path) -> int:
    from kubernaut.cli.examples import example
    from kubernaut.cli.home import home
    from kubernaut.cli.manifests import read_manifests
    from kubernaut.concurrency import SystemClock

    clock = SystemClock()
    began = clock.monotonic()
    patient = [manifest.document for manifest in read_manifests((str(example("payment-service.yaml")),))]
    async with home(terminal, folder, before=patient, targets=[TARGET[0]]) as place:
        terminal.say(
            f"A cluster is up at {place.server.url} after {span(clock.monotonic() - began)}; "
            f"actions run in {place.runtime}."
        )
        await _wait_until_settled(place.cluster)
        rows: list[list[str]] = []
        for scene in SCENES:
            rows.append(await _play_scene(terminal, place.cluster, scene, example(scene.file)))
        terminal.say()
        terminal.say(format_table(terminal, ["Remediation", "Ended", "Took", "Before", "After"], rows))
    terminal.say()
    terminal.say(f"All of it in {span(clock.monotonic() - began)}. Where to look next:")
    for line in (
        "kubernaut dev up                              a cluster like this one that stays",
        "kubernaut run -f examples/scale.yaml --wait   the same files, on any Kubernetes",
        "kubernaut lint examples/                      what the door would say",
        "examples/  README.md  docs/cli.md",
    ):
        terminal.say(f"  {line}")
    return Exit.SUCCEEDED


async def _play_scene(terminal: Terminal, cluster: "Cluster", scene: Scene, file: Path) -> list[str]:
    from kubernaut.cli.following import follow
    from kubernaut.cli.manifests import read_manifests
    from kubernaut.cluster import kinds

    (manifest,) = read_manifests((str(file),))
    kind, name = kinds.WORKFLOW_EXECUTIONS, manifest.name
    terminal.say()
    terminal.say(f"{scene.title} ({file.name})")
    before = await _standing(cluster)
    await cluster.create(kind, manifest.document, EXECUTION_NAMESPACE)
    await follow(terminal, cluster, kind, name, EXECUTION_NAMESPACE, 60.0)
    found = await cluster.get(kind, name, EXECUTION_NAMESPACE)
    phase = str(value_at(found, "status.phase"))
    if phase != scene.phase:
        raise CommandFailed(f"{name} ended {phase}, not {scene.phase}: {_why(found)}")
    await _wait_until_settled(cluster)
    duration = took(value_at(found, "status.startedAt"), value_at(found, "status.completedAt"))
    return [name, phase, duration, before, await _standing(cluster)]


def _why(found: Json) -> str:
    told = [
        f"{step['name']} {step.get('reason', '')}" for step in parts(found, "status.steps") if step.get("reason")
    ]
    return "; ".join(told) or str(value_at(found, "status.message") or "no reason was given")


async def _standing(cluster: "Cluster") -> str:
    """The patient in a few words."""
    from kubernaut.cluster import kinds

    found = await cluster.get(kinds.DEPLOYMENTS, TARGET[1], TARGET[0])
    (container,) = parts(found, "spec.template.spec.containers")
    memory = part(container, "resources.limits").get("memory", "no limit")
    ready = value_at(found, "status.readyReplicas") or 0
    return f"{ready}/{value_at(found, 'spec.replicas')} ready, {memory}"


async def _wait_until_settled(cluster: "Cluster") -> None:
    """Until the patient has the replicas it asks for, all of them ready and new."""
    from contextlib import aclosing

    from kubernaut.cli.session import versions_of
    from kubernaut.cluster import kinds

    async with aclosing(versions_of(cluster, kinds.DEPLOYMENTS, TARGET[1], TARGET[0])) as versions:
        async for found in versions:
            status = part(found, "status")
            wanted = value_at(found, "spec.replicas")
            counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")]
            seen = status.get("observedGeneration") == value_at(found, "metadata.generation")
            if seen and counts == [wanted] * 3:
                return
