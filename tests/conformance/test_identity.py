"""Who calls, and what they may do."""

from kubernaut.concurrency import SystemClock

from .api import Api
from .objects import config_map, deployment, token_for


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
