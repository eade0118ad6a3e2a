"""Queries at a real Prometheus, which scrapes an exporter of a few lines."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import msgspec
import pytest

from kubernaut.concurrency import SystemClock
from kubernaut.planning.probes import Observation
from kubernaut.safety.probes import Matter
from kubernaut.safety.probes.promql import MOST_SERIES, Prometheus, PromqlEvaluator
from peers import peer

from .asking import ask, faults_of, read

pytestmark = pytest.mark.peer

RULES = """
groups:
  - name: shop
    interval: 100ms
    rules:
      - record: app:error_ratio
        expr: sum by (app) (errors) / sum by (app) (requests)
"""
CONFIG = """
global: {{scrape_interval: 100ms, scrape_timeout: 100ms, evaluation_interval: 100ms}}
rule_files: [{rules}]
scrape_configs:
  - job_name: shop
    static_configs: [{{targets: ["{target}"]}}]
"""
METRICS = """
errors{app="web",pod="web-0"} 1
errors{app="web",pod="web-1"} 3
requests{app="web",pod="web-0"} 100
requests{app="web",pod="web-1"} 100
errors{app="idle"} 0
requests{app="idle"} 0
temperature{where="a b"} 3
slow{app="web"} +Inf
"""


class _Exporter(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        old = f'old{{app="web"}} 1 {int(SystemClock().now().timestamp() * 1000) - 90_000}\n'
        many = "".join(f'many{{n="{number}"}} {number}\n' for number in range(MOST_SERIES + 1))
        body = (METRICS.lstrip() + old + many).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = peer("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    exporter = ThreadingHTTPServer(("127.0.0.1", 0), _Exporter)
    threading.Thread(target=exporter.serve_forever, daemon=True).start()
    rules, config = folder / "rules.yaml", folder / "prometheus.yaml"
    rules.write_text(RULES)
    config.write_text(CONFIG.format(rules=rules, target=f"127.0.0.1:{exporter.server_port}"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = [
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen([program, *arguments], stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url, "app:error_ratio", folder / "log")
        yield url
    finally:
        running.terminate()
        running.wait(10)
        exporter.shutdown()
        exporter.server_close()


def _wait_for(url: str, series: str, log: Path) -> None:
    until = monotonic() + 30
    while monotonic() < until:
        try:
            with urlopen(f"{url}/api/v1/query?query={series}", timeout=5) as answer:
                if msgspec.json.decode(answer.read())["data"]["result"]:
                    return
        except (URLError, ConnectionError):
            pass
        sleep(0.05)
    pytest.fail(log.read_text())


async def look(url: str, query: str, inputs: dict[str, Any] | None = None, **fields: Any) -> Observation:
    if not fields.get("expression") and "compare" not in fields:
        fields["compare"] = {"operator": "<", "value": 0.05}
    evaluators = {"promql": PromqlEvaluator(Prometheus(url), 1.5)}
    return await ask(evaluators, read(promql={"query": query, **fields}), Matter(inputs or {}))


async def test_a_number_is_compared(prometheus: str) -> None:
    query = 'app:error_ratio{app="$(inputs.app)"}'
    assert (await look(prometheus, query, {"app": "web"})).outcome == "passed"
    seen = await look(prometheus, query, {"app": "web"}, compare={"operator": ">=", "value": 0.5})
    assert (seen.outcome, seen.message) == (
        "failed",
        'not >= 0.5: {__name__="app:error_ratio", app="web"} 0.02',
    )
    assert seen.evidence["query"] == 'app:error_ratio{app="web"}'
    assert len(seen.input_hash) == 64
    assert (
        await look(prometheus, "scalar(vector(1))", compare={"operator": "==", "value": 1})
    ).outcome == "passed"


async def test_of_several_series_all_any_or_one_is_meant(prometheus: str) -> None:
    query = 'errors{app="web"}'
    above = {"operator": ">", "value": 2}
    all_ = await look(prometheus, query, compare=above)
    assert (all_.outcome, all_.reason) == ("failed", "DoesNotHold")
    assert "web-0" in all_.message
    assert "web-1" not in all_.message
    assert (await look(prometheus, query, compare=above, series="any")).outcome == "passed"
    one = await look(prometheus, query, compare=above, series="one")
    assert (one.outcome, one.reason) == ("inconclusive", "SeveralSeries")
    assert (await look(prometheus, query, expression="result.exists(s, s.value > 2.0)")).outcome == "passed"
    sums = "result.size() == 2 && result.all(s, s.labels.app == 'web')"
    assert (await look(prometheus, query, expression=sums)).outcome == "passed"


async def test_nothing_counted_is_no_number_and_not_a_good_one(prometheus: str) -> None:
    seen = await look(prometheus, 'app:error_ratio{app="idle"}')
    assert (seen.outcome, seen.reason) == ("inconclusive", "NoNumber")
    assert "NaN" in seen.message
    assert "0/0" in seen.mend
    # NaN compares with nothing, and infinity with everything.
    for query in ('app:error_ratio{app="idle"}', "slow"):
        for operator in ("<", "!=", ">"):
            other = await look(prometheus, query, compare={"operator": operator, "value": 1})
            assert (other.outcome, other.reason) == ("inconclusive", "NoNumber")
        asked = await look(prometheus, query, expression="result.all(s, !(s.value < 1.0))")
        assert asked.outcome == "inconclusive"


async def test_no_series_is_what_the_probe_says(prometheus: str) -> None:
    seen = await look(prometheus, "error{}")
    assert (seen.outcome, seen.reason) == ("inconclusive", "Empty")
    assert "empty" in seen.mend
    assert (await look(prometheus, "error{}", empty="passed")).outcome == "passed"
    assert (await look(prometheus, "error{}", empty="failed")).outcome == "failed"
    assert (await look(prometheus, "error{}", expression="result.all(s, false)")).outcome == "inconclusive"


async def test_samples_that_are_too_old_give_no_answer(prometheus: str) -> None:
    below = {"operator": "<", "value": 9}
    assert (await look(prometheus, "old", compare=below)).outcome == "passed"
    seen = await look(prometheus, "old", compare=below, maxAge="1m")
    assert (seen.outcome, seen.reason) == ("inconclusive", "Stale")
    assert "scraped" in seen.mend
    assert (await look(prometheus, "old", compare=below, maxAge="4m")).outcome == "passed"
    assert (await look(prometheus, 'errors{app="web"}', compare=below, maxAge="1m")).outcome == "passed"
    assert "plain selector" in faults_of(promql={"query": "rate(x[5m])", "compare": below, "maxAge": "1m"})


async def test_what_prometheus_refuses_is_told(prometheus: str) -> None:
    seen = await look(prometheus, "sum(")
    assert (seen.outcome, seen.reason) == ("inconclusive", "QueryFailed")
    assert "parse error" in seen.message
    matrix = await look(prometheus, "errors[5m]")
    assert (matrix.outcome, matrix.reason) == ("inconclusive", "WrongResult")
    many = await look(prometheus, "many")
    assert (many.outcome, many.reason) == ("inconclusive", "TooMany")
    assert "sum" in many.mend


async def test_an_input_cannot_leave_its_quotes(prometheus: str) -> None:
    compare = {"operator": "<", "value": 9}
    for value in ('web"} or vector(0) #', 'x"} or {app="web', "\\", "a\nb"):
        for matcher in ("=", "=~"):
            query = f'errors{{app{matcher}"$(inputs.app)"}}'
            seen = await look(prometheus, query, {"app": value}, compare=compare)
            assert (seen.outcome, seen.reason) == ("inconclusive", "Empty"), value
    every = await look(prometheus, 'errors{app=~"$(inputs.app)"}', {"app": ".*"}, compare=compare)
    assert every.reason == "Empty"
    spaced = await look(prometheus, 'temperature{where="$(inputs.where)"}', {"where": "a b"}, compare=compare)
    assert spaced.outcome == "passed"


async def test_without_a_prometheus_nothing_passes(prometheus: str) -> None:
    probe = read(promql={"query": "up", "compare": {"operator": ">=", "value": 0}})
    none = await ask({"promql": PromqlEvaluator(None)}, probe)
    assert (none.outcome, none.reason) == ("inconclusive", "NoPrometheus")
    elsewhere = await ask({"promql": PromqlEvaluator(Prometheus(f"{prometheus}/elsewhere"))}, probe)
    assert (elsewhere.outcome, elsewhere.reason) == ("inconclusive", "NoPrometheus")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    nobody = await ask({"promql": PromqlEvaluator(Prometheus(f"http://127.0.0.1:{port}"))}, probe)
    assert (nobody.outcome, nobody.reason) == ("inconclusive", "Unreachable")
