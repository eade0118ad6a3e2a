"""Who calls, and what they may do."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from kubernaut.concurrency import SystemClock

from .api import APPLY, Answer, Api, Json
from .objects import RBAC, bind, config_map, deployment, role, token_for, until


async def test_a_service_account_may_do_what_its_role_says_and_no_more(cluster: Api) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}
    await cluster.post("v1/serviceaccounts", account)
    robot = cluster.with_token(await token_for(cluster, "robot"))
    refused = await robot.get("v1/configmaps")
    user = f"system:serviceaccount:{cluster.namespace}:robot"
    assert refused.code == 403
    assert refused.message == (
        f'configmaps is forbidden: User "{user}" cannot list resource "configmaps" in API group "" in '
        f'the namespace "{cluster.namespace}"'
    )
    group = "rbac.authorization.k8s.io"
    rules = [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"], "resourceNames": ["a"]},
        {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["patch"]},
    ]
    role = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": {"name": "r"}, "rules": rules}
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "r"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "r"},
        "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": cluster.namespace}],
    }
    await cluster.post(f"{group}/v1/roles", role)
    await cluster.post(f"{group}/v1/rolebindings", binding)
    await cluster.post("v1/configmaps", config_map("a"))
    await cluster.post("v1/configmaps", config_map("b"))
    clock = SystemClock()
    while (await robot.get("v1/configmaps/a")).code != 200:
        await clock.sleep(0.05)
    assert (await robot.get("v1/configmaps/b")).code == 403
    await cluster.post("apps/v1/deployments", deployment())
    assert (await robot.patch("apps/v1/deployments/web/scale", {"spec": {"replicas": 0}})).code == 200
    assert (await robot.patch("apps/v1/deployments/web", {"spec": {"replicas": 0}})).code == 403


async def test_a_bad_token_is_unauthorized(cluster: Api) -> None:
    refused = await cluster.with_token("nonsense").get("v1/configmaps")
    assert (refused.code, refused.body["reason"], refused.message) == (401, "Unauthorized", "Unauthorized")


async def test_the_token_of_a_deleted_account_is_void(cluster: Api) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}
    await cluster.post("v1/serviceaccounts", account)
    token = await token_for(cluster, "robot")
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    reviews = "/apis/authentication.k8s.io/v1/tokenreviews"
    reviewed = await cluster.post(reviews, body)
    assert reviewed.body["status"]["user"]["username"].endswith(":robot")
    await cluster.delete("v1/serviceaccounts/robot")
    clock = SystemClock()
    while (await cluster.post(reviews, body)).body["status"].get("authenticated"):
        await clock.sleep(0.1)


async def test_access_reviews_judge_without_asking_twice(cluster: Api) -> None:
    async def allowed(user: str, groups: list[str]) -> bool:
        attributes = {"verb": "list", "resource": "secrets", "namespace": cluster.namespace}
        spec = {"user": user, "groups": groups, "resourceAttributes": attributes}
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        answer = await cluster.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
        assert answer.code == 201
        return bool(answer.body["status"]["allowed"])

    assert await allowed("root", ["system:masters"])
    assert not await allowed("bob", ["people"])


async def test_an_administrator_may_act_as_another(cluster: Api) -> None:
    refused = await cluster.get("v1/secrets", Impersonate_User="bob")
    assert refused.code == 403
    assert 'User "bob" cannot list resource "secrets"' in refused.message
    answer = await cluster.post(
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"},
        Impersonate_User="bob",
        Impersonate_Group="people",
    )
    assert answer.body["status"]["userInfo"]["username"] == "bob"
    assert sorted(answer.body["status"]["userInfo"]["groups"]) == ["people", "system:authenticated"]


# -- tokens ----------------------------------------------------------------------------------------

AUTHENTICATION = "/apis/authentication.k8s.io/v1"
AUTHORIZATION = "/apis/authorization.k8s.io/v1"


async def account(cluster: Api, name: str = "robot") -> str:
    body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
    assert (await cluster.post("v1/serviceaccounts", body)).code == 201
    return f"system:serviceaccount:{cluster.namespace}:{name}"


async def review(cluster: Api, token: str, *audiences: str) -> Json:
    spec = {"token": token, **({"audiences": list(audiences)} if audiences else {})}
    answer = await cluster.post(f"{AUTHENTICATION}/tokenreviews", {"spec": spec})
    assert answer.code == 201
    return answer.body["status"]


async def test_a_token_tells_who_it_belongs_to(cluster: Api) -> None:
    user = await account(cluster)
    status = await review(cluster, await token_for(cluster, "robot"))
    assert status["authenticated"] is True
    assert status["user"]["username"] == user
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{cluster.namespace}", "system:authenticated"]
    assert status["user"]["groups"] == groups


async def test_a_token_serves_its_own_audience_only(cluster: Api) -> None:
    await account(cluster)
    asked = await cluster.post("v1/serviceaccounts/robot/token", {"spec": {"audiences": ["vault"]}})
    token = asked.body["status"]["token"]
    assert not (await review(cluster, token)).get("authenticated")
    status = await review(cluster, token, "vault", "other")
    assert (status["authenticated"], status["audiences"]) == (True, ["vault"])
    assert (await cluster.with_token(token).get("v1/configmaps")).code == 401


async def test_a_token_lives_for_ten_minutes_at_least(cluster: Api) -> None:
    await account(cluster)
    refused = await cluster.post("v1/serviceaccounts/robot/token", {"spec": {"expirationSeconds": 10}})
    assert refused.code == 422
    assert refused.causes == [
        (
            "spec.expirationSeconds",
            "FieldValueInvalid",
            "Invalid value: 10: may not specify a duration less than 10 minutes",
        )
    ]


async def test_a_token_for_nobody_is_404(cluster: Api) -> None:
    assert (await cluster.post("v1/serviceaccounts/ghost/token", {"spec": {}})).code == 404


async def test_a_token_bound_to_a_secret_ends_with_it(cluster: Api) -> None:
    await account(cluster)
    await cluster.post("v1/secrets", {"metadata": {"name": "s"}})
    bound = {"kind": "Secret", "apiVersion": "v1", "name": "s"}
    asked = await cluster.post("v1/serviceaccounts/robot/token", {"spec": {"boundObjectRef": bound}})
    token = asked.body["status"]["token"]
    assert (await review(cluster, token))["authenticated"] is True
    await cluster.delete("v1/secrets/s")

    async def is_void() -> bool:
        return not (await review(cluster, token)).get("authenticated")

    await until(is_void)


async def test_nonsense_is_no_token(cluster: Api) -> None:
    status = await review(cluster, "nonsense")
    assert not status.get("authenticated")
    assert status["error"]


# -- reviews ---------------------------------------------------------------------------------------


async def test_one_may_ask_about_oneself(cluster: Api) -> None:
    await account(cluster)
    robot = cluster.with_token(await token_for(cluster, "robot"))
    attributes = {"verb": "get", "resource": "pods", "namespace": cluster.namespace}
    path = f"{AUTHORIZATION}/selfsubjectaccessreviews"
    asked = await robot.post(path, {"spec": {"resourceAttributes": attributes}})
    assert (asked.code, asked.body["status"]["allowed"]) == (201, False)
    await role(cluster, "r", [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}])
    await bind(cluster, "r", {"kind": "ServiceAccount", "name": "robot", "namespace": cluster.namespace})

    async def may() -> bool:
        answer = await robot.post(path, {"spec": {"resourceAttributes": attributes}})
        return bool(answer.body["status"]["allowed"])

    await until(may)
    rules = await robot.post(
        f"{AUTHORIZATION}/selfsubjectrulesreviews", {"spec": {"namespace": cluster.namespace}}
    )
    assert {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]} in rules.body["status"]["resourceRules"]


async def test_an_access_review_of_nobody_or_nothing_is_422(cluster: Api) -> None:
    path = f"{AUTHORIZATION}/subjectaccessreviews"
    attributes = {"verb": "get", "resource": "pods"}
    assert (await cluster.post(path, {"spec": {"resourceAttributes": attributes}})).code == 422
    assert (await cluster.post(path, {"spec": {"user": "bob"}})).code == 422


async def test_a_local_access_review_stays_in_its_namespace(cluster: Api) -> None:
    path = "authorization.k8s.io/v1/localsubjectaccessreviews"
    spec = {"user": "bob", "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}
    refused = await cluster.post(path, {"metadata": {"namespace": cluster.namespace}, "spec": spec})
    assert refused.code == 422
    spec["resourceAttributes"] = {"verb": "get", "resource": "pods", "namespace": cluster.namespace}
    asked = await cluster.post(path, {"metadata": {"namespace": cluster.namespace}, "spec": spec})
    assert (asked.code, asked.body["status"]["allowed"]) == (201, False)


# -- roles -----------------------------------------------------------------------------------------

PLACE = f"/apis/{RBAC}/v1/clusterroles"


async def may(cluster: Api, user: str, **attributes: str) -> bool:
    part = "nonResourceAttributes" if "path" in attributes else "resourceAttributes"
    body = {"spec": {"user": user, part: attributes}}
    return bool((await cluster.post(f"{AUTHORIZATION}/subjectaccessreviews", body)).body["status"]["allowed"])


async def eventually_may(cluster: Api, user: str, **attributes: str) -> None:
    async def ask() -> bool:
        return await may(cluster, user, **attributes)

    await until(ask)


def cluster_role(name: str, rules: list[Json], labels: Json | None = None, **more: Any) -> Json:
    metadata: Json = {"name": name, "labels": labels or {}}
    return {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules, **more}


@pytest.fixture
async def wide(cluster: Api) -> AsyncIterator[str]:
    """A name for cluster roles, which are gone afterwards."""
    name = cluster.namespace
    yield name
    for part in ("", "-part"):
        await cluster.delete(f"{PLACE}/{name}{part}")
    await cluster.delete(f"/apis/{RBAC}/v1/clusterrolebindings/{name}")


async def bind_wide(cluster: Api, name: str, user: str) -> None:
    body = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "User", "name": user}],
    }
    assert (await cluster.post(f"/apis/{RBAC}/v1/clusterrolebindings", body)).code == 201


async def test_an_aggregated_role_holds_the_rules_of_those_it_selects(cluster: Api, wide: str) -> None:
    rule = {"apiGroups": ["example.com"], "resources": ["things"], "verbs": ["get"]}
    selector = {"clusterRoleSelectors": [{"matchLabels": {"part-of": wide}}]}
    await cluster.post(PLACE, cluster_role(wide, [], aggregationRule=selector))
    await bind_wide(cluster, wide, f"{wide}-bob")
    await cluster.post(PLACE, cluster_role(f"{wide}-part", [rule], {"part-of": wide}))
    await eventually_may(cluster, f"{wide}-bob", verb="get", group="example.com", resource="things")
    assert (await cluster.get(f"{PLACE}/{wide}")).body["rules"] == [rule]


async def test_paths_are_allowed_by_name_and_by_star(cluster: Api, wide: str) -> None:
    rule = {"nonResourceURLs": ["/here", "/there/*"], "verbs": ["get"]}
    await cluster.post(PLACE, cluster_role(wide, [rule]))
    user = f"{wide}-bob"
    await bind_wide(cluster, wide, user)
    await eventually_may(cluster, user, verb="get", path="/here")
    assert await may(cluster, user, verb="get", path="/there/and/on")
    assert not await may(cluster, user, verb="get", path="/here/not")
    assert not await may(cluster, user, verb="post", path="/here")


async def test_a_name_in_a_rule_allows_that_object_only_and_no_creation(cluster: Api) -> None:
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"], "verbs": ["*"]}
    await role(cluster, "r", [rule])
    await bind(cluster, "r", {"kind": "User", "name": "bob"})
    here = {"resource": "configmaps", "namespace": cluster.namespace}
    await eventually_may(cluster, "bob", verb="get", name="a", **here)
    assert not await may(cluster, "bob", verb="get", name="b", **here)
    assert not await may(cluster, "bob", verb="create", **here)
    assert (await cluster.get("v1/configmaps", Impersonate_User="bob")).code == 403
    one = await cluster.get("v1/configmaps?fieldSelector=metadata.name%3Da", Impersonate_User="bob")
    assert one.code == 200


async def test_applying_what_is_not_there_takes_the_right_to_create_it(cluster: Api) -> None:
    rules = [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "patch"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "update"]},
    ]
    await role(cluster, "r", rules)
    await bind(cluster, "r", {"kind": "User", "name": "bob"})
    here = {"namespace": cluster.namespace}
    await eventually_may(cluster, "bob", verb="patch", resource="configmaps", **here)
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}
    path = "v1/configmaps/a?fieldManager=bob"
    refused = await cluster.patch(path, body, APPLY, Impersonate_User="bob")
    assert (refused.code, refused.body["reason"]) == (403, "Forbidden")
    assert (await cluster.patch(path, body, APPLY)).code == 201
    body["data"] = {"k": "w"}
    assert (await cluster.patch(f"{path}&force=true", body, APPLY, Impersonate_User="bob")).code == 200
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": {}}
    put = await cluster.put("coordination.k8s.io/v1/leases/l", lease, Impersonate_User="bob")
    assert put.code == 403


async def test_nobody_grants_what_he_does_not_hold(cluster: Api) -> None:
    write = {"apiGroups": [RBAC], "resources": ["roles", "rolebindings"], "verbs": ["create"]}
    pods = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    await role(cluster, "r", [write, pods])
    await role(cluster, "secrets", [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}])
    await bind(cluster, "r", {"kind": "User", "name": "bob"})
    await eventually_may(cluster, "bob", verb="get", resource="pods", namespace=cluster.namespace)

    async def grant(name: str, *rules: Json) -> Answer:
        body = {"metadata": {"name": name}, "rules": list(rules)}
        return await cluster.post(f"{RBAC}/v1/roles", body, Impersonate_User="bob")

    async def hand_out(name: str) -> Answer:
        body = {
            "metadata": {"name": f"{name}-by-bob"},
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": name},
            "subjects": [{"kind": "User", "name": "eve"}],
        }
        return await cluster.post(f"{RBAC}/v1/rolebindings", body, Impersonate_User="bob")

    assert (await grant("same", pods)).code == 201
    refused = await grant("more", {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]})
    assert (refused.code, refused.body["reason"]) == (403, "Forbidden")
    assert refused.message == (
        f'roles.{RBAC} "more" is forbidden: user "bob" (groups=["system:authenticated"]) is attempting to grant '
        'RBAC permissions not currently held:\n{APIGroups:[""], Resources:["secrets"], Verbs:["list"]}'
    )
    assert (await hand_out("same")).code == 201
    assert (await hand_out("secrets")).code == 403
    extra = {"apiGroups": [RBAC], "resources": ["roles"], "verbs": ["escalate", "bind"]}
    await role(cluster, "trusted", [extra])
    await bind(cluster, "trusted", {"kind": "User", "name": "bob"})
    await eventually_may(
        cluster, "bob", verb="escalate", group=RBAC, resource="roles", namespace=cluster.namespace
    )
    assert (await grant("more", {"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]})).code == 201
    assert (await hand_out("secrets")).code == 201


# -- impersonation ---------------------------------------------------------------------------------


async def test_acting_as_another_must_be_allowed_for_each_part(cluster: Api, wide: str) -> None:
    names = {"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"], "resourceNames": ["bob"]}
    extras = {
        "apiGroups": ["authentication.k8s.io"],
        "resources": ["userextras/scopes"],
        "verbs": ["impersonate"],
        "resourceNames": ["view"],
    }
    await cluster.post(PLACE, cluster_role(wide, [names, extras]))
    await account(cluster)
    robot = cluster.with_token(await token_for(cluster, "robot"))
    await bind_wide(cluster, wide, f"system:serviceaccount:{cluster.namespace}:robot")
    path = f"{AUTHENTICATION}/selfsubjectreviews"

    async def acted(**headers: str) -> Answer:
        return await robot.post(path, {}, **headers)

    async def may_be_bob() -> bool:
        return (await acted(Impersonate_User="bob")).code == 201

    await until(may_be_bob)
    assert (await acted(Impersonate_User="eve")).code == 403
    assert (await acted(Impersonate_User="bob", Impersonate_Group="system:masters")).code == 403
    assert (await acted(Impersonate_User="bob", Impersonate_Uid="1")).code == 403
    assert (await acted(Impersonate_User="bob", Impersonate_Extra_scopes="all")).code == 403
    seen = await acted(Impersonate_User="bob", Impersonate_Extra_scopes="view")
    assert seen.body["status"]["userInfo"]["extra"] == {"scopes": ["view"]}


async def test_acting_as_an_account_brings_its_groups(cluster: Api) -> None:
    user = await account(cluster)
    seen = await cluster.post(f"{AUTHENTICATION}/selfsubjectreviews", {}, Impersonate_User=user)
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{cluster.namespace}", "system:authenticated"]
    assert sorted(seen.body["status"]["userInfo"]["groups"]) == sorted(groups)


async def test_a_group_without_a_user_is_nobody(cluster: Api) -> None:
    refused = await cluster.get("v1/configmaps", Impersonate_Group="people")
    assert refused.code in (400, 500)
    assert "without impersonating" in str(refused.body)
