"""Authors try their actions on a cluster of their own, with what the contract asks for and nothing more."""

import ast
import asyncio
import inspect

import kubernaut.testing
from kubernaut.sdk import DnsName, Inputs, Outputs, Permission, Run, Secret, action, kinds
from kubernaut.testing import trial_of


class MarkInputs(Inputs, frozen=True, kw_only=True):
    name: DnsName
    password: Secret | None = None


class MarkOutputs(Outputs, frozen=True, kw_only=True):
    was: str


def marking(*verbs: str) -> Permission:
    return Permission(api_groups=("",), resources=("configmaps",), verbs=verbs)


async def carry_out(inputs: MarkInputs, run: Run) -> MarkOutputs:
    found = await run.cluster.get(kinds.CONFIG_MAPS, inputs.name, "shop")
    await run.cluster.patch(found, {"data": {"mark": inputs.password or "x"}})
    return MarkOutputs(was=found["data"]["mark"])


def mark(*permissions: Permission):  # type: ignore[no-untyped-def]
    declared = action("test/mark", version="1.0.0", description="Marks.", permissions=permissions, reversible=True)
    return declared(carry_out)


OBJECT = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "a", "namespace": "shop"},
    "data": {"mark": "old"},
}


async def test_an_action_runs_as_in_its_pod_and_tells_what_it_did() -> None:
    async with trial_of(mark(marking("get", "patch"))) as trial:
        await trial.add(OBJECT)
        report = await trial.run({"name": "a"})
        assert report.succeeded, report.message
        assert (report.executed, report.outputs) == ("yes", {"was": "old"})
        assert (await trial.get(kinds.CONFIG_MAPS, "a", "shop"))["data"]["mark"] == "x"
        assert [change["name"] for change in report.changes] == ["a"]
        assert report.rollback is not None
        assert trial.unused_permissions() == []


async def test_a_permission_that_is_missing_fails_here_and_one_too_many_is_named() -> None:
    async with trial_of(mark(marking("get", "list"))) as trial:
        await trial.add(OBJECT)
        report = await trial.run({"name": "a"})
        assert (report.reason, report.executed) == ("Forbidden", "no")
        assert trial.unused_permissions() == ["list configmaps"]


async def test_inputs_that_break_the_contract_are_a_report_like_any_other() -> None:
    async with trial_of(mark(marking("get", "patch"))) as trial:
        report = await trial.run({"nome": "a"})
        assert (report.exit_code, report.executed) == (64, "no")
        assert "inputs.nome" in report.message


async def test_a_secret_input_reaches_the_action_and_not_the_report() -> None:
    async with trial_of(mark(marking("get", "patch"))) as trial:
        await trial.add(OBJECT)
        report = await trial.run({"name": "a"}, secrets={"password": "hunter2-hunter2"})
        assert report.succeeded, report.message
        assert (await trial.get(kinds.CONFIG_MAPS, "a", "shop"))["data"]["mark"] == "hunter2-hunter2"
        assert "hunter2" not in repr(report)


def test_a_trial_needs_no_plugin_of_pytest() -> None:
    async def story() -> bool:
        async with trial_of(mark(marking("get", "patch"))) as trial:
            await trial.add(OBJECT)
            return (await trial.run({"name": "none"})).reason == "NotFound"

    assert asyncio.run(story())


def test_authors_find_exactly_these_names_and_each_says_what_it_is() -> None:
    assert kubernaut.testing.__all__ == [
        "Check",
        "NotInTime",
        "Report",
        "Result",
        "Scenario",
        "ScenarioInvalid",
        "Stage",
        "Trial",
        "Verdict",
        "find_scenario",
        "open_stage",
        "play",
        "read_scenario",
        "run_scenario",
        "trial_of",
    ]
    for name in kubernaut.testing.__all__:
        assert inspect.getdoc(getattr(kubernaut.testing, name)), name
    source = ast.parse(inspect.getsource(kubernaut.testing.trial))
    for node in ast.walk(source):
        public = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_")
        assert not public or ast.get_docstring(node), ast.dump(node)[:60]
