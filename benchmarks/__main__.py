"""The command line of the benchmarks."""

import asyncio
import json
import os
import platform
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from kubernaut.cluster import Cluster

from .commands import measure_action, measure_commands, measure_watch
from .place import Target, installed
from .pods import measure_pods
from .processes import embedded_cluster
from .shapes import chain
from .suites import (
    Result,
    load_average,
    measure_embedded,
    measure_live,
    measure_overhead,
    measure_rate,
    measure_writes,
)
from .table import table

SUITES = ("writes", "overhead", "rate", "live", "watch", "embedded", "pods", "commands", "action")
_WITHOUT_TARGET = {"embedded", "pods", "commands", "action"}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("suites", nargs=-1, type=click.Choice(SUITES))
@click.option("--kubeconfig", type=click.Path(path_type=Path, exists=True), help="A cluster with fake nodes.")
@click.option("--namespace-label", metavar="KEY=VALUE", help="What makes pods of a namespace go to fake nodes.")
@click.option("--runs", default=60, show_default=True, help="Runs of each rate.")
@click.option("--live", default=1000, show_default=True, help="Live runs whose memory is measured.")
@click.option("--preset", "presets", multiple=True, type=click.Choice(["default", "large"]), help="Only this one.")
@click.option("--chain", "lengths", multiple=True, type=int, help="Only chains of this length in rates.")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="For the controller, in rates.")
@click.option("--also", "others", multiple=True, metavar="NAME", help="Processes here whose CPU counts, in rates.")
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON instead of a table.")
def main(
    suites: tuple[str, ...],
    kubeconfig: Path | None,
    namespace_label: str | None,
    runs: int,
    live: int,
    presets: tuple[str, ...],
    lengths: tuple[int, ...],
    settings: tuple[str, ...],
    others: tuple[str, ...],
    as_json: bool,
) -> None:
    """Measure kubernaut: on an embedded cluster, or on one whose pods go to fake nodes.

    Fake nodes must end pods with exit code 0 and the termination message {"v":1,"executed":"yes","outputs":{}},
    at once. Every measurement makes a namespace and removes it; kinds that were missing go again too. The `live`
    and `watch` suites need pods that stay, `embedded`, `pods` and `action` measure on embedded clusters of their
    own: leave --kubeconfig out there.
    """
    label: tuple[str, str] | None = None
    if namespace_label is not None:
        key, equals, value = namespace_label.partition("=")
        if not equals:
            raise click.BadParameter("is not KEY=VALUE", param_hint="--namespace-label")
        label = key, value
    wanted = suites or (SUITES if kubeconfig is None else ("writes", "overhead", "rate"))
    rates = [(length, preset) for length in lengths or (1, 3) for preset in presets or ("default", "large")]
    answer = asyncio.run(_measure(wanted, kubeconfig, label, runs, live, rates, settings, others, quiet=as_json))
    click.echo(json.dumps(answer, indent=2) if as_json else _shown(answer))


async def _measure(
    suites: tuple[str, ...],
    kubeconfig: Path | None,
    label: tuple[str, str] | None,
    runs: int,
    live: int,
    rates: list[tuple[int, str]],
    settings: tuple[str, ...],
    others: tuple[str, ...],
    *,
    quiet: bool,
) -> dict[str, Any]:
    results: list[Result] = []
    version = ""

    def keep(found: list[Result]) -> None:
        for result in found:
            result["load_average"] = load_average()
            results.append(result)
            if not quiet:
                click.echo("\n".join(table([result]).splitlines()[2:]), err=True)

    if "embedded" in suites:
        keep(await measure_embedded(500))
    if "pods" in suites:
        keep(await measure_pods(1000))
    if "commands" in suites:
        keep(await measure_commands())
    if "action" in suites:
        keep(await measure_action(10))
    if set(suites) - _WITHOUT_TARGET:
        async with _target(kubeconfig, label) as target, installed(target):
            version = await _version(target)
            if "writes" in suites:
                keep(await measure_writes(target, 5))
            if "overhead" in suites:
                keep(await measure_overhead(target, 20))
            if "rate" in suites:
                for length, preset in rates:
                    given = "" if preset == "default" else preset
                    keep([await measure_rate(target, chain(length), runs, given, settings, others)])
            if "watch" in suites:
                keep(await measure_watch(target, 500))
            if "live" in suites:
                keep(await measure_live(target, live))
    where = "embedded" if kubeconfig is None else "real"
    machine = {"cpus": _cpus(), "python": platform.python_version(), "system": platform.system()}
    return {"cluster": {"kind": where, "version": version}, "machine": machine, "results": results}


@asynccontextmanager
async def _target(kubeconfig: Path | None, label: tuple[str, str] | None) -> AsyncGenerator[Target]:
    if kubeconfig is not None:
        yield Target(kubeconfig, label, is_embedded=False)
        return
    with TemporaryDirectory(prefix="kubernaut-benchmark-") as folder:
        async with embedded_cluster(Path(folder)):
            yield Target(Path(folder) / "kubeconfig", label, is_embedded=True)


async def _version(target: Target) -> str:
    async with Cluster.connect(kubeconfig=target.kubeconfig) as cluster:
        return str((await cluster.version()).get("gitVersion", ""))


def _cpus() -> int:
    return len(os.sched_getaffinity(0))


def _shown(answer: dict[str, Any]) -> str:
    cluster, machine = answer["cluster"], answer["machine"]
    loads = [result["load_average"][0] for result in answer["results"]]
    conditions = (
        f"{cluster['kind']} cluster {cluster['version']}, {machine['cpus']} CPUs shared by everything, "
        f"Python {machine['python']}, load average {min(loads, default=0)} to {max(loads, default=0)}"
    )
    return f"{table(answer['results'])}\n\n{conditions}"


if __name__ == "__main__":
    sys.exit(main())
