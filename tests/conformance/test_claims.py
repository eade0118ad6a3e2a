"""PersistentVolumes and the claims to them: binding, what outlives what, growing."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from .api import Json
from .work import Work

CLAIMS = "v1/persistentvolumeclaims"
VOLUMES = "/api/v1/persistentvolumes"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"


def claim(name: str = "data", size: str = "1Mi", **spec: Any) -> Json:
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": wanted}


@pytest.fixture
async def volume(work: Work) -> AsyncIterator[str]:
    """A volume of 2Mi of a class that the case has for itself; named as the class."""
    name = work.api.namespace
    yield await make_volume(work, name)
    await work.api.delete(f"{VOLUMES}/{name}")
    await work.api.delete(f"{CLASSES}/{name}")


async def make_volume(work: Work, name: str, size: str = "2Mi", **spec: Any) -> str:
    path = {"path": "/tmp"}
    wanted = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "hostPath": path}
    body = {"metadata": {"name": name}, "spec": {**wanted, "storageClassName": work.api.namespace, **spec}}
    await work.make(VOLUMES, body)
    await work.until(f"{VOLUMES}/{name}", lambda found: found["status"]["phase"] == "Available")
    return name


async def make_class(work: Work, **more: Any) -> None:
    body = {"metadata": {"name": work.api.namespace}, "provisioner": "kubernetes.io/no-provisioner", **more}
    await work.make(CLASSES, body)


async def bound(work: Work, name: str = "data") -> Json:
    return await work.until(f"{CLAIMS}/{name}", lambda found: found["status"]["phase"] == "Bound")


async def test_a_claim_is_bound_to_a_volume_that_fits(work: Work, volume: str) -> None:
    await work.make(CLAIMS, claim(storageClassName=volume))
    made = await bound(work)
    assert made["spec"]["volumeName"] == volume
    assert made["status"]["capacity"] == {"storage": "2Mi"}
    assert made["status"]["accessModes"] == ["ReadWriteOnce"]
    assert made["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] == "yes"
    found = await work.until(f"{VOLUMES}/{volume}", lambda v: v["status"]["phase"] == "Bound")
    reference = found["spec"]["claimRef"]
    assert (reference["namespace"], reference["name"]) == (work.api.namespace, "data")
    assert reference["uid"] == made["metadata"]["uid"]


async def test_the_smallest_volume_that_fits_is_taken(work: Work, volume: str) -> None:
    await make_volume(work, f"{volume}-big", "9Mi")
    await make_volume(work, f"{volume}-tiny", "1Ki")
    try:
        await work.make(CLAIMS, claim(storageClassName=volume))
        assert (await bound(work))["spec"]["volumeName"] == volume
    finally:
        await work.api.delete(f"{VOLUMES}/{volume}-big")
        await work.api.delete(f"{VOLUMES}/{volume}-tiny")


@pytest.mark.parametrize(
    "spec", [{"resources": {"requests": {"storage": "3Mi"}}}, {"accessModes": ["ReadWriteMany"]}]
)
async def test_a_claim_that_no_volume_fits_waits(work: Work, volume: str, spec: Json) -> None:
    await work.make(CLAIMS, claim(storageClassName=volume, **spec))
    await work.settle(1)
    assert (await work.get(f"{CLAIMS}/data"))["status"]["phase"] == "Pending"
    assert (await work.get(f"{VOLUMES}/{volume}"))["status"]["phase"] == "Available"


async def test_a_claim_waits_for_a_volume_that_comes_later(work: Work) -> None:
    name = work.api.namespace
    await work.make(CLAIMS, claim(storageClassName=name))
    await work.make(
        VOLUMES,
        {
            "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": "1Mi"},
                "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": "/tmp"},
                "storageClassName": name,
            },
        },
    )
    try:
        assert (await bound(work))["spec"]["volumeName"] == name
    finally:
        await work.api.delete(f"{VOLUMES}/{name}")


async def test_a_class_that_waits_for_a_consumer_binds_when_there_is_one(work: Work, volume: str) -> None:
    await make_class(work, volumeBindingMode="WaitForFirstConsumer")
    await work.make(CLAIMS, claim(storageClassName=volume))
    path = "v1/events?fieldSelector=involvedObject.name=data"
    found = await work.until(path, lambda events: events["items"])
    (event,) = found["items"]
    assert event["reason"] == "WaitForFirstConsumer"
    assert event["message"] == "waiting for first consumer to be created before binding"
    assert (await work.get(f"{CLAIMS}/data"))["status"]["phase"] == "Pending"
    await work.make("v1/pods", work.pod("user", "exit 0", volumes=[uses("data")]))
    assert (await bound(work))["spec"]["volumeName"] == volume
    await work.until_phase("user", "Succeeded")


def uses(name: str) -> Json:
    return {"name": "data", "persistentVolumeClaim": {"claimName": name}}


async def test_a_volume_that_is_retained_is_released_when_its_claim_goes(work: Work, volume: str) -> None:
    await work.make(CLAIMS, claim(storageClassName=volume))
    await bound(work)
    await work.api.delete(f"{CLAIMS}/data")
    await work.until_gone(f"{CLAIMS}/data")
    found = await work.until(f"{VOLUMES}/{volume}", lambda v: v["status"]["phase"] == "Released")
    assert found["spec"]["claimRef"]["name"] == "data"


async def test_what_a_pod_wrote_the_next_one_reads(work: Work) -> None:
    """On a volume of the default class."""
    await work.make(CLAIMS, claim())
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    await work.make(
        "v1/pods", work.pod("first", "echo hello > /data/said", container=mount, volumes=[uses("data")])
    )
    await work.until_phase("first", "Succeeded")
    await work.make("v1/pods", work.pod("second", "cat /data/said", container=mount, volumes=[uses("data")]))
    await work.until_phase("second", "Succeeded")
    assert (await work.api.get("v1/pods/second/log")).body == "hello\n"


async def test_a_volume_of_the_default_class_goes_with_its_claim(work: Work) -> None:
    await work.make(CLAIMS, claim())
    await work.make("v1/pods", work.pod("user", "exit 0", volumes=[uses("data")]))
    name = (await bound(work))["spec"]["volumeName"]
    await work.until_phase("user", "Succeeded")
    await work.api.delete("v1/pods/user")
    await work.until_gone("v1/pods/user")
    await work.api.delete(f"{CLAIMS}/data")
    await work.until_gone(f"{VOLUMES}/{name}")


async def test_a_pod_whose_claim_is_not_there_waits_and_says_so(work: Work) -> None:
    await work.make("v1/pods", work.pod("user", volumes=[uses("none")]))

    def is_told(pod: Json) -> bool:
        found = next(c for c in pod["status"]["conditions"] if c["type"] == "PodScheduled")
        return 'persistentvolumeclaim "none" not found' in found["message"]

    found = await work.until("v1/pods/user", is_told)
    assert found["status"]["phase"] == "Pending"


# -- growing ---------------------------------------------------------------------------------------

GROWN = {"spec": {"resources": {"requests": {"storage": "2Mi"}}}}
FORBIDDEN = (
    'persistentvolumeclaims "data" is forbidden: only dynamically provisioned pvc can be resized and the '
    "storageclass that provisions the pvc must support resize"
)


async def test_a_claim_may_not_grow_where_its_class_forbids_it(work: Work, volume: str) -> None:
    await make_class(work)
    await work.make(CLAIMS, claim(storageClassName=volume))
    await bound(work)
    refused = await work.api.patch(f"{CLAIMS}/data", GROWN)
    assert (refused.code, refused.body["reason"], refused.message) == (403, "Forbidden", FORBIDDEN)


async def test_a_claim_may_grow_where_its_class_allows_it(work: Work, volume: str) -> None:
    await make_class(work, allowVolumeExpansion=True)
    await work.make(CLAIMS, claim(storageClassName=volume))
    await bound(work)
    grown = await work.patch(f"{CLAIMS}/data", **GROWN)
    assert grown["spec"]["resources"]["requests"]["storage"] == "2Mi"


async def test_a_claim_may_not_shrink(work: Work, volume: str) -> None:
    await make_class(work, allowVolumeExpansion=True)
    await work.make(CLAIMS, claim(storageClassName=volume))
    await bound(work)
    refused = await work.api.patch(f"{CLAIMS}/data", {"spec": {"resources": {"requests": {"storage": "1Ki"}}}})
    assert refused.code == 422
    cause = ("spec.resources.requests.storage", "FieldValueForbidden")
    assert refused.causes == [(*cause, "Forbidden: field can not be less than status.capacity")]


async def test_a_claim_that_waits_may_not_change_its_size(work: Work, volume: str) -> None:
    await make_class(work, allowVolumeExpansion=True)
    await work.make(CLAIMS, claim(size="3Mi", storageClassName=volume))
    refused = await work.api.patch(f"{CLAIMS}/data", {"spec": {"resources": {"requests": {"storage": "9Mi"}}}})
    assert refused.code == 422
    text = (
        "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
    )
    assert refused.causes[0][:2] == ("spec", "FieldValueForbidden")
    assert text in refused.causes[0][2]


async def test_only_the_size_of_a_bound_claim_may_change(work: Work, volume: str) -> None:
    await work.make(CLAIMS, claim(storageClassName=volume))
    await bound(work)
    refused = await work.api.patch(f"{CLAIMS}/data", {"spec": {"accessModes": ["ReadWriteMany"]}})
    assert refused.code == 422
    assert refused.causes[0][:2] == ("spec", "FieldValueForbidden")


async def test_a_claim_needs_a_mode_and_a_size(work: Work) -> None:
    refused = await work.api.post(CLAIMS, {"metadata": {"name": "data"}, "spec": {}})
    assert refused.code == 422
    assert [cause[0] for cause in refused.causes] == ["spec.accessModes", "spec.resources[storage]"]
