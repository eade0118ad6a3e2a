"""Instant queries at a Prometheus, and what their results mean.

Source of the format: Prometheus' HTTP API, "Instant queries" and "Expression query result formats". Its answers of
nothing are told apart: no such series, samples that are too old, and numbers that are none (0/0).
"""

import math
import operator
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from kubernaut.api.duration import from_duration
from kubernaut.api.placeholders import fill_query
from kubernaut.api.probes import Compare, Probe, PromqlProbe
from kubernaut.safety.probes.asking import CannotAsk, Finding, Matter, finding_of
from kubernaut.safety.probes.evidence import hash_of
from kubernaut.safety.probes.expressions import ask
from kubernaut.telemetry.redaction import Redactor

MOST_BYTES = 1_000_000
MOST_SERIES = 1_000
_MOST_TOLD = 5
_COMPARED: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}


@dataclass(frozen=True)
class Prometheus:
    """Which server."""

    url: str
    ca_file: str = ""
    """PEM; without it this machine's authorities are trusted."""
    token_file: str = ""
    """Read at each look: tokens are renewed."""


@dataclass(frozen=True)
class Series:
    """One line of a result."""

    labels: Mapping[str, str]
    value: float


class PromqlEvaluator:
    """Asks `promql` probes."""

    def __init__(self, prometheus: Prometheus | None, seconds: float = 10.0) -> None:
        self._prometheus = prometheus
        self._seconds = seconds

    async def look(self, probe: Probe, matter: Matter, redactor: Redactor) -> Finding:
        """Raises NotFillable, CannotAsk."""
        promql = probe.promql
        assert promql is not None
        if self._prometheus is None:
            mend = "Say where it is: --set probes.prometheusUrl=http://prometheus.monitoring:9090"
            raise CannotAsk("NoPrometheus", "no Prometheus is known", mend)
        variables = matter.variables(promql.expression)
        query = fill_query(promql.query, matter.values)
        found = await self._ask(query, redactor)
        evidence = _evidence(query, found)
        whole = hash_of({"query": query, "result": [[dict(one.labels), str(one.value)] for one in found]})
        if not found:
            return _nothing(promql, evidence, whole)
        if promql.max_age and (old := await self._older(query, from_duration(promql.max_age), redactor)):
            told = f"seconds since the last sample, and at most {promql.max_age} are wanted: {_values(old)}"
            mend = "Is it still scraped? Look at the targets of Prometheus, or raise maxAge."
            return Finding("inconclusive", "Stale", told, mend, evidence, whole)
        if strange := [one for one in found if not math.isfinite(one.value)]:
            return Finding("inconclusive", "NoNumber", _no_number(strange), _NO_NUMBER, evidence, whole)
        if promql.compare is not None:
            return _compared(promql, promql.compare, found, evidence, whole)
        variables["result"] = [{"labels": dict(one.labels), "value": one.value} for one in found]
        said = ask(promql.expression, "promql", variables)
        return finding_of(said.holds, said.error, _values(found), evidence, whole)

    async def _older(self, query: str, seconds: float, redactor: Redactor) -> list[Series]:
        """Series whose newest sample is older than that, each with its age: Prometheus takes what is 5 min old."""
        ages = await self._ask(f"time() - timestamp({query})", redactor)
        return [one for one in ages if not one.value <= seconds]

    async def _ask(self, query: str, redactor: Redactor) -> list[Series]:
        assert self._prometheus is not None
        form = {"query": query, "timeout": f"{round(self._seconds * 1000)}ms"}
        body, status = await self._post(form, redactor)
        try:
            answer = msgspec.json.decode(body, type=_Answer)
        except msgspec.DecodeError:
            told = f"what answers with status {status} is no Prometheus"
            raise CannotAsk("NoPrometheus", told, f"Look at {self._prometheus.url}/-/healthy") from None
        if answer.status != "success" or answer.data is None:
            mend = "Try it in the Prometheus that the settings name." if answer.error_type == "bad_data" else ""
            raise CannotAsk("QueryFailed", f"Prometheus says: {answer.error or status}", mend)
        return _read(answer.data)

    async def _post(self, form: Mapping[str, str], redactor: Redactor) -> tuple[bytes, int]:
        server = self._prometheus
        assert server is not None
        try:
            headers = _login(server, redactor)
            trusted = ssl.create_default_context(cafile=server.ca_file) if server.ca_file else True
        except OSError as error:
            told = f"{error.filename or server.ca_file}: {error.strerror}"
            raise CannotAsk("Unreachable", told, "Look at probes.prometheusCaFile and TokenFile.") from error
        limit = aiohttp.ClientTimeout(total=self._seconds)
        url = server.url.rstrip("/") + "/api/v1/query"
        try:
            async with (
                aiohttp.ClientSession(timeout=limit, trust_env=False) as session,
                session.post(url, data=form, headers=headers, ssl=trusted, allow_redirects=False) as answer,
            ):
                body = await _bounded(answer)
                return body, answer.status
        except (aiohttp.ClientError, OSError) as error:
            mend = "Is probes.prometheusUrl right, and may it be reached from here?"
            raise CannotAsk("Unreachable", f"Prometheus cannot be asked: {error}", mend) from error


def _login(server: Prometheus, redactor: Redactor) -> dict[str, str]:
    if not server.token_file:
        return {}
    token = Path(server.token_file).read_text().strip()
    redactor.add(token)
    return {"Authorization": f"Bearer {token}"}


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_chunked(65536):
        body += chunk
        if len(body) > MOST_BYTES:
            told = f"the answer is larger than {MOST_BYTES} bytes"
            raise CannotAsk("TooLarge", told, "Aggregate in the query: sum(...), max by (pod) (...).")
    return bytes(body)


def _read(found: "_Result") -> list[Series]:
    match found.result_type:
        case "scalar":
            return [Series({}, float(found.result[1]))]
        case "vector":
            if len(found.result) > MOST_SERIES:
                told = f"more than {MOST_SERIES} series"
                raise CannotAsk("TooMany", told, "Aggregate in the query: sum(...), max by (pod) (...).")
            listed = [msgspec.convert(one, _Line) for one in found.result]
            return [Series(one.metric, float(one.value[1])) for one in listed]
        case other:
            told = f"the query gives a {other}, not a number at one moment"
            raise CannotAsk("WrongResult", told, "Put rate(...), max_over_time(...) or the like around it.")


def _nothing(promql: PromqlProbe, evidence: Any, whole: str) -> Finding:
    told = "there is no such series, or none with a sample of the last minutes"
    mend = "Look at names and labels of the query; say with `empty` what no series means."
    return Finding(promql.empty, "Empty", told, "" if promql.empty == "passed" else mend, evidence, whole)


def _compared(promql: PromqlProbe, compare: Compare, found: list[Series], evidence: Any, whole: str) -> Finding:
    if promql.series == "one" and len(found) > 1:
        told = f"{len(found)} series, and one was meant: {_values(found)}"
        return Finding("inconclusive", "SeveralSeries", told, "Choose by labels, or aggregate.", evidence, whole)
    holding = [one for one in found if _COMPARED[compare.operator](one.value, compare.value)]
    passes = bool(holding) if promql.series == "any" else len(holding) == len(found)
    wanted = f"{compare.operator} {compare.value:g}"
    if passes:
        return Finding("passed", "Holds", "", "", evidence, whole)
    others = [one for one in found if one not in holding]
    return Finding("failed", "DoesNotHold", f"not {wanted}: {_values(others)}", "", evidence, whole)


def _evidence(query: str, found: list[Series]) -> dict[str, Any]:
    shown = [{"labels": dict(one.labels), "value": str(one.value)} for one in found[:_MOST_TOLD]]
    return {"query": query, "series": len(found), "result": shown}


def _values(found: list[Series]) -> str:
    more = f" and {len(found) - _MOST_TOLD} more" if len(found) > _MOST_TOLD else ""
    return ", ".join(f"{_named(one.labels)}{one.value:g}" for one in found[:_MOST_TOLD]) + more


def _named(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ", ".join(f'{key}="{value}"' for key, value in sorted(labels.items())) + "} "


_NO_NUMBER = "NaN is 0/0: nothing was counted in that time. Ask for enough first, or write `... or vector(0)`."


def _no_number(found: list[Series]) -> str:
    told = ", ".join(f"{_named(one.labels)}{'NaN' if math.isnan(one.value) else one.value}" for one in found[:3])
    return f"{told}: no number to compare"


class _Result(msgspec.Struct, rename="camel"):
    result_type: str
    result: list[Any]


class _Line(msgspec.Struct):
    metric: dict[str, str]
    value: tuple[float, str]


class _Answer(msgspec.Struct, rename="camel"):
    status: str
    data: _Result | None = None
    error_type: str = ""
    error: str = ""


def prometheus_of(url: str, ca_file: str = "", token_file: str = "") -> Prometheus | None:
    """The server that settings name; None where they name none."""
    return Prometheus(url, ca_file, token_file) if url else None
