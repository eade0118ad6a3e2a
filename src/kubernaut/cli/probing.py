"""Asking probes from the command line: what to ask, looking until there is a verdict, telling it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec

from kubernaut.admission.probes import check_probes, read_probes
from kubernaut.api.contract import ContractSpec, with_defaults
from kubernaut.api.definition import ActionDefinition
from kubernaut.api.faults import Fault
from kubernaut.api.probes import Mode, Probe, ProbeSet, mode_of
from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.inputs import read_inputs, read_values
from kubernaut.cli.manifests import Manifest, Mark, UnreadableManifest, mapping, parse_manifests
from kubernaut.cli.options import Where
from kubernaut.cli.output import print_data, span
from kubernaut.cli.session import connected, fetch
from kubernaut.cli.terminal import Terminal
from kubernaut.cluster import Cluster, kinds
from kubernaut.concurrency import Clock, SystemClock
from kubernaut.planning.probes import (
    Judgement,
    Observation,
    Pace,
    Progress,
    Ruled,
    Ruling,
    judge,
    observed,
    pace_of,
    ruling,
)
from kubernaut.safety.probes import Matter, Panel, Sources, check_place, panel_of, shipped_probes
from kubernaut.settings import ProbeSettings

_COLOURS = {"passed": "green", "failed": "red", "inconclusive": "yellow", "waiting": "cyan"}
_EXITS = {
    "passed": Exit.SUCCEEDED,
    "failed": Exit.FAILED,
    "inconclusive": Exit.INCONCLUSIVE,
    "waiting": Exit.TIMED_OUT,
}
_UNTIL = 60.0
"""Seconds for which `throughout` probes are watched where nothing else says how long."""


class Wanted(NamedTuple):
    """What the command line says."""

    path: str
    action: str
    execution: str
    inputs: tuple[str, ...]
    inputs_file: Path | None
    results: tuple[str, ...]
    part: str
    names: tuple[str, ...]
    watch: bool
    seconds: float | None
    output: str


@dataclass
class Asked:
    """One probe and what has been seen of it."""

    probe: Probe
    mode: Mode
    pace: Pace
    progress: Progress
    ruling: Ruling = field(default_factory=lambda: Ruling(None))

    @property
    def last(self) -> Observation:
        assert self.progress.last is not None
        return self.progress.last


class _Chosen(NamedTuple):
    """What to ask, about what."""

    found: ProbeSet
    part: str
    matter: Matter


def lint_file(terminal: Terminal, wanted: Wanted) -> int:
    """Prints what is wrong in a file, and returns the exit code."""
    if not wanted.path:
        raise CommandFailed("--lint is about a file", mend="Name it with -f.", code=Exit.USAGE)
    found, told = _read_file(wanted.path)
    for line in told:
        terminal.say(line)
    if found is None or told:
        terminal.remark(f"{len(told)} fault{'s' * (len(told) != 1)}")
        return Exit.REFUSED
    terminal.remark(f"nothing wrong in {_count(sum(map(len, _parts(found))))}")
    return Exit.SUCCEEDED


async def probe(terminal: Terminal, where: Where, wanted: Wanted, settings: ProbeSettings) -> int:
    """Asks, prints, and returns the exit code. Raises CommandFailed, ClusterError."""
    clock = SystemClock()
    async with connected(where, terminal) as cluster:
        chosen = await _choose(cluster, where, wanted)
        panel = _panel(cluster, settings, clock)
        asked = _asked(chosen, wanted, panel, clock)
        # A cluster that cannot be reached at all is told as such, not once for each probe.
        await cluster.version()
        if wanted.watch:
            await _watch(terminal, panel, chosen.matter, asked, wanted.seconds)
        else:
            for one in asked:
                one.progress = observed(one.pace, one.progress, await panel.look(one.probe, chosen.matter))
                one.ruling = Ruling(one.last.outcome, reason=one.last.reason)
    judgement = judge([Ruled(one.probe.name, one.probe.required, one.ruling) for one in asked])
    _print(terminal, asked, judgement, wanted.output)
    return _EXITS[judgement.outcome]


# -- what to ask ----------------------------------------------------------------------------------


async def _choose(cluster: Cluster, where: Where, wanted: Wanted) -> _Chosen:
    contract: ContractSpec | None = None
    inputs: dict[str, Any] = {}
    outputs: dict[str, Any] | None = None
    found: ProbeSet | None = None
    action = wanted.action
    if wanted.path:
        found, told = _read_file(wanted.path)
        if found is None or told:
            more = f" (and {len(told) - 1} more)" if len(told) > 1 else ""
            mend = f"See all: kubernaut probe --lint -f {wanted.path}"
            raise CommandFailed(f"{told[0]}{more}", mend=mend, code=Exit.REFUSED)
        action = found.action
    if wanted.execution:
        body = await fetch(
            cluster, kinds.ACTION_EXECUTIONS, wanted.execution.removeprefix("ae/"), where.namespace_or_default
        )
        spec, status = mapping(body.get("spec")), mapping(body.get("status"))
        contract = msgspec.convert(spec.get("contract") or {}, ContractSpec)
        inputs, action = mapping(spec.get("inputs")), str(spec.get("actionType", ""))
        outputs = mapping(status.get("outputs")) if status.get("outputs") is not None else None
    elif definition := _definition(action, required=bool(wanted.action)):
        contract, action = definition.spec.contract, definition.spec.action_type
    found = found or shipped_probes(action)
    if found is None:
        mend = "Write some into a file: docs/probes.md"
        raise CommandFailed(f"no probes were written for {action}", mend=mend, code=Exit.USAGE)
    inputs |= read_inputs(contract, wanted.inputs, wanted.inputs_file)
    declared = {one.name: one for one in contract.outputs} if contract is not None else None
    if wanted.results:
        outputs = (outputs or {}) | read_values(declared, wanted.results, "--result")
    inputs = with_defaults(contract, inputs) if contract is not None else inputs
    part = wanted.part or ("all" if wanted.path else "postconditions" if outputs is not None else "preconditions")
    return _Chosen(found, part, Matter(inputs, outputs, where.namespace_or_default))


def _definition(action: str, *, required: bool) -> ActionDefinition | None:
    from kubernaut.cli.catalogue import definition_named
    from kubernaut.cli.linting import shipped_catalogue

    if not action:
        return None
    catalogue = shipped_catalogue()
    return definition_named(catalogue, action) if required else catalogue.get(action)


def _read_file(path: str) -> tuple[ProbeSet | None, list[str]]:
    """The probes of a file, and what is wrong with them by line. Raises CommandFailed, OSError."""
    import sys

    text = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    source = "<stdin>" if path == "-" else path
    # A bare list is meant as `probes`: put below that name, each line stands one further down.
    shift = 1 if text.lstrip(b"-\n\r ").startswith(b"name:") and text.lstrip().startswith(b"-") else 0
    try:
        manifests = parse_manifests(b"probes:\n" + _without_mark(text) if shift else text, source)
    except UnreadableManifest as error:
        moved = Mark(max(error.mark.line - shift, 1), error.mark.column)
        raise CommandFailed(str(UnreadableManifest(source, moved, error.message)), code=Exit.REFUSED) from None
    if len(manifests) != 1:
        raise CommandFailed(f"{source} holds {len(manifests)} documents, and one was expected", code=Exit.REFUSED)
    found, faults = read_probes(manifests[0].document)
    if found is not None:
        definition = _definition(found.action, required=False)
        faults = check_probes(found, check_place, definition.spec.contract if definition else None)
    return found, [_located(fault, manifests[0], shift) for fault in faults]


def _without_mark(text: bytes) -> bytes:
    """Without the line that begins a document; its end stays, so that lines keep their numbers."""
    head, newline, rest = text.lstrip(b"\n").partition(b"\n")
    return newline + rest if head.strip() == b"---" else text


def _located(fault: Fault, manifest: Manifest, shift: int) -> str:
    mark = manifest.locate(fault.path)
    return f"{manifest.source}:{max(mark.line - shift, 1)}:{mark.column}: {fault}"


def _parts(found: ProbeSet) -> tuple[tuple[Probe, ...], ...]:
    return found.preconditions, found.postconditions, found.probes


def _asked(chosen: _Chosen, wanted: Wanted, panel: Panel, clock: Clock) -> list[Asked]:
    now = clock.now()
    asked: list[Asked] = []
    for part in ("preconditions", "postconditions", "probes"):
        if chosen.part not in ("all", part):
            continue
        for one in cast("tuple[Probe, ...]", getattr(chosen.found, part)):
            mode = mode_of(one, part)
            asked.append(Asked(one, mode, pace_of(one, mode), Progress(now)))
    there = [one.probe.name for one in asked]
    for name in wanted.names:
        if name not in there:
            raise CommandFailed(
                f"there is no probe {name!r}", mend=f"There are: {', '.join(there) or 'none'}.", code=Exit.USAGE
            )
    asked = [one for one in asked if not wanted.names or one.probe.name in wanted.names]
    asked = [one for one in asked if panel.is_asked(one.probe, chosen.matter)]
    if not asked:
        mend = "Look at --part, --name and at what their `when` asks for."
        raise CommandFailed("no probe is left to ask", mend=mend, code=Exit.USAGE)
    return asked


def _panel(cluster: Cluster, settings: ProbeSettings, clock: Clock) -> Panel:
    sources = Sources(
        cluster,
        settings.prometheus_url,
        settings.prometheus_ca_file,
        settings.prometheus_token_file,
        settings.allowed_addresses,
        settings.look_timeout,
    )
    try:
        return panel_of(sources, clock)
    except ValueError as error:
        raise CommandFailed(
            f"probes.allowedAddresses: {error}", mend="Write networks as 10.0.0.0/8.", code=Exit.USAGE
        ) from None


# -- looking --------------------------------------------------------------------------------------


async def _watch(
    terminal: Terminal, panel: Panel, matter: Matter, asked: Sequence[Asked], seconds: float | None
) -> None:
    """Looks at each when its ruling says so, until all are final; `throughout` as long as any of the others."""
    clock = SystemClock()
    began = clock.now()
    others = any(one.mode != "throughout" for one in asked)
    left = seconds if seconds is not None else None if others else _UNTIL
    while True:
        for one in asked:
            again = one.ruling.look_again or began
            if one.ruling.outcome is None and again <= clock.now():
                before = one.progress.last
                one.progress = observed(one.pace, one.progress, await panel.look(one.probe, matter))
                one.ruling = ruling(one.pace, one.progress, clock.now())
                if before is None or before.outcome != one.last.outcome or one.ruling.outcome:
                    _tell(terminal, one, (clock.now() - began).total_seconds())
        is_over = others and all(one.ruling.outcome for one in asked if one.mode != "throughout")
        passed = (clock.now() - began).total_seconds()
        if is_over or (left is not None and passed >= left):
            for one in asked:
                one.ruling = ruling(one.pace, one.progress, clock.now(), over=True)
            return
        open_ = [one.ruling for one in asked if one.ruling.outcome is None]
        if not open_:
            return
        wait = min((again.look_again or began) for again in open_) - clock.now()
        longest = wait.total_seconds() if left is None else min(wait.total_seconds(), left - passed)
        await clock.sleep(max(0.05, longest))


def _tell(terminal: Terminal, one: Asked, seconds: float) -> None:
    word = one.ruling.outcome or f"{one.last.outcome}, {one.ruling.reason.lower()}"
    why = f": {one.last.message}" if one.last.message else ""
    terminal.remark(f"{span(seconds) or '0s':>7}  {one.probe.name} {word}{why}")


# -- telling --------------------------------------------------------------------------------------


def _print(terminal: Terminal, asked: Sequence[Asked], judgement: Judgement, output: str) -> None:
    if output != "text":
        verdicts = [_plain(one) for one in asked]
        whole = {"outcome": judgement.outcome, "objections": list(judgement.objections)}
        print_data(terminal, {**whole, "warnings": list(judgement.warnings), "probes": verdicts}, output)
        return
    width = max(len(one.probe.name) for one in asked)
    for one in asked:
        word = one.ruling.outcome or "waiting"
        needed = "required" if one.probe.required else "warns only"
        painted = terminal.paint(word.ljust(12), _COLOURS[word])
        terminal.say(f"{painted}  {one.probe.name.ljust(width)}  {one.mode}, {needed}")
        for line in _details(one):
            terminal.say(f"              {line}")
    terminal.remark(_summary(asked, judgement))


def _details(one: Asked) -> Iterator[str]:
    last, is_passed = one.last, one.ruling.outcome == "passed"
    if not is_passed:
        reason = (
            one.ruling.reason if one.ruling.reason in ("Flapping", "Unobserved", "NeverAsked") else last.reason
        )
        yield f"{reason}: {last.message}" if last.message else reason
        if one.probe.message and one.ruling.outcome == "failed":
            yield f"means: {one.probe.message}"
    saw = _seen(last.evidence)
    if saw and not _is_told(last):
        yield f"saw:   {saw}"
    if last.mend and not is_passed:
        yield f"mend:  {last.mend}"


def _is_told(last: Observation) -> bool:
    """Whether the message holds the values already."""
    seen = mapping(mapping(last.evidence).get("seen"))
    return bool(seen) and all(f"{path} is " in last.message for path in seen)


def _seen(evidence: Any) -> str:
    """The evidence in one line: what the expression asked for, or all there is."""
    shown = mapping(evidence)
    shown = mapping(shown.get("seen")) or {key: one for key, one in shown.items() if key != "seen"}
    text = ", ".join(f"{key}={_short(one)}" for key, one in shown.items() if one not in (None, {}, []))
    return text if len(text) <= 300 else text[:299] + "…"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 80 else text[:79] + "…"


def _plain(one: Asked) -> dict[str, Any]:
    last = one.last
    return {
        "name": one.probe.name,
        "mode": one.mode,
        "required": one.probe.required,
        "severity": one.probe.severity,
        "outcome": one.ruling.outcome or "waiting",
        "reason": one.ruling.reason if one.ruling.outcome else last.reason,
        "message": last.message,
        "means": one.probe.message,
        "mend": last.mend,
        "evidence": last.evidence,
        "inputHash": last.input_hash,
        "at": last.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "looks": one.progress.looks,
    }


def _summary(asked: Sequence[Asked], judgement: Judgement) -> str:
    lost = [*judgement.objections, *judgement.warnings]
    match judgement.outcome:
        case "passed":
            told = f"passed: {_count(len(asked) - len(lost))}"
        case "waiting":
            told = f"time ran out; open: {', '.join(one.probe.name for one in asked if not one.ruling.outcome)}"
        case outcome:
            told = f"{outcome}: {', '.join(judgement.objections)}"
    return told + (f"; warnings: {', '.join(judgement.warnings)}" if judgement.warnings else "")


def _count(number: int) -> str:
    return f"{number} probe{'s' * (number != 1)}"
