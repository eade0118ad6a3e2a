"""Quotas refuse pods and Jobs with the API server's words, and let them in when there is room."""

import pytest

from kubernaut.devcluster.errors import Forbidden
from kubernaut.devcluster.resources import DEPLOYMENTS, JOBS, PODS

from .test_rollouts import deployment, roll
from .worlds import NAMESPACE, World

QUOTA = "resourcequotas"


def limit(world: World, **hard: str) -> None:
    named = {key.replace("__", "/").replace("_", "."): value for key, value in hard.items()}
    world.create(QUOTA, {"metadata": {"name": "tight"}, "spec": {"hard": named}})


async def test_a_job_too_many_is_refused(world: World) -> None:
    limit(world, count__jobs_batch="1")
    world.create_job("first", "x:1", suspend=True)
    with pytest.raises(Forbidden) as refused:
        world.create_job("second", "x:1", suspend=True)
    assert refused.value.message == (
        'jobs.batch "second" is forbidden: exceeded quota: tight, requested: count/jobs.batch=1, '
        "used: count/jobs.batch=1, limited: count/jobs.batch=1"
    )


async def test_a_jobs_pod_that_finds_no_room_is_created_later(world: World) -> None:
    limit(world, pods="1")
    world.create_pod("taken", restartPolicy="Always")
    world.create_job("run", "x:1")
    event = await world.until_event("FailedCreate", "run")
    assert "exceeded quota: tight, requested: pods=1, used: pods=1, limited: pods=1" in event["message"]
    job = await world.until(JOBS, "run", lambda found: found["status"].get("startTime"))
    assert "active" not in job["status"]
    world.store.delete(PODS, "taken", NAMESPACE, grace=0)
    await world.until(JOBS, "run", lambda found: found["status"].get("active") == 1)


async def test_a_deployment_says_that_it_was_refused(world: World) -> None:
    limit(world, pods="2")
    world.create(DEPLOYMENTS, deployment())

    def is_refused(found: dict[str, object]) -> bool:
        conditions = found["status"].get("conditions", [])  # type: ignore[attr-defined]
        return any(c["type"] == "ReplicaFailure" and "exceeded quota" in c["message"] for c in conditions)

    await world.until(DEPLOYMENTS, "payment-service", is_refused)
    world.store.delete(QUOTA, "tight", NAMESPACE)
    found = await roll(world)
    assert all(c["type"] != "ReplicaFailure" for c in found["status"]["conditions"])


async def test_what_pods_ask_for_is_summed_up(world: World) -> None:
    limit(world, requests_memory="100Mi", pods="5")
    asks = {"resources": {"requests": {"memory": "60Mi"}}}
    world.create_pod("first", container=asks, restartPolicy="Always")
    with pytest.raises(Forbidden, match=r"used: requests.memory=60Mi, limited: requests.memory=100Mi"):
        world.create_pod("second", container=asks, restartPolicy="Always")
    quota = await world.until(QUOTA, "tight", lambda found: found.get("status", {}).get("used"))
    await world.until(QUOTA, "tight", lambda found: found["status"]["used"]["pods"] == "1")
    assert quota["status"]["hard"] == {"requests.memory": "100Mi", "pods": "5"}
