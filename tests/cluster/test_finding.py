"""The cluster that is meant is found, and what is wrong with a kubeconfig is said plainly."""

import base64
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.cluster import certificates
from tests.cluster.conftest import Script, status

from kubernaut.cluster import CannotConnect, Cluster, Unauthorized, Unreachable, kinds
from kubernaut.concurrency import VirtualClock

Json = dict[str, Any]


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def kubeconfig(
    folder: Path,
    server: str = "https://example.invalid",
    *,
    cluster: Json | None = None,
    user: Json | None = None,
    name: str = "config",
    context: str = "dev",
) -> Path:
    file = folder / name
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "contexts": [{"name": context, "context": {"cluster": "c", "user": "u", "namespace": "apps"}}],
        "clusters": [{"name": "c", "cluster": {"server": server, **(cluster or {})}}],
        "users": [{"name": "u", "user": user}],
    }
    file.write_text(yaml.safe_dump(content))
    return file


@asynccontextmanager
async def tls_server(
    folder: Path, script: Script, host: str = "127.0.0.1", *, demand_client: bool = False
) -> AsyncGenerator[str, None]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", script.answer)
    server = TestServer(app, scheme="https")
    context = certificates.server_context(folder, host, demand_client=demand_client)
    await server.start_server(ssl=context)
    try:
        yield f"https://127.0.0.1:{server.port}"
    finally:
        await server.close()


async def test_a_client_certificate_and_an_authority_in_the_file_are_used(tmp_path: Path, script: Script) -> None:
    pair = certificates.issued("me")
    user = {"client-certificate-data": b64(pair.certificate), "client-key-data": b64(pair.key)}
    authority = {"certificate-authority-data": b64(certificates.authority_pem())}
    async with tls_server(tmp_path, script, demand_client=True) as url:
        file = kubeconfig(tmp_path, url, cluster=authority, user=user)
        async with Cluster.connect(file) as cluster:
            await cluster.version()
            assert cluster.connection.namespace == "apps"
        file = kubeconfig(tmp_path, url, cluster=authority, user={})
        async with Cluster.connect(file, clock=VirtualClock()) as cluster:
            with pytest.raises(Unreachable):
                await cluster.version()


async def test_paths_are_relative_to_the_file_that_says_them(tmp_path: Path, script: Script) -> None:
    pair = certificates.issued("me")
    (tmp_path / "pki").mkdir()
    for name, content in (("ca", certificates.authority_pem()), ("crt", pair[0]), ("key", pair[1])):
        (tmp_path / "pki" / name).write_bytes(content)
    user = {"client-certificate": "pki/crt", "client-key": "pki/key"}
    async with tls_server(tmp_path, script, demand_client=True) as url:
        file = kubeconfig(tmp_path, url, cluster={"certificate-authority": "pki/ca"}, user=user)
        async with Cluster.connect(file) as cluster:
            await cluster.version()


async def test_an_untrusted_server_is_refused_unless_told_otherwise(tmp_path: Path, script: Script) -> None:
    async with tls_server(tmp_path, script) as url:
        async with Cluster.connect(kubeconfig(tmp_path, url)) as cluster:
            with pytest.raises(Unreachable, match="not trusted"):
                await cluster.version()
        assert script.asked == []
        insecure = kubeconfig(tmp_path, url, cluster={"insecure-skip-tls-verify": True})
        async with Cluster.connect(insecure) as cluster:
            await cluster.version()


async def test_a_server_may_be_known_by_another_name_than_its_address(tmp_path: Path, script: Script) -> None:
    authority = {"certificate-authority-data": b64(certificates.authority_pem())}
    async with tls_server(tmp_path, script, host="api.internal") as url:
        async with Cluster.connect(kubeconfig(tmp_path, url, cluster=authority)) as cluster:
            with pytest.raises(Unreachable):
                await cluster.version()
        named = {**authority, "tls-server-name": "api.internal"}
        async with Cluster.connect(kubeconfig(tmp_path, url, cluster=named)) as cluster:
            await cluster.version()


async def test_requests_go_through_the_proxy_that_the_file_names(
    tmp_path: Path, server: TestServer, script: Script
) -> None:
    # The scripted server stands for the proxy: it is asked for a host that does not exist.
    proxy = {"proxy-url": str(server.make_url("")).rstrip("/")}
    file = kubeconfig(tmp_path, "http://api.invalid:6443", cluster=proxy)
    async with Cluster.connect(file) as cluster:
        await cluster.version()
    assert script.headers[0]["Host"] == "api.invalid:6443"


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ({"token": "abc"}, "Bearer abc"),
        ({"username": "me", "password": "pw"}, "Basic " + b64(b"me:pw")),
        (None, None),
    ],
)
async def test_the_users_login_is_sent(
    tmp_path: Path, server: TestServer, script: Script, user: Json | None, header: str | None
) -> None:
    async with Cluster.connect(kubeconfig(tmp_path, str(server.make_url("/")), user=user)) as cluster:
        await cluster.version()
    assert script.headers[0].get("Authorization") == header


async def test_a_token_file_is_read_again_every_minute_and_when_refused(
    tmp_path: Path, server: TestServer, script: Script, clock: VirtualClock
) -> None:
    token = tmp_path / "token"
    token.write_text("one\n")
    file = kubeconfig(tmp_path, str(server.make_url("/")), user={"tokenFile": "token"})
    async with Cluster.connect(file, clock=clock) as cluster:
        await cluster.version()
        token.write_text("two")
        await cluster.version()
        await clock.sleep(61)
        await cluster.version()
        token.write_text("three")
        script.answers = [status(401, "Unauthorized"), {}]
        await cluster.create(kinds.PODS, {"metadata": {"name": "p", "namespace": "n"}})
        script.answers = [status(401, "Unauthorized")]
        with pytest.raises(Unauthorized):
            await cluster.version()
    sent = [headers["Authorization"] for headers in script.headers]
    assert sent == ["Bearer one", "Bearer one", "Bearer two", "Bearer two", *["Bearer three"] * 2]


def plugin(folder: Path, status_: Json, **extra: Any) -> Json:
    """An exec plugin that counts its calls and remembers what it was told."""
    answer = {
        "kind": "ExecCredential",
        "apiVersion": "client.authentication.k8s.io/v1",
        "status": status_,
        **extra,
    }
    (folder / "answer.json").write_text(json.dumps(answer))
    program = folder / "plugin"
    program.write_text(
        f'#!/bin/sh\necho "$1 $EXTRA $KUBERNETES_EXEC_INFO" >>{folder}/calls\ncat {folder}/answer.json\n'
    )
    program.chmod(0o755)
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "./plugin",
            "args": ["get"],
            "env": [{"name": "EXTRA", "value": "more"}],
            "provideClusterInfo": True,
            "interactiveMode": "IfAvailable",
        }
    }


async def test_a_plugin_is_asked_once_until_its_login_ends_or_is_refused(
    tmp_path: Path, server: TestServer, script: Script, clock: VirtualClock
) -> None:
    ends = (clock.now() + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    user = plugin(tmp_path, {"token": "t1", "expirationTimestamp": ends})
    file = kubeconfig(tmp_path, str(server.make_url("/")), user=user)
    environment = {"PATH": "/usr/bin:/bin"}

    def calls() -> list[str]:
        return (tmp_path / "calls").read_text().splitlines()

    async with Cluster.connect(file, environment=environment, clock=clock) as cluster:
        await cluster.version()
        await cluster.version()
        assert len(calls()) == 1
        assert calls()[0].startswith("get more {")
        assert f'"server":"{server.make_url("/")}' in calls()[0].replace(" ", "")
        script.answers = [status(401, "Unauthorized"), {}]
        await cluster.version()
        assert len(calls()) == 2
        await clock.sleep(3600)
        await cluster.version()
        assert len(calls()) == 3
    assert {headers["Authorization"] for headers in script.headers} == {"Bearer t1"}


async def test_a_plugins_client_certificate_is_used(tmp_path: Path, script: Script) -> None:
    pair = certificates.issued("me")
    user = plugin(
        tmp_path,
        {"clientCertificateData": pair.certificate.decode(), "clientKeyData": pair.key.decode()},
    )
    authority = {"certificate-authority-data": b64(certificates.authority_pem())}
    async with tls_server(tmp_path, script, demand_client=True) as url:
        file = kubeconfig(tmp_path, url, cluster=authority, user=user)
        async with Cluster.connect(file, environment={"PATH": "/usr/bin:/bin"}) as cluster:
            await cluster.version()


Break = Callable[[Path, Json], None]


def no_program(folder: Path, user: Json) -> None:
    user["exec"]["command"] = "/nowhere/login-tool"
    user["exec"]["installHint"] = "Install it with: get login-tool"


def failing(folder: Path, user: Json) -> None:
    (folder / "plugin").write_text("#!/bin/sh\necho please log in >&2\nexit 3\n")


def babbling(folder: Path, user: Json) -> None:
    (folder / "plugin").write_text("#!/bin/sh\necho hello\n")


def empty(folder: Path, user: Json) -> None:
    plugin(folder, {})


def another_version(folder: Path, user: Json) -> None:
    plugin(folder, {"token": "x"}, apiVersion="client.authentication.k8s.io/v1beta1")


@pytest.mark.parametrize(
    ("breaking", "complaint"),
    [
        (no_program, "login-tool cannot be started.*Install it with"),
        (failing, "ended with 3: please log in"),
        (babbling, "gave no ExecCredential"),
        (empty, "neither a token nor a client certificate"),
        (another_version, "answered in client.authentication.k8s.io/v1beta1"),
    ],
)
async def test_a_plugin_that_fails_says_how(tmp_path: Path, breaking: Break, complaint: str) -> None:
    user = plugin(tmp_path, {"token": "x"})
    breaking(tmp_path, user)
    file = kubeconfig(tmp_path, user=user)
    async with Cluster.connect(file, environment={"PATH": "/usr/bin:/bin"}) as cluster:
        with pytest.raises(CannotConnect, match=complaint) as caught:
            await cluster.version()
    assert f"context dev of {file}" in str(caught.value)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"user": {"auth-provider": {"name": "gcp"}}}, "removed in 1.26"),
        ({"user": {"as-groups": ["root"]}}, "without `as`"),
        ({"user": {"client-key-data": "eA=="}}, "has no client-certificate"),
        ({"user": {"client-certificate-data": "eA=="}}, "has no client-key"),
        ({"user": {"client-certificate-data": "%%"}}, "not base64"),
        ({"user": {"client-certificate": "gone.pem"}}, "gone.pem"),
        ({"user": {"exec": {"command": "x", "apiVersion": "client.authentication.k8s.io/v1alpha1"}}}, "v1alpha1"),
        (
            {
                "user": {
                    "exec": {
                        "command": "x",
                        "apiVersion": "client.authentication.k8s.io/v1",
                        "interactiveMode": "Always",
                    }
                }
            },
            "talk to a person",
        ),
        ({"user": {"token": 5}}, "Expected `str`"),
        ({"cluster": {"proxy-url": "socks5://x"}}, "only http and https proxies"),
        ({"server": ""}, "has no server"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_says_what_is_wrong_and_where(
    tmp_path: Path, given: Any, complaint: str
) -> None:
    file = kubeconfig(tmp_path, **given)
    with pytest.raises(CannotConnect, match=complaint) as caught:
        Cluster.connect(file)
    assert f"context dev of {file}" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"current-context": ""}, "no current-context; choose one with --context: dev"),
        ({"current-context": "prod"}, "no context 'prod'; there is: dev"),
        ({"clusters": []}, "cluster 'c', which is not in"),
        ({"users": None}, "user 'u', which is not in"),
    ],
)
def test_a_name_that_leads_nowhere_is_named(tmp_path: Path, change: Json, complaint: str) -> None:
    file = kubeconfig(tmp_path)
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **change}))
    with pytest.raises(CannotConnect, match=complaint):
        Cluster.connect(file)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "a: [",
            "not valid YAML: line 1: did not find expected node content$|not valid YAML: line 1: expected .*$",
        ),
        ("", "no mapping"),
        ("clusters: {a: b}", "clusters that are no list"),
        ("users: [me]", "an entry of users without a user in it"),
        ("contexts:\n- {name: a, context: 5}", "an entry of contexts without a context in it"),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "broken"
    file.write_text(text)
    with pytest.raises(CannotConnect, match=f"{file}.*{complaint}"):
        Cluster.connect(file)
    with pytest.raises(CannotConnect, match="missing does not exist"):
        Cluster.connect(tmp_path / "missing")


def pod_environment(folder: Path) -> dict[str, str]:
    folder.mkdir()
    (folder / "token").write_text("pod-token")
    (folder / "ca.crt").write_bytes(certificates.authority_pem())
    (folder / "namespace").write_text("kubernaut-system")
    return {
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
        "KUBERNETES_SERVICE_PORT": "6443",
        "KUBERNAUT_SERVICEACCOUNT_DIR": str(folder),
    }


def test_an_explicit_file_wins_over_kubeconfig_over_the_pod_over_the_home(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    kubeconfig(tmp_path, "https://home", name=".kube/config")
    explicit = kubeconfig(tmp_path, "https://explicit", name="explicit")
    named = kubeconfig(tmp_path, "https://named", name="named")
    pod = pod_environment(tmp_path / "sa")
    everything = {"HOME": str(tmp_path), "KUBECONFIG": str(named), **pod}

    def server(file: Path | None, environment: dict[str, str], context: str | None = None) -> str:
        return Cluster.connect(file, context, environment=environment).connection.server

    assert server(explicit, everything) == "https://explicit"
    assert server(None, everything) == "https://named"
    assert server(None, {"HOME": str(tmp_path), **pod}) == "https://10.0.0.1:6443"
    assert server(None, {"HOME": str(tmp_path)}) == "https://home"
    # A context can only be meant of a kubeconfig.
    assert server(None, {"HOME": str(tmp_path), **pod}, "dev") == "https://home"


async def test_in_a_pod_the_service_account_is_used(tmp_path: Path) -> None:
    environment = pod_environment(tmp_path / "sa")
    connection = Cluster.connect(environment={**environment, "KUBERNETES_SERVICE_HOST": "fd00::1"}).connection
    assert connection.server == "https://[fd00::1]:6443"
    assert connection.namespace == "kubernaut-system"
    assert (await connection.credentials.login()).authorization == "Bearer pod-token"
    (tmp_path / "sa" / "ca.crt").unlink()
    with pytest.raises(CannotConnect, match="automountServiceAccountToken"):
        Cluster.connect(environment=environment)


def test_several_files_are_merged_and_missing_ones_skipped(tmp_path: Path) -> None:
    first = kubeconfig(tmp_path, "https://first", name="first", context="one")
    second = kubeconfig(tmp_path, "https://second", name="second", context="two")
    environment = {"KUBECONFIG": f"{tmp_path}/missing:{first}:{second}"}
    assert Cluster.connect(environment=environment).connection.source == f"context one of {first}"
    # Of entries with one name the first is taken, as kubectl does.
    other = Cluster.connect(None, "two", environment=environment).connection
    assert (other.source, other.server) == (f"context two of {second}", "https://first")
