"""What is refused in a file of probes, before any of them is asked."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from kubernaut.admission.nearest import Nearest
from kubernaut.admission.values import unfit_values
from kubernaut.api.contract import ContractSpec
from kubernaut.api.duration import from_duration
from kubernaut.api.faults import Fault
from kubernaut.api.placeholders import PLACEHOLDER, misplaced_in_query, names_in, strange_in
from kubernaut.api.probes import KINDS, Probe, ProbeSet, kind_of_probe, mode_of

CheckExpression = Callable[[str, str], str | None]
"""(expression, place) -> what is wrong with it. Places: when, object, objects, promql, http, output."""

PARTS = ("preconditions", "postconditions", "probes")
LONGEST_SECONDS = 24 * 3600.0
_SHORTEST_INTERVAL = 1.0
_OWN_HEADERS = {"host", "content-length", "transfer-encoding", "connection", "te", "upgrade", "trailer"}
_UNKNOWN = re.compile(r"Object contains unknown field `([^`]*)`")
_SELECTOR = re.compile(r"(?:[A-Za-z_:][A-Za-z0-9_:]*)?(?:\{[^{}]*\})?")
_USED = re.compile(r"\b(inputs|outputs)\.\??([A-Za-z_][A-Za-z0-9_]*)")


def read_probes(raw: Mapping[str, Any]) -> tuple[ProbeSet | None, list[Fault]]:
    """The set that a document holds, or every part of it that cannot be read. Never raises."""
    if unfit := unfit_values(raw, ""):
        return None, unfit
    faults = list(_unreadable(raw))
    if faults:
        return None, faults
    try:
        return msgspec.convert(raw, ProbeSet), []
    except msgspec.ValidationError as error:
        return None, [_told(error, "", ProbeSet)]


def check_probes(
    found: ProbeSet, check_expression: CheckExpression, contract: ContractSpec | None = None
) -> list[Fault]:
    """Everything that is wrong in a set; with the action's contract also inputs and outputs that it lacks."""
    faults: list[Fault] = []
    for part in PARTS:
        seen: set[str] = set()
        for number, probe in enumerate(cast("tuple[Probe, ...]", getattr(found, part))):
            path = f"{part}[{number}]"
            if probe.name in seen:
                faults.append(
                    Fault(f"{path}.name", f"{probe.name} is given twice", "Give each probe its own name.")
                )
            seen.add(probe.name)
            kind_faults = list(_kind(probe, path))
            faults += [*kind_faults, *_times(probe, part, path)]
            if not kind_faults:
                faults += [*_expressions(probe, path, check_expression), *_placeholders(probe, path)]
                faults += [*_http(probe, path), *(_undeclared(probe, path, contract) if contract else ())]
    return faults


def _unreadable(raw: Mapping[str, Any]) -> Iterator[Fault]:
    known = Nearest([*PARTS, "action"])
    for name in raw:
        if name not in known.known:
            yield Fault(name, "is no part of a file of probes", known.mend(name))
    if not any(name in raw for name in PARTS):
        mend = "Write a list below `preconditions`, `postconditions` or `probes`."
        yield Fault("(root)", "there are no probes in it", mend)
    for part in PARTS:
        listed: object = raw.get(part, [])
        if not isinstance(listed, list):
            yield Fault(part, "must be a list of probes")
            continue
        for number, one in enumerate(cast("list[object]", listed)):
            try:
                msgspec.convert(one, Probe)
            except msgspec.ValidationError as error:
                yield _told(error, f"{part}[{number}]", Probe)


def _told(error: msgspec.ValidationError, path: str, kind: type[msgspec.Struct]) -> Fault:
    text, _, place = str(error).partition(" - at `$")
    place = (path + place.rstrip("`")).removeprefix(".") or "(root)"
    if unknown := _UNKNOWN.match(text):
        names = {field.encode_name for field in msgspec.structs.fields(kind)} if place == path else set[str]()
        return Fault(
            f"{place}.{unknown[1]}", "there is no such field", Nearest(names).mend(unknown[1]) if names else ""
        )
    return Fault(place, text[:1].lower() + text[1:])


def _kind(probe: Probe, path: str) -> Iterator[Fault]:
    kind = kind_of_probe(probe)
    if not kind:
        yield Fault(path, "must be exactly one kind of probe", f"Write one of {', '.join(KINDS)}.")
    elif kind == "rego":
        mend = "Write the same as CEL (`cel`) until then; policies in Rego are another matter."
        yield Fault(
            f"{path}.rego", "probes in Rego cannot be asked yet, and what is never asked is never passed", mend
        )
    elif probe.cel is not None:
        cel = probe.cel
        if (cel.object is None) == (cel.objects is None):
            yield Fault(f"{path}.cel", "must name what it looks at", "Give either `object` or `objects`.")
        elif cel.each and cel.objects is None:
            yield Fault(f"{path}.cel.each", "is asked of a selection", "Write `objects` instead of `object`.")
    elif probe.promql is not None and bool(probe.promql.expression) == (probe.promql.compare is not None):
        yield Fault(f"{path}.promql", "must say what a good result is", "Give either `compare` or `expression`.")
    elif probe.promql is not None and probe.promql.max_age and not _SELECTOR.fullmatch(probe.promql.query.strip()):
        mend = "Leave it out; ask in a probe of its own whether the samples are young: time() - timestamp(up) < 60"
        yield Fault(f"{path}.promql.maxAge", "only samples of a plain selector have an age", mend)


def _times(probe: Probe, part: str, path: str) -> Iterator[Fault]:
    mode, seconds = mode_of(probe, part), dict[str, float]()
    for name, text in (
        ("timeout", probe.timeout or "30s"),
        ("interval", probe.interval),
        ("stabilization", probe.stabilization),
        ("promql.maxAge", probe.promql.max_age if probe.promql and probe.promql.max_age else "1m"),
    ):
        try:
            seconds[name] = from_duration(text)
        except ValueError as error:
            yield Fault(f"{path}.{name}", str(error))
            return
        if seconds[name] > LONGEST_SECONDS:
            yield Fault(f"{path}.{name}", "is longer than a day", "At most 24h.")
    if seconds["interval"] < _SHORTEST_INTERVAL:
        yield Fault(f"{path}.interval", "presses what it asks", "At least 1s.")
    if mode == "throughout" and seconds["stabilization"]:
        yield Fault(f"{path}.stabilization", "has no meaning throughout: one failure fails it", "Leave it out.")
    if part == "preconditions" and mode != "before":
        mend = "Write it below `postconditions`."
        yield Fault(f"{path}.mode", f"a precondition is asked before, not {mode}", mend)
    if part == "postconditions" and mode == "before":
        yield Fault(f"{path}.mode", "a postcondition is not asked before", "Write it below `preconditions`.")
    if probe.output is not None and mode != "after" and part != "probes":
        yield Fault(f"{path}.output", "there are no outputs before the action has ended", "Write mode: after.")


def _expressions(probe: Probe, path: str, check: CheckExpression) -> Iterator[Fault]:
    asked = [("when", "when", probe.when)]
    if probe.cel is not None:
        place = "objects" if probe.cel.objects is not None and not probe.cel.each else "object"
        asked.append(("cel.expression", place, probe.cel.expression))
    if probe.promql is not None:
        asked.append(("promql.expression", "promql", probe.promql.expression))
    if probe.http is not None:
        asked.append(("http.expression", "http", probe.http.expression))
    if probe.output is not None:
        asked.append(("output.expression", "output", probe.output.expression))
    for name, place, expression in asked:
        if expression and (error := check(expression, place)):
            yield Fault(f"{path}.{name}", error)


def texts_of(probe: Probe) -> Iterator[tuple[str, str]]:
    """Every text of a probe that may hold placeholders, with its path in it."""
    if probe.cel is not None:
        picked = probe.cel.object
        if picked is not None:
            yield from (("cel.object.name", picked.name), ("cel.object.namespace", picked.namespace))
            yield from (("cel.object.kind", picked.kind), ("cel.object.apiVersion", picked.api_version))
        if (chosen := probe.cel.objects) is not None:
            yield from (("cel.objects.kind", chosen.kind), ("cel.objects.apiVersion", chosen.api_version))
            yield "cel.objects.namespace", chosen.namespace
            yield "cel.objects.labelSelector", chosen.label_selector
            yield "cel.objects.fieldSelector", chosen.field_selector
    if probe.promql is not None:
        yield "promql.query", probe.promql.query
    if probe.http is not None:
        yield "http.url", probe.http.url


def _placeholders(probe: Probe, path: str) -> Iterator[Fault]:
    for name, text in texts_of(probe):
        for strange in strange_in(text):
            yield Fault(f"{path}.{name}", f"{strange} means nothing", "Write $(inputs.name) or $(outputs.name).")
    if probe.promql is not None:
        for misplaced in misplaced_in_query(probe.promql.query):
            mend = 'Write it as the value of a label: {pod="$(inputs.pod)"}.'
            yield Fault(f"{path}.promql.query", f"{misplaced} does not stand within double quotes", mend)


def _http(probe: Probe, path: str) -> Iterator[Fault]:
    if probe.http is None:
        return
    here = f"{path}.http"
    # Which scheme and host, whatever is put in: a placeholder is one label.
    address = PLACEHOLDER.sub("x", probe.http.url)
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        yield Fault(f"{here}.url", f"is no address: {error}")
        return
    if not address.isascii() or not address.isprintable() or " " in address:
        yield Fault(
            f"{here}.url", "holds what no address can", "Write spaces and letters with accents as %20, %C3%A9."
        )
    elif parts.scheme not in ("http", "https") or not host:
        yield Fault(f"{here}.url", "must begin with http:// or https:// and a host")
    elif parts.username is not None or parts.password is not None:
        mend = "Put it into a Secret and name that in `headers`."
        yield Fault(f"{here}.url", "holds a user or a password in clear", mend)
    elif PLACEHOLDER.search(probe.http.url.partition("://")[0]):
        yield Fault(f"{here}.url", "the scheme cannot be filled in")
    if probe.http.method == "HEAD" and probe.http.contains:
        yield Fault(f"{here}.contains", "HEAD brings no body", "Use GET.")
    for number, header in enumerate(probe.http.headers):
        if header.name.lower() in _OWN_HEADERS:
            yield Fault(f"{here}.headers[{number}].name", f"{header.name} is not yours to set")


def _undeclared(probe: Probe, path: str, contract: ContractSpec) -> Iterator[Fault]:
    known = {
        "inputs": Nearest([parameter.name for parameter in contract.inputs]),
        "outputs": Nearest([parameter.name for parameter in contract.outputs]),
    }
    for name, text in _all_texts(probe):
        found = [*names_in(text), *((one[1], one[2]) for one in _USED.finditer(text))]
        for source, key in dict.fromkeys(found):
            if key not in known[source].known:
                told = f"the action has no {source.removesuffix('s')} {key}"
                yield Fault(f"{path}.{name}", told, known[source].mend(key))
    secret = {parameter.name for parameter in contract.inputs if parameter.secret}
    for name, text in _all_texts(probe):
        for source, key in names_in(text):
            if source == "inputs" and key in secret:
                yield Fault(f"{path}.{name}", f"input {key} is secret and never a probe's")


def _all_texts(probe: Probe) -> Iterator[tuple[str, str]]:
    yield from texts_of(probe)
    yield "when", probe.when
    for kind in ("cel", "promql", "http", "output"):
        part = getattr(probe, kind)
        if part is not None:
            yield f"{kind}.expression", part.expression
