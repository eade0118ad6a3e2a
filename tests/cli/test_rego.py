"""The policy commands, where a session would not show it: JSON, exit codes, standard input, a cluster."""

import json
from pathlib import Path
from typing import Any

import pytest

from kubernaut.cluster import Cluster, kinds

from .conftest import Kubernaut, Said

# Each goes through a process of its own, whose start a busy machine makes slow.
pytestmark = pytest.mark.journey

HEAD = "package kubernaut.a\n\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a test's policies stand."""
    (tmp_path / "policies").mkdir()
    return tmp_path / "policies"


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.rego").write_text(text)
    return folder


def document(folder: Path, **parts: Any) -> str:
    path = folder.parent / "input.json"
    path.write_text(json.dumps(parts))
    return str(path)


def rows(said: Said) -> Any:
    return json.loads(said.out)


def test_a_verdict_as_json_says_who_decided_on_what(kubernaut: Kubernaut, folder: Path) -> None:
    write(folder, a=f'{HEAD}allow if true\n\nrequire_approval contains {{"msg": "ask", "group": "sre"}}\n')
    source = document(folder, action={"type": "x/y"})
    said = kubernaut("policy", "eval", "-i", source, "-p", str(folder), "--no-library", "-o", "json")
    answer = rows(said)
    assert (said.code, answer["allowed"], answer["requiresApproval"]) == (0, True, True)
    (finding,) = answer["findings"]
    assert (finding["rule"], finding["line"], finding["details"]) == (
        "data.kubernaut.a.require_approval",
        5,
        {"group": "sre"},
    )
    assert finding["file"] == str(folder / "a.rego")
    assert answer["policies"].startswith("sha256:")
    assert answer["input"].startswith("sha256:")
    assert "warning: kubernaut would send no such input" in said.err


def test_no_package_that_allows_is_a_denial_with_its_exit_code(kubernaut: Kubernaut, folder: Path) -> None:
    write(folder, a=f'{HEAD}deny contains "never" if input.bad\n')
    said = kubernaut("policy", "eval", "-i", document(folder), "-p", str(folder), "--no-library")
    assert said.code == 3
    assert "no rule set matches" in said.out


@pytest.mark.parametrize(
    ("query", "code"),
    [("data.kubernaut.a.yes", 0), ("data.kubernaut.a.no", 3), ("data.kubernaut.a.none", 3), ("x +", 1)],
)
def test_a_query_that_is_undefined_or_false_does_not_succeed(
    kubernaut: Kubernaut, folder: Path, query: str, code: int
) -> None:
    """What a script makes of the exit code must not let something run (`opa eval` exits with 0)."""
    write(folder, a=f"{HEAD}yes := 1\n\nno := false\n\nnone if input.x\n")
    said = kubernaut("policy", "eval", query, "-i", document(folder), "-p", str(folder), "--no-library")
    assert said.code == code, said.err


def test_an_evaluation_that_never_ends_is_stopped_and_denied(kubernaut: Kubernaut, folder: Path) -> None:
    loop = "deny contains 1 if { input.x; some a in r; some b in r; some c in r; a * b * c < 0 }"
    write(folder, a=f"{HEAD}allow if true\n\nr := numbers.range(1, 3000)\n\n{loop}\n")
    arguments = ("-i", document(folder, x=1), "-p", str(folder), "--no-library", "--timeout", "300ms")
    said = kubernaut("policy", "eval", *arguments)
    assert said.code == 3
    assert "longer than 0.3 s" in said.out
    said = kubernaut(
        "policy",
        "test",
        str(write(folder, a_test=f'{HEAD}test_x if deny with input as {{"x": 1}}\ntest_y if true\n')),
        "--timeout",
        "300ms",
    )
    assert said.code == 1
    assert "1 passed, 1 error" in said.err


def test_tests_as_json_tell_line_print_and_coverage(kubernaut: Kubernaut, folder: Path) -> None:
    write(folder, a=f"{HEAD}x := 1 if input.a\n\ny := 2 if input.b\n")
    body = 'x == 1 with input as {"a": 1}\n\tprint("got", x)\n\tx == 2 with input as {"a": 1}'
    write(folder, a_test=f"{HEAD}test_one if {{\n\t{body}\n}}\n\ntodo_test_two if false\n")
    said = kubernaut("policy", "test", str(folder), "--no-library", "-c", "-o", "json")
    answer = rows(said)
    assert said.code == 1
    one, two = answer["tests"]
    assert (one["outcome"], one["line"], two["outcome"]) == ("failed", 6, "skipped")
    assert answer["coverage"]["files"][0]["missed"] == [5]
    assert answer["coverage"]["percent"] < 100


def test_a_threshold_of_coverage_fails_tests_that_pass(kubernaut: Kubernaut, folder: Path) -> None:
    write(
        folder,
        a=f"{HEAD}x := 1 if input.a\n\ny := 2 if input.b\n",
        a_test=f"{HEAD}test_x if x with input.a as 1\n",
    )
    assert kubernaut("policy", "test", str(folder), "--no-library").code == 0
    said = kubernaut("policy", "test", str(folder), "--no-library", "--threshold", "90")
    assert said.code == 1
    assert "below 90 %" in said.err


def test_nothing_to_test_is_no_success(kubernaut: Kubernaut, folder: Path) -> None:
    assert kubernaut("policy", "test", str(folder)).code == 2
    write(folder, a=f"{HEAD}allow if true\n")
    assert kubernaut("policy", "test", str(folder)).code == 1
    assert kubernaut("policy", "test").code == 2
    assert kubernaut("policy", "test", str(folder), "-r", "[").code == 2


DOUBTS = {
    'deny contains {"code": 3} if input.action.type\n': "gives an object without msg",
    "deny contains 3 if input.action.type\n": "neither text nor an object",
    'denies contains "x" if input.action.type\n': "Did you mean deny?",
    'deny contains "x" if input.action.typ == 1\n': "has no input.action.typ. Did you mean type?",
    'deny contains "x" if input.target_resource.name == 1\n': "has no input.target_resource",
    'deny contains "x" if not startswith(input.target.name, "a")\n': "engines differ on `not`",
}


@pytest.mark.parametrize("text", DOUBTS)
def test_what_would_never_fire_or_never_be_understood_is_doubted(
    kubernaut: Kubernaut, folder: Path, text: str
) -> None:
    write(folder, a=HEAD + text)
    said = kubernaut("policy", "lint", str(folder))
    assert said.code == 0
    assert DOUBTS[text] in said.out
    assert f"{folder / 'a.rego'}:3:" in said.out
    assert kubernaut("policy", "lint", str(folder), "--strict").code == 3


def test_packages_that_nobody_reads_or_that_are_shipped_are_doubted(kubernaut: Kubernaut, folder: Path) -> None:
    write(
        folder,
        a="package shop\n\nx := 1\n",
        b='package kubernaut.library.production\n\ndeny contains "x" if input.action.type == "q"\n',
        c="package read\n\ny := 1\n",
        d='package kubernaut.d\n\nimport data.read\n\ndeny contains "x" if read.y == 2\n',
    )
    said = kubernaut("policy", "lint", str(folder), "-o", "json")
    assert [(Path(row["path"]).name, row["message"]) for row in rows(said)] == [
        ("a.rego", "nobody reads the package shop"),
        ("b.rego", "the package kubernaut.library.production is a shipped one: its rules and these become one"),
    ]
    said = kubernaut("policy", "lint", str(folder), "--no-library")
    assert "everything is denied" in said.out


def test_the_example_is_an_input_that_the_shipped_policies_allow(kubernaut: Kubernaut, tmp_path: Path) -> None:
    said = kubernaut("policy", "show", "--example")
    (tmp_path / "input.yaml").write_text(said.out)
    said = kubernaut("policy", "eval", "-i", str(tmp_path / "input.yaml"))
    assert (said.code, said.err) == (0, "")
    assert "max_replicas: 110" in kubernaut("policy", "show", "--settings").out


@pytest.mark.journey
async def test_what_is_in_force_in_a_cluster_comes_from_its_config_maps(
    shared: Path, at_cluster: Kubernaut
) -> None:
    import asyncio

    async def show(*arguments: str) -> Said:
        return await asyncio.to_thread(at_cluster, "policy", "show", "--cluster", "-n", "production", *arguments)

    def config_map(text: str) -> dict[str, Any]:
        metadata = {
            "name": "policies-of-a-test",
            "namespace": "production",
            "labels": {"kubernaut.ai/policy": "true"},
        }
        data = {"mine.rego": text, "settings.yaml": "kubernaut: {settings: {limits: {max_replicas: 7}}}"}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}

    async with Cluster.connect(shared) as cluster:
        made = await cluster.create(
            kinds.CONFIG_MAPS, config_map('package kubernaut.mine\n\ndeny contains "x" if false\n')
        )
        try:
            said = await show()
            assert "production/policies-of-a-test/mine.rego" in said.out
            assert "max_replicas: 7" in (await show("--settings")).out
            broken = {**made, "data": {"mine.rego": "package kubernaut.mine\n\ndeny[x] { x := 1 }\n"}}
            await cluster.replace(kinds.CONFIG_MAPS, broken)
            said = await show()
            assert said.code == 3
            assert "production/policies-of-a-test/mine.rego:3:9: this is Rego of before OPA 1.0" in said.err
        finally:
            await cluster.delete(kinds.CONFIG_MAPS, "policies-of-a-test", "production")
