"""What only the embedded API server has: faults on demand, a request log, its own credentials."""

import asyncio
import base64
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from conformance.api import Api, Json, connected, load
from kubernaut.concurrency import Supervisor
from kubernaut.devcluster import DevCluster
from kubernaut.devcluster.errors import ServerTimeout, TooManyRequests
from kubernaut.devcluster.resources import CONFIG_MAPS, POD_DISRUPTION_BUDGETS, PODS
from kubernaut.devcluster.rest.server import Handler, drop_connection


def config_map(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


async def test_a_cluster_has_what_people_expect_to_find(cluster: DevCluster, api: Api) -> None:
    found = await api.get("/api/v1/namespaces")
    assert found.names == ["default", "kube-node-lease", "kube-public", "kube-system"]
    assert (await api.get("v1/serviceaccounts/default")).code == 200
    root = await api.get("v1/configmaps/kube-root-ca.crt")
    assert root.body["data"]["ca.crt"] == cluster.certificate_authority.decode()
    assert (await api.get("/version")).body["gitVersion"].startswith("v1.34.")
    for page in ("/healthz", "/livez", "/readyz"):
        assert (await api.get(page)).body == "ok"


async def test_only_loopback_is_served_and_strangers_are_refused(cluster: DevCluster, api: Api) -> None:
    assert cluster.url.startswith("https://127.0.0.1:")
    refused = await api.with_token("").get("v1/pods")
    assert refused.code == 401
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        async with aiohttp.ClientSession() as session:
            await session.get(cluster.url)


async def test_a_client_certificate_names_user_and_groups(cluster: DevCluster, tmp_path: Path) -> None:
    pair = cluster.certificate_of("alice", ["system:masters"])
    user = {
        "client-certificate-data": base64.b64encode(pair.certificate).decode(),
        "client-key-data": base64.b64encode(pair.key).decode(),
    }
    config = load(cluster.kubeconfig)
    config["users"] = [{"name": "alice", "user": user}]
    async with connected(config) as api:
        assert (await api.get("v1/secrets")).code == 200
    assert cluster.requests.find(user="alice", verb="list", kind="secrets")


async def test_the_kubeconfig_is_for_its_owner_only(cluster: DevCluster, tmp_path: Path) -> None:
    path = cluster.write_kubeconfig(tmp_path / "sub" / "kubeconfig")
    assert path.stat().st_mode & 0o077 == 0
    assert load(path.read_text())["clusters"][0]["cluster"]["server"] == cluster.url


# -- the request log -------------------------------------------------------------------------------


async def test_every_call_is_counted_by_user_verb_and_object(cluster: DevCluster, api: Api) -> None:
    cluster.requests.reset()
    await api.post("v1/configmaps", config_map("a"))
    await api.patch("v1/configmaps/a", {"data": {"x": "1"}})
    await api.post("v1/configmaps?dryRun=All", config_map("b"))
    await api.get("v1/configmaps/none")
    await api.post("v1/configmaps", config_map("a"))
    user = "devcluster-admin"
    assert cluster.requests.counts[user, "create", "configmaps"] == 3
    assert cluster.requests.counts[user, "get", "configmaps"] == 1
    writes = [(call.verb, call.kind, call.name) for call in cluster.requests.writes(user)]
    assert writes == [("create", "configmaps", "a"), ("patch", "configmaps", "a")]
    assert [call.code for call in cluster.requests.find(name="none")] == [404]
    before = cluster.requests.snapshot()
    await api.get("v1/configmaps")
    assert cluster.requests.snapshot() - before == {(user, "list", "configmaps"): 1}


async def test_the_log_forgets_old_calls_and_keeps_the_counts(cluster: DevCluster, api: Api) -> None:
    from kubernaut.devcluster.request_log import Call, RequestLog

    log = RequestLog(limit=2)
    for name in "abc":
        log.note(Call("u", "get", "", "pods", "default", name, 200, 0.1, "/x", "t"))
    assert [call.name for call in log.calls] == ["b", "c"]
    assert log.counts["u", "get", "pods"] == 3


# -- faults ----------------------------------------------------------------------------------------


async def test_a_middleware_can_refuse(cluster: DevCluster, api: Api) -> None:
    async def refuse(http: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        if http.method == "POST":
            raise TooManyRequests("slow down", {"retryAfterSeconds": 7})
        return await handler(http)

    cluster.middlewares.append(refuse)
    refused = await api.post("v1/configmaps", config_map("a"))
    assert (refused.code, refused.headers["Retry-After"]) == (429, "7")
    assert (await api.get("v1/configmaps/a")).code == 404


async def test_a_middleware_can_lose_the_answer_to_a_write_that_happened(cluster: DevCluster, api: Api) -> None:
    async def lose(http: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        response = await handler(http)
        if http.method == "POST":
            drop_connection(http)
        return response

    cluster.middlewares.append(lose)
    with pytest.raises(aiohttp.ClientConnectionError):
        await api.post("v1/configmaps", config_map("a"))
    assert (await api.get("v1/configmaps/a")).code == 200


async def test_a_middleware_can_answer_wrongly_after_the_fact(cluster: DevCluster, api: Api) -> None:
    async def lie(http: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        await handler(http)
        raise ServerTimeout("gone astray")

    cluster.middlewares.append(lie)
    assert (await api.post("v1/configmaps", config_map("a"))).code == 504
    cluster.middlewares.clear()
    assert (await api.get("v1/configmaps/a")).code == 200


async def test_a_middleware_can_hold_a_request_back(cluster: DevCluster, api: Api) -> None:
    gate = asyncio.Event()

    async def hold(http: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        await gate.wait()
        return await handler(http)

    cluster.middlewares.append(hold)
    async with Supervisor() as supervisor:
        supervisor.start("write", api.post("v1/configmaps", config_map("a")))
        assert cluster.store.find(CONFIG_MAPS, "a", "default") is None
        gate.set()
    assert cluster.store.find(CONFIG_MAPS, "a", "default") is not None


async def test_a_compacted_history_ends_watches_with_410(cluster: DevCluster, api: Api) -> None:
    version = (await api.get("v1/configmaps")).version
    await api.post("v1/configmaps", config_map("a"))
    cluster.store.ledger.compact(CONFIG_MAPS)
    async with api.watch(f"v1/configmaps?resourceVersion={version}") as events:
        event = await anext(events)
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


async def test_stopping_ends_every_watch() -> None:
    async with (
        DevCluster() as cluster,
        connected(load(cluster.kubeconfig)) as api,
        api.watch("v1/configmaps?labelSelector=none") as events,
    ):
        assert cluster.server.watches.count == 1
        cluster.server.watches.close()
        assert [event async for event in events] == []


# -- pods ------------------------------------------------------------------------------------------


def ready_pod(name: str) -> Json:
    spec = {"containers": [{"name": "c", "image": "i:1"}], "nodeName": "n"}
    return {"metadata": {"name": name, "labels": {"app": "x"}}, "spec": spec}


def become_ready(pod: Json) -> None:
    pod["status"] |= {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


async def test_an_eviction_honours_disruption_budgets(cluster: DevCluster, api: Api) -> None:
    store = cluster.store
    for name in ("p1", "p2"):
        store.create(PODS, ready_pod(name), "default")
        store.edit_status(PODS, name, "default", become_ready)
    budget = {"metadata": {"name": "b"}, "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "x"}}}}
    store.create(POD_DISRUPTION_BUDGETS, budget, "default")
    eviction: dict[str, Any] = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p1"}}
    refused = await api.post("v1/pods/p1/eviction", eviction)
    assert refused.code == 429
    assert refused.message == "Cannot evict pod as it would violate the pod's disruption budget."
    store.patch(POD_DISRUPTION_BUDGETS, "b", "default", {"spec": {"minAvailable": 1}})
    assert (await api.post("v1/pods/p1/eviction", eviction)).code == 201
    assert store.get(PODS, "p1", "default")["metadata"]["deletionTimestamp"]


async def test_an_evicted_pod_says_so_before_it_goes(cluster: DevCluster, api: Api) -> None:
    made = cluster.store.create(PODS, ready_pod("p"), "default")
    cluster.store.edit_status(PODS, "p", "default", become_ready)
    eviction: dict[str, Any] = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}}
    other = {**eviction, "deleteOptions": {"preconditions": {"uid": "of-another-pod"}}}
    assert (await api.post("v1/pods/p/eviction", other)).code == 409
    dry = {**eviction, "deleteOptions": {"dryRun": ["All"], "preconditions": {"uid": made["metadata"]["uid"]}}}
    assert (await api.post("v1/pods/p/eviction", dry)).code == 201
    assert [c["type"] for c in cluster.store.get(PODS, "p", "default")["status"]["conditions"]] == ["Ready"]
    async with cluster.store.watch(PODS) as seen:
        assert (await api.post("v1/pods/p/eviction", eviction)).code == 201
        told, going = seen.take_nowait()
    assert not told.object["metadata"].get("deletionTimestamp")
    [condition] = [c for c in told.object["status"]["conditions"] if c["type"] == "DisruptionTarget"]
    assert (condition["status"], condition["reason"]) == ("True", "EvictionByEvictionAPI")
    assert condition["message"] == "Eviction API: evicting"
    assert going.object["metadata"]["deletionTimestamp"]
    assert condition in going.object["status"]["conditions"]


async def test_logs_come_from_whoever_runs_pods(cluster: DevCluster, api: Api) -> None:
    cluster.store.create(PODS, ready_pod("p"), "default")
    assert (await api.get("v1/pods/p/log")).code == 503

    async def read(namespace: str, pod: str, container: str, query: Any, previous: bool) -> Any:
        yield f"{namespace}/{pod}/{container} {query.tail_lines}".encode()
        yield b"\nend"

    cluster.serve_logs(read)
    assert (await api.get("v1/pods/p/log?tailLines=3")).body == "default/p/c 3\nend"
    refused = await api.get("v1/pods/p/log?container=other")
    assert (refused.code, refused.message) == (400, "container other is not valid for pod p")


async def test_a_token_bound_to_a_pod_ends_with_it(cluster: DevCluster, api: Api) -> None:
    made = cluster.store.create(PODS, ready_pod("p"), "default")
    reference = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": made["metadata"]["uid"]}
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"boundObjectRef": reference},
    }
    token = (await api.post("v1/serviceaccounts/default/token", body)).body["status"]["token"]
    robot = api.with_token(token)
    assert (await robot.get("/version")).code == 200
    cluster.store.delete(PODS, "p", "default", grace=0)
    assert (await robot.get("/version")).code == 401


async def test_ssl_is_at_least_1_2(cluster: DevCluster) -> None:
    context = ssl.create_default_context(cadata=cluster.certificate_authority.decode())
    _, writer = await asyncio.open_connection("127.0.0.1", cluster.port, ssl=context)
    assert writer.get_extra_info("ssl_object").version() in ("TLSv1.2", "TLSv1.3")
    writer.close()
    await writer.wait_closed()
