"""CEL probes on objects of an embedded cluster."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import pytest

from kubernaut.api.probes import Probe
from kubernaut.cluster import Cluster, Connection, FixedLogin, Login, kinds
from kubernaut.concurrency import SystemClock
from kubernaut.devcluster import DevCluster
from kubernaut.planning.probes import Observation
from kubernaut.safety.probes import Matter
from kubernaut.safety.probes.asking import Finding
from kubernaut.safety.probes.objects import ObjectEvaluator
from kubernaut.safety.probes.outputs import OutputEvaluator
from kubernaut.telemetry.redaction import REDACTED, Redactor

from .asking import ask, faults_of, read

Object = dict[str, Any]
MAP = {"apiVersion": "v1", "kind": "ConfigMap"}


@pytest.fixture
async def dev() -> AsyncGenerator[DevCluster]:
    async with DevCluster() as made:
        yield made


def connect(dev: DevCluster, token: str = "") -> Cluster:
    login = FixedLogin(Login(f"Bearer {token or dev.admin_token}"))
    return Cluster(
        Connection(dev.url, certificate_authority=dev.certificate_authority, credentials=login), user="u"
    )


@pytest.fixture
async def cluster(dev: DevCluster) -> AsyncGenerator[Cluster]:
    async with connect(dev) as made:
        await made.create(kinds.NAMESPACES, {"metadata": {"name": "shop"}})
        for name, tier, size in (("a", "web", "1"), ("b", "web", "2"), ("c", "db", "3")):
            metadata = {"name": name, "labels": {"tier": tier}}
            await made.create(kinds.CONFIG_MAPS, {"metadata": metadata, "data": {"size": size}}, "shop")
        yield made


async def look(
    cluster: Cluster, expression: str, inputs: Mapping[str, Any] | None = None, **fields: Any
) -> Observation:
    if "objects" not in fields:
        fields.setdefault("object", {**MAP, "name": "$(inputs.map)"})
    matter = Matter({"namespace": "shop", "map": "a", **(inputs or {})})
    return await ask({"cel": ObjectEvaluator(cluster, 4)}, read(cel={"expression": expression, **fields}), matter)


async def test_an_object_is_asked_as_it_is_now(cluster: Cluster) -> None:
    seen = await look(cluster, "object.data.size == inputs.size", {"size": "1"})
    assert seen.outcome == "passed"
    assert seen.evidence["seen"] == {"object.data.size": "1", "inputs.size": "1"}
    await cluster.patch(kinds.CONFIG_MAPS, "a", "shop", {"data": {"size": "7"}})
    later = await look(cluster, "object.data.size == inputs.size", {"size": "1"})
    assert (later.outcome, later.reason) == ("failed", "DoesNotHold")
    assert "object.data.size is 7" in later.message
    assert later.input_hash != seen.input_hash
    assert later.evidence["object"]["resourceVersion"] != seen.evidence["object"]["resourceVersion"]


async def test_what_is_not_there_is_an_answer(cluster: Cluster) -> None:
    gone = {"map": "gone"}
    assert (await look(cluster, "object == null", gone)).outcome == "passed"
    seen = await look(cluster, "object.data.size == '1'", gone)
    assert (seen.outcome, seen.reason, seen.message) == ("failed", "NotThere", "there is no ConfigMap shop/gone")


async def test_what_cannot_be_answered_never_passes(cluster: Cluster, dev: DevCluster) -> None:
    for expression, fields, reason in (
        ("object.data.other == '1'", {}, "Unanswerable"),
        ("!(object.data.other == '1')", {}, "Unanswerable"),
        ("object.data.size", {}, "Unanswerable"),
        ("int(object.data.size) / 0 == 1", {}, "Unanswerable"),
        ("quantity('much') < 1.0", {}, "Unanswerable"),
        ("true", {"object": {"apiVersion": "example.com/v1", "kind": "Car", "name": "a"}}, "NoSuchKind"),
        ("true", {"object": {**MAP, "name": "$(inputs.nobody)"}}, "Unknown"),
        ("true", {"object": {**MAP, "name": "$(inputs.list)"}}, "Unknown"),
        ("outputs.x == 1", {}, "Unknown"),
        ("true", {"objects": {**MAP, "labelSelector": "tier in ("}}, "BadQuestion"),
    ):
        seen = await look(cluster, expression, {"list": ["a"]}, **fields)
        assert (seen.outcome, seen.reason) == ("inconclusive", reason), (expression, seen)
        assert seen.message
    async with connect(dev, dev.token_of("nobody", ())) as stranger:
        seen = await look(stranger, "true")
        assert (seen.outcome, seen.reason) == ("inconclusive", "Forbidden")
        assert seen.mend
    dev_url = Connection("https://127.0.0.1:1", credentials=FixedLogin(Login("")))
    async with Cluster(dev_url, user="u") as nowhere:
        assert (await look(nowhere, "true")).reason == "Unreachable"


@pytest.mark.parametrize(
    ("each", "expression", "outcome"),
    [
        ("all", "object.data.size < '3'", "passed"),
        ("all", "object.data.size < '2'", "failed"),
        ("any", "object.data.size == '2'", "passed"),
        ("any", "object.data.size == '9'", "failed"),
        ("none", "object.data.size == '9'", "passed"),
        ("none", "object.data.size == '2'", "failed"),
        # Of one there is no answer: what decides without it, decides.
        ("all", "object.metadata.name == 'a' ? true : object.data.other == '1'", "inconclusive"),
        ("all", "object.metadata.name == 'a' ? false : object.data.other == '1'", "failed"),
        ("any", "object.metadata.name == 'a' ? true : object.data.other == '1'", "passed"),
        ("any", "object.metadata.name == 'a' ? false : object.data.other == '1'", "inconclusive"),
        ("none", "object.metadata.name == 'a' ? true : object.data.other == '1'", "failed"),
        ("none", "object.metadata.name == 'a' ? false : object.data.other == '1'", "inconclusive"),
    ],
)
async def test_each_of_several_is_asked(cluster: Cluster, each: str, expression: str, outcome: str) -> None:
    seen = await look(cluster, expression, objects={**MAP, "labelSelector": "tier=web"}, each=each)
    assert (seen.outcome, seen.evidence["count"]) == (outcome, 2)


async def test_a_selection_is_asked_as_a_whole_and_is_bounded(cluster: Cluster) -> None:
    web = {**MAP, "labelSelector": "tier=$(inputs.tier)"}
    size = "objects.size() == 2 && objects[0].metadata.name == 'a'"
    assert (await look(cluster, size, {"tier": "web"}, objects=web)).outcome == "passed"
    for value in ("web,size", "web)", "a b", "x" * 300):
        assert (await look(cluster, "true", {"tier": value}, objects=web)).reason == "Unknown"
    whole = {**MAP, "labelSelector": "$(inputs.selector)"}
    assert (await look(cluster, size, {"selector": "tier in (web)"}, objects=whole)).outcome == "passed"
    for number in range(3):
        await cluster.create(kinds.CONFIG_MAPS, {"metadata": {"name": f"more-{number}"}}, "shop")
    many = await look(cluster, "true", objects=MAP)
    assert (many.outcome, many.reason) == ("inconclusive", "TooMany")


async def test_no_input_chooses_another_object(cluster: Cluster) -> None:
    for name in ("../pods/x", "a/b", "a%2f", "", "-a", "a?b", "x" * 300, "$(inputs.namespace)"):
        seen = await look(cluster, "true", {"map": name})
        assert (seen.outcome, seen.reason) == ("inconclusive", "Unknown"), name


async def test_evidence_is_small_and_without_secrets(cluster: Cluster) -> None:
    body = {"metadata": {"name": "s"}, "stringData": {"plain": "hunter22-hunter22", "other": "x" * 9000}}
    await cluster.create(kinds.SECRETS, body, "shop")
    expression = "object.data.plain == inputs.nothing && object.data.other == ''"
    secret = {"apiVersion": "v1", "kind": "Secret", "name": "s"}
    seen = await look(cluster, expression, {"nothing": "a"}, object=secret)
    assert seen.outcome == "failed"
    assert seen.evidence["seen"]["object.data.plain"] == REDACTED
    assert "aHVudGVyMjI" not in repr(seen)
    large = {"metadata": {"name": "large"}, "data": {f"k{n}": "y" * 3000 for n in range(20)}}
    await cluster.create(kinds.CONFIG_MAPS, large, "shop")
    every = " && ".join(f"object.data.k{n} == ''" for n in range(20))
    assert (await look(cluster, every, {"map": "large"})).outcome == "failed"


async def test_outputs_are_asked_once_there_are_some() -> None:
    probe = read(output={"expression": "outputs.replicas == inputs.replicas"})
    evaluators = {"output": OutputEvaluator()}
    early = await ask(evaluators, probe, Matter({"replicas": 3}))
    assert (early.outcome, early.reason) == ("inconclusive", "Unknown")
    assert early.mend
    assert (await ask(evaluators, probe, Matter({"replicas": 3}, {"replicas": 3}))).outcome == "passed"
    wrong = await ask(evaluators, probe, Matter({"replicas": 3}, {"replicas": 2}))
    assert (wrong.outcome, wrong.message) == ("failed", "outputs.replicas is 2, inputs.replicas is 3")
    assert (await ask(evaluators, probe, Matter({"replicas": 3}, {}))).outcome == "inconclusive"


class _Broken:
    async def look(self, probe: Probe, matter: Matter, redactor: Redactor) -> Finding:
        redactor.add("a-long-secret")
        raise RuntimeError("it fell over a-long-secret")


class _Slow:
    async def look(self, probe: Probe, matter: Matter, redactor: Redactor) -> Finding:
        await SystemClock().sleep(60)
        return Finding("passed", "Late")


async def test_an_evaluator_that_fails_or_is_slow_lets_nothing_pass() -> None:
    probe = read(output={"expression": "true"})
    broken = await ask({"output": _Broken()}, probe)
    assert (broken.outcome, broken.reason, broken.message) == (
        "inconclusive",
        "Error",
        f"RuntimeError: it fell over {REDACTED}",
    )
    assert (await ask({}, probe)).reason == "NoEvaluator"


async def test_a_probe_in_rego_is_refused_until_something_evaluates_it() -> None:
    assert "cannot be asked yet" in faults_of(rego={"policy": "conditions:a.rego:allow"})
    # The seam: an evaluator by that name is all that is missing.
    unasked = await ask({"output": OutputEvaluator()}, Probe(name="it", rego=None))
    assert (unasked.outcome, unasked.reason) == ("inconclusive", "NoEvaluator")


def test_what_is_wrong_in_a_file_is_told() -> None:
    object_ = {**MAP, "name": "a"}
    for fields, told in (
        ({}, "exactly one kind"),
        ({"cel": {"expression": "true"}}, "either `object` or `objects`"),
        ({"cel": {"expression": "object.x = 1", "object": object_}}, "write =="),
        ({"cel": {"expression": "self.x == 1", "object": object_}}, "there are object, inputs, outputs and now"),
        ({"cel": {"expression": "true", "object": object_, "each": "all"}}, "asked of a selection"),
        ({"cel": {"expresion": "true", "object": object_}}, "cel.expresion: there is no such field"),
        ({"output": {"expression": "true"}, "timout": "1s"}, "Did you mean timeout?"),
        ({"output": {"expression": "true"}, "timeout": "soon"}, "timeout"),
        ({"output": {"expression": "true"}, "timeout": "48h"}, "longer than a day"),
        ({"output": {"expression": "true"}, "interval": "10ms"}, "At least 1s"),
        ({"output": {"expression": "true"}, "when": "outputs"}, "not true or false"),
        ({"promql": {"query": "up"}}, "either `compare` or `expression`"),
        (
            {"output": {"expression": "true"}, "mode": "throughout", "stabilization": "1s"},
            "no meaning throughout",
        ),
    ):
        assert told in faults_of(**fields), (fields, faults_of(**fields))
