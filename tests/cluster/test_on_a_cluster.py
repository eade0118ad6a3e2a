"""One suite for every cluster: the embedded one, and any real one named by KUBERNAUT_TEST_KUBECONFIG.

The user of a real cluster must be allowed to make namespaces and roles.
"""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from kubernaut.cluster import (
    Access,
    AlreadyExists,
    Cluster,
    Conflict,
    Connection,
    FixedLogin,
    Forbidden,
    Informer,
    Invalid,
    LeaderElection,
    Login,
    NotFound,
    Unauthorized,
    apply_manifests,
    is_served,
    kinds,
    may,
    may_i,
)
from kubernaut.concurrency import Supervisor
from kubernaut.devcluster.cluster import DevCluster
from kubernaut.settings import environment

pytestmark = [pytest.mark.journey, pytest.mark.timeout(60)]

Json = dict[str, Any]
REAL = environment().get("KUBERNAUT_TEST_KUBECONFIG")


@pytest.fixture(params=["devcluster", *(["real"] if REAL else [])])
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Cluster, None]:
    if request.param == "real":
        async with Cluster.connect(REAL, user="tester") as made:
            yield made
        return
    async with DevCluster(tmp_path), Cluster.connect(tmp_path / "kubeconfig", user="tester") as made:
        yield made


@pytest.fixture
async def namespace(cluster: Cluster) -> AsyncGenerator[str, None]:
    made = await cluster.create(kinds.NAMESPACES, {"metadata": {"generateName": "kubernaut-test-"}})
    name = str(made["metadata"]["name"])
    yield name
    await cluster.delete(kinds.NAMESPACES, name)


def config_map(name: str, namespace: str, **data: str) -> Json:
    return {"metadata": {"name": name, "namespace": namespace}, "data": data}


async def test_an_object_lives_from_create_to_delete(cluster: Cluster, namespace: str) -> None:
    maps = kinds.CONFIG_MAPS
    made = await cluster.create(maps, config_map("a", namespace, x="1"))
    assert await cluster.get(maps, "a", namespace) == made
    changed = await cluster.replace(maps, {**made, "data": {"x": "2"}})
    assert changed["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]
    merged = await cluster.patch(maps, "a", namespace, {"data": {"y": "3", "x": None}})
    assert merged["data"] == {"y": "3"}
    edited = await cluster.patch(
        maps, "a", namespace, [{"op": "replace", "path": "/data/y", "value": "4"}], "json"
    )
    assert edited["data"] == {"y": "4"}
    await cluster.delete(maps, "a", namespace, uid=made["metadata"]["uid"])
    with pytest.raises(NotFound):
        await cluster.get(maps, "a", namespace)
    assert cluster.counts["tester", "patch", "configmaps"] == 2


async def test_refusals_have_their_names(cluster: Cluster, namespace: str) -> None:
    maps = kinds.CONFIG_MAPS
    made = await cluster.create(maps, config_map("a", namespace))
    with pytest.raises(AlreadyExists):
        await cluster.create(maps, config_map("a", namespace))
    await cluster.replace(maps, {**made, "data": {"x": "1"}})
    with pytest.raises(Conflict):
        await cluster.replace(maps, {**made, "data": {"x": "2"}})
    with pytest.raises(Conflict):
        await cluster.delete(maps, "a", namespace, uid="another")
    with pytest.raises(NotFound):
        await cluster.patch(maps, "b", namespace, {})
    with pytest.raises(Invalid) as caught:
        await cluster.create(maps, config_map("Not_A_Name", namespace))
    assert caught.value.causes[0].field == "metadata.name"
    missing = config_map("a", "kubernaut-test-not-there")
    with pytest.raises(NotFound):
        await cluster.create(maps, missing)


async def test_a_dry_run_is_judged_and_leaves_nothing(cluster: Cluster, namespace: str) -> None:
    maps = kinds.CONFIG_MAPS
    made = await cluster.create(maps, config_map("a", namespace), dry_run=True)
    assert made["metadata"]["uid"]
    with pytest.raises(NotFound):
        await cluster.get(maps, "a", namespace)
    await cluster.create(maps, config_map("a", namespace))
    with pytest.raises(AlreadyExists):
        await cluster.create(maps, config_map("a", namespace), dry_run=True)
    await cluster.delete(maps, "a", namespace, dry_run=True)
    await cluster.get(maps, "a", namespace)


async def test_lists_are_whole_whatever_the_page_and_can_be_selected(cluster: Cluster, namespace: str) -> None:
    for number in range(5):
        body = config_map(f"m{number}", namespace)
        body["metadata"]["labels"] = {"odd": str(number % 2)}
        await cluster.create(kinds.CONFIG_MAPS, body)
    found = await cluster.list(kinds.CONFIG_MAPS, namespace, label_selector="odd in (0,1)", limit=2)
    assert sorted(item["metadata"]["name"] for item in found.items) == [f"m{n}" for n in range(5)]
    assert {item["kind"] for item in found.items} == {"ConfigMap"}
    odd = await cluster.list(kinds.CONFIG_MAPS, namespace, label_selector="odd=1")
    assert len(odd.items) == 2
    one = await cluster.list(kinds.CONFIG_MAPS, namespace, field_selector="metadata.name=m3")
    assert len(one.items) == 1


async def test_server_side_apply_guards_the_fields_of_others(cluster: Cluster, namespace: str) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", **config_map("a", namespace, x="1")}
    (made,) = await apply_manifests(cluster, [body])
    assert made.change == "created"
    (same,) = await apply_manifests(cluster, [body])
    assert same.change == "unchanged"
    theirs = {**body, "data": {"x": "2"}}
    with pytest.raises(Conflict):
        await cluster.patch(kinds.CONFIG_MAPS, "a", namespace, theirs, "apply", field_manager="other")
    (forced,) = await apply_manifests(cluster, [theirs], field_manager="other")
    assert forced.change == "configured"


async def test_an_informer_follows_and_reads_its_own_writes(cluster: Cluster, namespace: str) -> None:
    maps = kinds.CONFIG_MAPS
    await cluster.create(maps, config_map("before", namespace))
    informer = Informer(cluster, maps, namespace)
    heard: list[tuple[str, bool]] = []
    arrived = asyncio.Event()

    def hear(key: tuple[str, str], old: Json | None, new: Json | None) -> None:
        heard.append((key[1], new is not None))
        arrived.set()

    informer.subscribe(hear)
    async with Supervisor() as supervisor:
        supervisor.start("informer", informer.run())
        await informer.wait_synced()
        assert informer.get("before", namespace) is not None
        written = await cluster.create(maps, config_map("mine", namespace))
        informer.note(written)
        assert informer.get("mine", namespace) is not None
        await cluster.delete(maps, "before", namespace)
        while ("before", False) not in heard:
            arrived.clear()
            await arrived.wait()
        assert informer.get("before", namespace) is None
        assert [name for name, _ in heard if name == "mine"] == ["mine"]
        supervisor.stop()


async def test_leadership_passes_on_when_the_leader_leaves(cluster: Cluster, namespace: str) -> None:
    name = f"test-{token_hex(4)}"
    one, two = (LeaderElection(cluster, namespace, name, identity) for identity in ("one", "two"))
    async with Supervisor() as supervisor:
        first = supervisor.start("one", one.run())
        await one.elected.wait()
        supervisor.start("two", two.run())
        first.cancel()
        await two.elected.wait()
        assert (one.is_leader, two.is_leader) == (False, True)
        supervisor.stop()
    lease = await cluster.get(kinds.LEASES, name, namespace)
    assert lease["spec"]["leaseTransitions"] == 1
    assert not lease["spec"].get("holderIdentity")


async def test_what_is_served_and_who_may_do_what_can_be_asked(cluster: Cluster, namespace: str) -> None:
    assert (await cluster.version())["gitVersion"].startswith("v1.")
    assert await is_served(cluster, kinds.JOBS)
    assert not await is_served(cluster, kinds.ResourceKind("example.org", "v1", "Thing", "things"))
    access = Access("create", "jobs", "batch", namespace)
    assert (await may_i(cluster, access)).allowed
    assert not (await may(cluster, access, f"system:serviceaccount:{namespace}:default")).allowed


async def test_a_service_account_may_what_its_role_says_and_no_more(cluster: Cluster, namespace: str) -> None:
    await cluster.create(kinds.SERVICE_ACCOUNTS, {"metadata": {"name": "reader", "namespace": namespace}})
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}]
    meta = {"name": "reader", "namespace": namespace}
    await cluster.create(kinds.ROLES, {"metadata": meta, "rules": rules})
    binding = {
        "metadata": meta,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": namespace}],
    }
    await cluster.create(kinds.ROLE_BINDINGS, binding)
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 600},
    }
    token = await cluster.create(kinds.SERVICE_ACCOUNTS, request, namespace, name="reader", subresource="token")
    async with Cluster(_with_token(cluster.connection, token["status"]["token"])) as reader:
        await reader.list(kinds.CONFIG_MAPS, namespace)
        with pytest.raises(Forbidden, match="reader"):
            await reader.create(kinds.CONFIG_MAPS, config_map("a", namespace))
        with pytest.raises(Forbidden):
            await reader.list(kinds.CONFIG_MAPS)
    async with Cluster(_with_token(cluster.connection, "nobody")) as nobody:
        with pytest.raises(Unauthorized):
            await nobody.list(kinds.CONFIG_MAPS, namespace)


def _with_token(connection: Connection, token: str) -> Connection:
    return Connection(
        server=connection.server,
        certificate_authority=connection.certificate_authority,
        credentials=FixedLogin(Login(f"Bearer {token}")),
    )
