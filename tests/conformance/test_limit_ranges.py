"""LimitRanges: what containers get that say nothing, and what they may not say."""

from typing import Any

from .api import Answer, Api, Json

CLASS = "kubernetes.io/limit-ranger"


async def limit(cluster: Api, *items: Json, code: int = 201) -> Answer:
    body = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"}, "spec": {"limits": list(items)}}
    made = await cluster.post("v1/limitranges", body)
    assert made.code == code, made.body
    return made


async def pod(cluster: Api, resources: Json | None = None, **more: Any) -> Answer:
    """A dry run: it is judged like any other, and needs no node."""
    container = {"name": "main", "image": "busybox:1", "resources": resources or {}}
    body = {"metadata": {"name": "p"}, "spec": {"containers": [container], **more}}
    return await cluster.post("v1/pods?dryRun=All", body)


async def test_a_container_that_says_nothing_gets_the_defaults(cluster: Api) -> None:
    await limit(cluster, {"type": "Container", "default": {"cpu": "2"}, "defaultRequest": {"memory": "1Gi"}})
    made = await pod(cluster)
    resources = made.body["spec"]["containers"][0]["resources"]
    assert resources == {"limits": {"cpu": "2"}, "requests": {"cpu": "2", "memory": "1Gi"}}
    told = "LimitRanger plugin set: cpu, memory request for container main; cpu limit for container main"
    assert made.body["metadata"]["annotations"][CLASS] == told
    assert made.body["status"]["qosClass"] == "Burstable"


async def test_what_a_container_says_stays(cluster: Api) -> None:
    await limit(cluster, {"type": "Container", "default": {"cpu": "2"}, "defaultRequest": {"cpu": "1"}})
    made = await pod(cluster, {"limits": {"cpu": "3"}, "requests": {"cpu": "500m"}})
    assert made.body["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "3"}, "requests": {"cpu": "500m"}}
    assert CLASS not in made.body["metadata"].get("annotations", {})


async def test_bounds_are_defaults_where_there_are_none(cluster: Api) -> None:
    made = await limit(cluster, {"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "1", "memory": "1Mi"}})
    item = made.body["spec"]["limits"][0]
    assert (item["default"], item["defaultRequest"]) == ({"cpu": "2"}, {"cpu": "2", "memory": "1Mi"})


BOUNDS: list[tuple[Json, Json, str]] = [
    (
        {"type": "Container", "max": {"cpu": "1"}},
        {"limits": {"cpu": "2"}},
        "maximum cpu usage per Container is 1, but limit is 2",
    ),
    (
        {"type": "Container", "min": {"memory": "1Mi"}},
        {"requests": {"memory": "1Ki"}},
        "minimum memory usage per Container is 1Mi, but request is 1Ki",
    ),
    ({"type": "Pod", "max": {"cpu": "1"}}, {}, "maximum cpu usage per Pod is 1.  No limit is specified"),
    ({"type": "Pod", "min": {"cpu": "1"}}, {}, "minimum cpu usage per Pod is 1.  No request is specified"),
    (
        {"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}},
        {"limits": {"cpu": "3"}, "requests": {"cpu": "1"}},
        "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000",
    ),
]


async def test_what_is_out_of_bounds_is_refused(cluster: Api) -> None:
    for item, resources, told in BOUNDS:
        await limit(cluster, item)
        # Other servers than the one asked may know the range a moment later.
        while (refused := await pod(cluster, resources)).code == 201:
            pass
        assert (refused.code, refused.body["reason"]) == (403, "Forbidden")
        assert refused.message == f'pods "p" is forbidden: {told}'
        await cluster.delete("v1/limitranges/l")


async def test_all_that_is_out_of_bounds_is_told(cluster: Api) -> None:
    await limit(cluster, {"type": "Container", "max": {"cpu": "1", "memory": "1Mi"}})
    refused = await pod(cluster, {"limits": {"cpu": "2", "memory": "1Gi"}})
    assert refused.message.startswith('pods "p" is forbidden: [maximum ')
    assert "maximum cpu usage per Container is 1, but limit is 2" in refused.message
    assert "maximum memory usage per Container is 1Mi, but limit is 1Gi" in refused.message


async def test_a_pods_containers_are_counted_together(cluster: Api) -> None:
    await limit(cluster, {"type": "Pod", "max": {"cpu": "1"}})
    each: Json = {"image": "busybox:1", "resources": {"limits": {"cpu": "600m"}}}
    first = {"name": "first", "image": "busybox:1", "resources": {"limits": {"cpu": "800m"}}}
    assert (await pod(cluster, each["resources"], initContainers=[first])).code == 201
    refused = await pod(cluster, containers=[{"name": name, **each} for name in "ab"])
    assert "maximum cpu usage per Pod is 1, but limit is 1200m" in refused.message


async def test_a_claim_keeps_to_its_bounds(cluster: Api) -> None:
    await limit(cluster, {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}})

    async def claim(size: str) -> Answer:
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
        return await cluster.post(
            "v1/persistentvolumeclaims?dryRun=All", {"metadata": {"name": "c"}, "spec": spec}
        )

    assert (await claim("1Gi")).code == 201
    few, many = await claim("1Mi"), await claim("3Gi")
    kind = "PersistentVolumeClaim"
    assert few.message.endswith(f"minimum storage usage per {kind} is 1Gi, but request is 1Mi")
    assert many.message.endswith(f"maximum storage usage per {kind} is 2Gi, but request is 3Gi")


async def test_bounds_that_contradict_each_other_are_refused(cluster: Api) -> None:
    refused = await limit(cluster, {"type": "Container", "max": {"cpu": "1"}, "min": {"cpu": "2"}}, code=422)
    assert ("spec.limits[0].min[cpu]", "FieldValueInvalid") in [cause[:2] for cause in refused.causes]
    assert "min value 2 is greater than max value 1" in refused.message
