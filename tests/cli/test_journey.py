"""What a user types, against a whole cluster in this process."""

from pathlib import Path

import pytest
import yaml

from kubernaut.cli.examples import example
from kubernaut.cli.exits import Exit
from kubernaut.cluster import kinds

from .conftest import Shell

pytestmark = [pytest.mark.journey, pytest.mark.timeout(60)]

SCALE = str(example("scale.yaml"))
TEXT = example("scale.yaml").read_text()
NAME = "scale-payment-service"


async def replicas(shell: Shell) -> int:
    found = await shell.cluster.get(kinds.DEPLOYMENTS, "payment-service", "production")
    return int(found["spec"]["replicas"])


async def test_a_remediation_is_submitted_followed_and_looked_at(shell: Shell) -> None:
    said = await shell("run", "-f", SCALE, "--wait")
    assert said.code == Exit.SUCCEEDED, said.err
    assert f"{NAME} Completed" in said.out
    assert await replicas(shell) == 10

    listed = await shell("get")
    assert listed.out.splitlines()[0].split()[:3] == ["NAME", "PHASE", "STEPS"]
    assert listed.out.splitlines()[1].split()[:3] == [NAME, "Completed", "1/1"]
    named = await shell("get", "-o", "name")
    assert named.out == f"workflowexecution.workflowexecution.kubernaut.ai/{NAME}\n"
    whole = yaml.safe_load((await shell("get", NAME, "-o", "yaml")).out)
    assert whole["status"]["phase"] == "Completed"
    assert "managedFields" not in whole["metadata"]

    described = await shell("describe", NAME)
    assert "Phase:      Completed" in described.out
    assert "scale-deployment   Succeeded" in described.out
    logs = await shell("logs", NAME)
    assert "3 -> 10" in logs.out
    assert "ROLLBACK_INFO" in logs.out

    again = await shell("run", "-f", SCALE)
    assert (again.code, again.out) == (Exit.SUCCEEDED, f"workflowexecution/{NAME} unchanged\n")


async def test_the_same_name_for_something_else_is_refused_unless_asked_for_anew(
    shell: Shell, tmp_path: Path
) -> None:
    assert (await shell("run", "-f", SCALE, "--wait")).code == Exit.SUCCEEDED
    other = tmp_path / "other.yaml"
    other.write_text(TEXT.replace("replicas: 10", "replicas: 2"))
    refused = await shell("run", "-f", str(other))
    assert refused.code == Exit.REFUSED
    assert "asks for something else" in refused.err
    assert (await shell("run", "-f", str(other), "--again", "--wait")).code == Exit.SUCCEEDED
    assert await replicas(shell) == 2


async def test_a_fault_is_refused_with_its_line_before_anything_is_created(shell: Shell, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(TEXT.replace("replicas: 10", "replicas: 1000"))
    line = next(n for n, text in enumerate(wrong.read_text().splitlines(), 1) if "replicas: 1000" in text)
    said = await shell("run", "-f", str(wrong), "--wait")
    assert said.code == Exit.REFUSED
    assert f"wrong.yaml:{line}:" in said.err
    assert (await shell("get")).out == ""


async def test_a_failure_a_cancellation_and_a_timeout_have_their_own_exit_codes(
    shell: Shell, tmp_path: Path
) -> None:
    failing = tmp_path / "failing.yaml"
    failing.write_text(
        TEXT.replace(f"name: {NAME}", "name: failing").replace("deployment: payment-service", "deployment: nobody")
    )
    assert (await shell("run", "-f", str(failing), "--wait")).code == Exit.FAILED

    slow = tmp_path / "slow.yaml"
    slow.write_text(
        TEXT.replace(f"name: {NAME}", "name: slow")
        .replace("deployment: payment-service", "deployment: nobody")
        .replace("      inputs:", "      retry: {limit: 3, backoff: {base: 5m}}\n      inputs:")
    )
    waited = await shell("run", "-f", str(slow), "--wait", "--timeout", "1s")
    assert waited.code == Exit.TIMED_OUT
    assert "kubernaut watch slow" in waited.err
    cancelled = await shell("cancel", "slow", "--reason", "enough", "--wait")
    assert cancelled.code == Exit.SUCCEEDED
    assert (await shell("watch", "slow")).code == Exit.CANCELLED
    assert "enough" in (await shell("describe", "slow")).out
    assert (await shell("cancel", "slow")).out == "slow has already ended: Cancelled\n"


async def test_a_cluster_without_kubernaut_is_told_how_to_get_it(shell: Shell) -> None:
    for kind in (kinds.WORKFLOW_EXECUTIONS, kinds.ACTION_EXECUTIONS, kinds.ACTION_DEFINITIONS):
        await shell.cluster.delete(kinds.CUSTOM_RESOURCE_DEFINITIONS, kind.resource)
    for arguments in (["get"], ["run", "-f", SCALE]):
        said = await shell(*arguments)
        assert said.code == Exit.UNREACHABLE
        assert "kubernaut install --apply" in said.err


async def test_definitions_older_than_this_program_are_named(shell: Shell) -> None:
    old = {"metadata": {"annotations": {"kubernaut.ai/schema-version": "0"}}}
    kind = kinds.WORKFLOW_EXECUTIONS
    await shell.cluster.patch(kinds.CUSTOM_RESOURCE_DEFINITIONS, kind.resource, None, old)
    said = await shell("run", "-f", SCALE)
    assert said.code == Exit.UNREACHABLE
    assert "schema 0, this program needs" in said.err
