"""PodDisruptionBudgets and evictions."""

from typing import Any

from .api import Answer, Json
from .work import Work, condition, holds, is_ready

PATH = "policy/v1/poddisruptionbudgets"
REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."


async def evict(work: Work, name: str, **options: Any) -> Answer:
    body: Json = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    if options:
        body["deleteOptions"] = options
    return await work.api.post(f"v1/pods/{name}/eviction", body)


async def web(work: Work, replicas: int = 2) -> list[str]:
    """Names of the ready pods of a Deployment."""
    await work.make("apps/v1/deployments", work.workload("Deployment", "web", replicas=replicas))
    pods = await work.until_pods(replicas, is_ready, app="web")
    return [str(pod["metadata"]["name"]) for pod in pods]


async def budget(work: Work, allowed: int, **spec: Any) -> Json:
    selector = {"matchLabels": {"app": "web"}}
    body = {"metadata": {"name": "keep"}, "spec": {"selector": selector, **spec}}
    await work.make(PATH, body)

    def is_counted(found: Json) -> bool:
        status = found["status"]
        return status.get("observedGeneration") == 1 and status["disruptionsAllowed"] == allowed

    return await work.until(f"{PATH}/keep", is_counted)


async def test_a_budget_says_what_it_allows(work: Work) -> None:
    await web(work, 3)
    found = await budget(work, 1, minAvailable=2)
    status = found["status"]
    parts = ("currentHealthy", "desiredHealthy", "expectedPods", "disruptionsAllowed")
    assert [status[part] for part in parts] == [3, 2, 3, 1]
    told = condition(found, "DisruptionAllowed")
    assert (told["status"], told["reason"], told["message"]) == ("True", "SufficientPods", "")


async def test_a_share_is_of_what_the_workload_wants(work: Work) -> None:
    await web(work, 3)
    found = await budget(work, 1, minAvailable="50%")
    assert found["status"]["desiredHealthy"] == 2


async def test_a_budget_of_unavailable_pods_follows_the_workloads_size(work: Work) -> None:
    await web(work)
    await budget(work, 1, maxUnavailable=1)
    await work.patch("apps/v1/deployments/web", spec={"replicas": 3})
    found = await work.until(f"{PATH}/keep", lambda b: b["status"]["desiredHealthy"] == 2)
    assert found["status"]["expectedPods"] == 3


async def test_an_eviction_beyond_the_budget_is_refused(work: Work) -> None:
    first, second = await web(work)
    found = await budget(work, 0, minAvailable=2)
    assert holds(found, "DisruptionAllowed", "False", "InsufficientPods")
    for name in (first, second):
        refused = await evict(work, name)
        assert (refused.code, refused.body["reason"], refused.message) == (429, "TooManyRequests", REFUSED)
        cause = "The disruption budget keep needs 2 healthy pods and has 2 currently"
        assert refused.body["details"] == {"causes": [{"reason": "DisruptionBudget", "message": cause}]}
    await work.until_pods(2, is_ready, app="web")


async def test_an_eviction_within_the_budget_deletes_and_uses_it_up(work: Work) -> None:
    slow = "trap 'sleep 3; exit 0' TERM; sleep 100000 & wait"
    for name in ("first", "second"):
        await work.make("v1/pods", work.pod(name, slow, metadata={"labels": {"app": "web"}}))
        await work.until_ready(name)
    await budget(work, 1, minAvailable=1)
    answer = await evict(work, "first")
    assert (answer.code, answer.body["status"]) == (201, "Success")
    assert (await evict(work, "second")).code == 429


async def test_an_evicted_pod_says_why_it_goes(work: Work) -> None:
    await work.make("v1/pods", work.pod("lone", "trap 'sleep 2; exit 0' TERM; sleep 100000 & wait"))
    await work.until_ready("lone")
    assert (await evict(work, "lone")).code == 201
    found = await work.get("v1/pods/lone")
    told = condition(found, "DisruptionTarget")
    assert (told["reason"], told["message"]) == ("EvictionByEvictionAPI", "Eviction API: evicting")
    assert found["metadata"]["deletionGracePeriodSeconds"] == 5
    await work.until_gone("v1/pods/lone")


async def test_a_dry_run_of_an_eviction_asks_the_budget_and_evicts_nothing(work: Work) -> None:
    first, _ = await web(work)
    assert (await evict(work, first, dryRun=["All"])).code == 201
    await budget(work, 0, minAvailable=2)
    assert (await evict(work, first, dryRun=["All"])).code == 429
    assert is_ready(await work.get(f"v1/pods/{first}"))


async def test_an_eviction_may_be_tied_to_a_pods_uid(work: Work) -> None:
    first, _ = await web(work)
    refused = await evict(work, first, preconditions={"uid": "another"})
    assert (refused.code, refused.body["reason"]) == (409, "Conflict")


async def test_evicting_a_pod_that_is_not_there_is_not_found(work: Work) -> None:
    assert (await evict(work, "nobody")).code == 404


async def test_two_budgets_for_one_pod_are_too_many(work: Work) -> None:
    first, _ = await web(work)
    await budget(work, 1, minAvailable=1)
    other = {
        "metadata": {"name": "other"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 1},
    }
    await work.make(PATH, other)
    refused = await evict(work, first)
    assert refused.code == 500
    text = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
    assert refused.message == text


async def test_a_pod_that_does_not_run_may_always_be_evicted(work: Work) -> None:
    await work.make("v1/pods", work.pod("waits", metadata={"labels": {"app": "web"}}, schedulerName="nobody"))
    await budget(work, 0, minAvailable=1)
    assert (await evict(work, "waits")).code == 201
    await work.until_gone("v1/pods/waits")


async def test_a_pod_that_is_not_ready_may_go_while_enough_others_are(work: Work) -> None:
    await web(work, 1)
    gate = [{"conditionType": "example.com/never"}]
    await work.make("v1/pods", work.pod("ails", metadata={"labels": {"app": "web"}}, readinessGates=gate))
    await work.until_phase("ails", "Running")
    await budget(work, 0, minAvailable=1)
    assert (await evict(work, "ails")).code == 201


async def test_a_pod_that_is_not_ready_stays_while_too_few_others_are(work: Work) -> None:
    gate = [{"conditionType": "example.com/never"}]
    await work.make("v1/pods", work.pod("ails", metadata={"labels": {"app": "web"}}, readinessGates=gate))
    await work.until_phase("ails", "Running")
    await budget(work, 0, minAvailable=1)
    assert (await evict(work, "ails")).code == 429
    await work.patch(f"{PATH}/keep", spec={"unhealthyPodEvictionPolicy": "AlwaysAllow"})
    await work.until_answer(lambda: evict(work, "ails"), 201)


async def test_a_budget_has_one_bound_only(work: Work) -> None:
    spec = {"selector": {"matchLabels": {"a": "b"}}, "minAvailable": 1, "maxUnavailable": 1}
    refused = await work.api.post(PATH, {"metadata": {"name": "keep"}, "spec": spec})
    assert refused.code == 422
    assert refused.causes[0][2].endswith("minAvailable and maxUnavailable cannot be both set")
