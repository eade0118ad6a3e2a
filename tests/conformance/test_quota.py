"""ResourceQuota on pods."""

from .api import Answer, Api, Json
from .objects import until


def pod(name: str, cpu: str = "") -> Json:
    main: Json = {"name": "main", "image": "busybox:1"}
    if cpu:
        main["resources"] = {"requests": {"cpu": cpu}}
    return {"metadata": {"name": name}, "spec": {"schedulerName": "nobody", "containers": [main]}}


async def hold(cluster: Api, **hard: str) -> None:
    made = await cluster.post("v1/resourcequotas", {"metadata": {"name": "q"}, "spec": {"hard": hard}})
    assert made.code == 201

    async def is_counted() -> bool:
        status = (await cluster.get("v1/resourcequotas/q")).body.get("status", {})
        return bool(status.get("hard") == hard and "used" in status)

    await until(is_counted)


async def refusal(cluster: Api, body: Json) -> Answer:
    refused = await cluster.post("v1/pods", body)
    assert (refused.code, refused.body["reason"]) == (403, "Forbidden")
    return refused


async def test_a_quota_counts_pods_and_refuses_one_too_many(cluster: Api) -> None:
    await hold(cluster, pods="1")
    assert (await cluster.post("v1/pods", pod("a"))).code == 201
    refused = await refusal(cluster, pod("b"))
    assert refused.message == (
        'pods "b" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1'
    )


async def test_a_quota_of_cpu_wants_to_know_what_a_pod_requests(cluster: Api) -> None:
    await hold(cluster, **{"requests.cpu": "1"})
    refused = await refusal(cluster, pod("a"))
    assert refused.message == 'pods "a" is forbidden: failed quota: q: must specify requests.cpu for: main'
    assert (await cluster.post("v1/pods", pod("a", "600m"))).code == 201
    refused = await refusal(cluster, pod("b", "600m"))
    assert "requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1" in refused.message


async def test_a_pod_that_is_gone_frees_its_share(cluster: Api) -> None:
    await hold(cluster, pods="1")
    await cluster.post("v1/pods", pod("a"))
    await cluster.delete("v1/pods/a")

    async def is_free() -> bool:
        return (await cluster.post("v1/pods?dryRun=All", pod("b"))).code == 201

    await until(is_free)
