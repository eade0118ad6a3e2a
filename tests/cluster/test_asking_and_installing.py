"""Reviews, discovery, installing; and what importing the room costs."""

import json
import subprocess
import sys
from typing import Any

import pytest
from tests.cluster.conftest import Script, status

from kubernaut.cluster import (
    Access,
    Applied,
    Cluster,
    ClusterError,
    Forbidden,
    NotFound,
    apply_manifests,
    crd_annotation,
    is_served,
    kinds,
    may,
    may_i,
)
from kubernaut.concurrency import VirtualClock

Json = dict[str, Any]


async def test_a_review_asks_exactly_what_is_meant_and_counts_as_no_write(
    cluster: Cluster, script: Script
) -> None:
    script.answers = [{"status": {"allowed": True, "reason": "RBAC"}}]
    access = Access("execute", "actiondefinitions", "kubernaut.ai", "apps", "scale")
    assert await may(cluster, access, "ann", ["dev"], uid="7") == (True, "RBAC")
    assert script.asked == [("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews")]
    assert json.loads(script.bodies[0])["spec"] == {
        "resourceAttributes": {
            "verb": "execute",
            "group": "kubernaut.ai",
            "resource": "actiondefinitions",
            "namespace": "apps",
            "name": "scale",
        },
        "user": "ann",
        "groups": ["dev"],
        "uid": "7",
    }
    assert cluster.writes == 0


async def test_denied_unknown_and_unclear_answers_are_all_no(cluster: Cluster, script: Script) -> None:
    script.answers = [
        {"status": {"allowed": False, "reason": "no rule"}},
        {"status": {"allowed": True, "denied": True}},
        {"status": {"evaluationError": "webhook down"}},
    ]
    access = Access("get", "pods")
    assert await may_i(cluster, access) == (False, "no rule")
    assert not (await may_i(cluster, access)).allowed
    assert await may_i(cluster, access) == (False, "webhook down")


async def test_a_kind_is_served_only_if_its_plural_is_in_its_group(cluster: Cluster, script: Script) -> None:
    script.answers = [{"resources": [{"name": "jobs/status"}, {"name": "jobs"}]}]
    assert await is_served(cluster, kinds.JOBS)
    assert not await is_served(cluster, kinds.CRON_JOBS)
    script.answers = [status(404, "NotFound")]
    assert not await is_served(cluster, kinds.WORKFLOW_EXECUTIONS)
    script.answers = [status(403, "Forbidden")]
    with pytest.raises(Forbidden):
        await is_served(cluster, kinds.JOBS)


async def test_the_installed_version_of_a_definition_can_be_read(cluster: Cluster, script: Script) -> None:
    script.answers = [{"metadata": {"annotations": {"kubernaut.ai/version": "3"}}}, {"metadata": {}}]
    kind = kinds.WORKFLOW_EXECUTIONS
    assert await crd_annotation(cluster, kind, "kubernaut.ai/version") == "3"
    assert await crd_annotation(cluster, kind, "kubernaut.ai/version") is None
    assert script.asked[0][1].endswith("/workflowexecutions.workflowexecution.kubernaut.ai")


NAMESPACE: Json = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}
ACCOUNT: Json = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a", "namespace": "n"}}
DEFINITION: Json = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.example.org"},
    "spec": {
        "group": "example.org",
        "names": {"kind": "Thing", "plural": "things"},
        "versions": [{"name": "v1", "served": True}],
    },
}


async def test_manifests_are_applied_in_the_order_that_works(cluster: Cluster, script: Script) -> None:
    before = {**NAMESPACE, "metadata": {"name": "n", "resourceVersion": "5", "managedFields": []}}
    after = {**NAMESPACE, "metadata": {"name": "n", "resourceVersion": "5"}}
    script.answers = [
        before,
        after,
        status(404, "NotFound"),  # the definition is new
        DEFINITION,
        status(404, "NotFound"),  # not served yet
        {"resources": [{"name": "things"}]},
        {**ACCOUNT, "metadata": {"name": "a", "resourceVersion": "5"}},
        {**ACCOUNT, "metadata": {"name": "a", "resourceVersion": "6", "labels": {"x": "y"}}},
    ]
    done = await apply_manifests(cluster, [ACCOUNT, DEFINITION, NAMESPACE], clock=VirtualClock())
    assert done == [
        Applied(kinds.NAMESPACES, "", "n", "unchanged"),
        Applied(kinds.CUSTOM_RESOURCE_DEFINITIONS, "", "things.example.org", "created"),
        Applied(kinds.SERVICE_ACCOUNTS, "n", "a", "configured"),
    ]
    patches = [path for method, path in script.asked if method == "PATCH"]
    assert patches[0] == "/api/v1/namespaces/n?fieldManager=kubernaut-install&force=true"


async def test_a_definition_that_never_comes_into_force_is_an_error(cluster: Cluster, script: Script) -> None:
    script.answers = [DEFINITION, DEFINITION, status(404, "NotFound")]
    with pytest.raises(ClusterError, match=r"things\.example\.org was installed, but is still not served"):
        await apply_manifests(cluster, [DEFINITION], clock=VirtualClock())


async def test_a_dry_run_does_not_stumble_over_what_it_did_not_create(cluster: Cluster, script: Script) -> None:
    script.answers = [status(404, "NotFound")]
    (done,) = await apply_manifests(cluster, [ACCOUNT], dry_run=True)
    assert done.change == "created"
    assert cluster.writes == 0
    with pytest.raises(NotFound):
        await apply_manifests(cluster, [ACCOUNT])


async def test_a_kind_that_is_not_known_is_refused_before_anything_is_sent(
    cluster: Cluster, script: Script
) -> None:
    strange = {"apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": "t"}}
    with pytest.raises(KeyError, match=r"no kind Thing in example\.org/v1"):
        await apply_manifests(cluster, [NAMESPACE, strange])
    assert script.asked == []


def test_kinds_are_consistent_and_no_two_share_a_path() -> None:
    paths = [(kind.root, kind.plural) for kind in kinds.BUILTIN]
    assert len(paths) == len(set(paths)) == 38
    assert kinds.JOBS.resource == "jobs.batch"
    assert kinds.kind_of({"apiVersion": "batch/v1", "kind": "Job"}) is kinds.JOBS


@pytest.mark.journey
def test_importing_the_room_brings_nothing_heavy() -> None:
    code = "import kubernaut.cluster, sys; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    heavy = {"aiohttp", "ssl", "tempfile", "yaml", "cryptography", "prometheus_client", "subprocess"}
    # asyncio itself imports ssl, subprocess and tempfile.
    asyncio_code = "import asyncio, sys; print(*sys.modules)"
    base = subprocess.run([sys.executable, "-c", asyncio_code], capture_output=True, text=True, check=True)
    assert imported & heavy - set(base.stdout.split()) == set()
    lazy = {f"kubernaut.cluster.{name}" for name in ("informer", "election", "kubeconfig", "applying")}
    assert imported & lazy == set()
