"""Pod Security: what a namespace asks of its pods."""

import pytest

from .api import Answer, Api, Json
from .objects import deployment, until

GOOD: Json = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


async def demand(cluster: Api, **levels: str) -> None:
    """In force when this returns: a real server hears of the labels a moment later."""
    labels = {f"pod-security.kubernetes.io/{mode}": level for mode, level in levels.items()}
    patched = await cluster.patch(f"/api/v1/namespaces/{cluster.namespace}", {"metadata": {"labels": labels}})
    assert patched.code == 200

    async def is_known() -> bool:
        answer = await tried(cluster, {"privileged": True})
        return answer.code == 403 or "Warning" in answer.headers

    await until(is_known)


async def tried(cluster: Api, context: Json | None = None, **spec: object) -> Answer:
    main: Json = {"name": "main", "image": "busybox:1"}
    if context is not None:
        main["securityContext"] = context
    body = {"metadata": {"name": "p"}, "spec": {"schedulerName": "nobody", "containers": [main], **spec}}
    return await cluster.post("v1/pods?dryRun=All", body)


async def test_a_namespace_takes_every_pod_unless_it_says_more(cluster: Api) -> None:
    assert (await tried(cluster, {"privileged": True})).code == 201


async def test_a_restricted_namespace_tells_all_that_a_plain_pod_lacks(cluster: Api) -> None:
    await demand(cluster, enforce="restricted")
    refused = await tried(cluster)
    assert (refused.code, refused.body["reason"]) == (403, "Forbidden")
    assert refused.message == (
        'pods "p" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false '
        '(container "main" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities '
        '(container "main" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or '
        'container "main" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "main" '
        'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
    )


async def test_a_restricted_namespace_takes_a_pod_that_gives_up_everything(cluster: Api) -> None:
    await demand(cluster, enforce="restricted")
    assert (await tried(cluster, GOOD)).code == 201
    whole = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    context = {part: GOOD[part] for part in ("allowPrivilegeEscalation", "capabilities")}
    assert (await tried(cluster, context, securityContext=whole)).code == 201


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"runAsUser": 0}, 'runAsUser=0 (container "main" must not set runAsUser=0)'),
        (
            {"runAsNonRoot": False},
            'runAsNonRoot != true (container "main" must not set securityContext.runAsNonRoot=false)',
        ),
        (
            {"capabilities": {"drop": ["ALL"], "add": ["SYS_TIME"]}},
            'unrestricted capabilities (container "main" must not include "SYS_TIME" in '
            "securityContext.capabilities.add)",
        ),
        (
            {"seccompProfile": {"type": "Unconfined"}},
            'seccompProfile (container "main" must not set securityContext.seccompProfile.type to "Unconfined")',
        ),
    ],
)
async def test_a_restricted_namespace_names_what_is_too_much(cluster: Api, change: Json, words: str) -> None:
    await demand(cluster, enforce="restricted")
    refused = await tried(cluster, {**GOOD, **change})
    assert refused.code == 403
    assert refused.message.partition('"restricted:latest": ')[2] == words


async def test_a_restricted_namespace_takes_harmless_volumes_only(cluster: Api) -> None:
    await demand(cluster, enforce="restricted")
    harmless = [{"name": "e", "emptyDir": {}}, {"name": "c", "configMap": {"name": "x"}}]
    assert (await tried(cluster, GOOD, volumes=harmless)).code == 201
    refused = await tried(cluster, GOOD, volumes=[{"name": "h", "hostPath": {"path": "/"}}])
    assert refused.message.endswith(
        'restricted:latest": restricted volume types (volume "h" uses restricted volume type "hostPath")'
    )


@pytest.mark.parametrize(
    ("context", "spec", "words"),
    [
        ({}, {"hostNetwork": True, "hostPID": True}, "host namespaces (hostNetwork=true, hostPID=true)"),
        (
            {"privileged": True},
            {},
            'privileged (container "main" must not set securityContext.privileged=true)',
        ),
        (
            {"capabilities": {"add": ["SYS_TIME"]}},
            {},
            'non-default capabilities (container "main" must not include "SYS_TIME" in '
            "securityContext.capabilities.add)",
        ),
    ],
)
async def test_a_baseline_namespace_keeps_pods_off_its_host(
    cluster: Api, context: Json, spec: Json, words: str
) -> None:
    await demand(cluster, enforce="baseline")
    assert (await tried(cluster)).code == 201
    refused = await tried(cluster, context, **spec)
    assert refused.code == 403
    assert refused.message.partition('"baseline:latest": ')[2] == words


async def test_a_namespace_may_only_warn_of_pods(cluster: Api) -> None:
    await demand(cluster, warn="restricted")
    made = await tried(cluster)
    assert made.code == 201
    assert made.headers["Warning"].startswith('299 - "would violate PodSecurity \\"restricted:latest\\": allow')


async def test_workloads_whose_pods_would_be_refused_are_made_with_a_warning(cluster: Api) -> None:
    await demand(cluster, enforce="restricted")
    made = await cluster.post("apps/v1/deployments", deployment(replicas=0))
    assert made.code == 201
    assert 'would violate PodSecurity \\"restricted:latest\\"' in made.headers["Warning"]
