"""Validating webhooks: programs that are asked before something is written.

A real API server must reach this machine: KUBERNAUT_TEST_WEBHOOK_HOST is its address as seen from there.
"""

import asyncio
import base64
import ipaddress
import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kubernaut.concurrency import SystemClock
from kubernaut.settings import environment

from .api import Api, Json
from .objects import config_map, until

HOST = environment().get("KUBERNAUT_TEST_WEBHOOK_HOST", "127.0.0.1")
ROOT = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
NAME = "judge.example.com"


def certificate(folder: Path) -> tuple[ssl.SSLContext, bytes]:
    """Its own authority, for one address."""
    key, now = ec.generate_private_key(ec.SECP256R1()), SystemClock().now()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "judge")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "c").write_bytes(pem)
    (folder / "k").write_bytes(key.private_bytes(*form))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "c", folder / "k")
    return context, pem


class Judge:
    """Answers as its `response` says, and remembers what it was asked."""

    def __init__(self, cluster: Api, url: str, bundle: bytes) -> None:
        self.cluster, self.url, self.bundle = cluster, url, bundle
        self.asked: list[Json] = []
        self.response: Json = {"allowed": True}
        self.waits = False

    async def hold(self, **more: Any) -> None:
        """In force when this returns."""
        rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}
        hook = {
            "name": NAME,
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "timeoutSeconds": 1,
            "rules": [rule],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.cluster.namespace}},
            "clientConfig": {"url": self.url, "caBundle": base64.b64encode(self.bundle).decode()},
            **more,
        }
        made = await self.cluster.post(ROOT, {"metadata": {"name": self.cluster.namespace}, "webhooks": [hook]})
        assert made.code == 201, made.body

        async def is_asked() -> bool:
            await self.cluster.post("v1/configmaps?dryRun=All", config_map("canary"))
            return bool(self.asked)

        await until(is_asked)
        self.asked.clear()


@pytest.fixture
async def judge(cluster: Api, tmp_path: Path) -> AsyncIterator[Judge]:
    context, bundle = certificate(tmp_path)
    never = asyncio.Event()

    async def answer(http: web.BaseRequest) -> web.StreamResponse:
        request = (await http.json())["request"]
        made.asked.append(request)
        if made.waits and request["name"] != "canary":
            await never.wait()
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
        return web.json_response({**review, "response": {"uid": request["uid"], **made.response}})

    runner = web.ServerRunner(web.Server(answer, handler_cancellation=True), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0, ssl_context=context)
    await site.start()
    made = Judge(cluster, f"https://{HOST}:{runner.addresses[0][1]}/judge", bundle)
    yield made
    await cluster.delete(f"{ROOT}/{cluster.namespace}")
    await runner.cleanup()


async def test_a_webhook_is_asked_and_may_refuse(cluster: Api, judge: Judge) -> None:
    await judge.hold()
    judge.response = {"allowed": False, "status": {"code": 403, "message": "not today"}}
    refused = await cluster.post("v1/configmaps", config_map("a", x="1"))
    assert refused.code == 403
    assert refused.message == f'admission webhook "{NAME}" denied the request: not today'
    asked = judge.asked[-1]
    assert (asked["operation"], asked["name"], asked["namespace"]) == ("CREATE", "a", cluster.namespace)
    assert asked["object"]["data"] == {"x": "1"}
    assert (await cluster.get("v1/configmaps/a")).code == 404


async def test_a_webhook_that_says_no_word_refuses_with_400(cluster: Api, judge: Judge) -> None:
    await judge.hold()
    judge.response = {"allowed": False}
    refused = await cluster.post("v1/configmaps", config_map("a"))
    assert refused.code == 400
    assert refused.message == f'admission webhook "{NAME}" denied the request without explanation'


async def test_a_webhook_sees_what_was_and_what_is_to_be(cluster: Api, judge: Judge) -> None:
    await judge.hold()
    await cluster.post("v1/configmaps", config_map("a", x="1"))
    assert (await cluster.patch("v1/configmaps/a", {"data": {"x": "2"}})).code == 200
    asked = judge.asked[-1]
    assert (asked["operation"], asked["oldObject"]["data"], asked["object"]["data"]) == (
        "UPDATE",
        {"x": "1"},
        {"x": "2"},
    )
    assert (await cluster.delete("v1/configmaps/a")).code == 200
    assert (judge.asked[-1]["operation"], judge.asked[-1]["object"]) == ("DELETE", None)


async def test_a_webhook_may_warn(cluster: Api, judge: Judge) -> None:
    await judge.hold()
    judge.response = {"allowed": True, "warnings": ["think twice"]}
    made = await cluster.post("v1/configmaps", config_map("a"))
    assert (made.code, made.headers["Warning"]) == (201, '299 - "think twice"')


@pytest.mark.parametrize(("policy", "code"), [("Fail", 500), ("Ignore", 201)])
async def test_a_webhook_that_does_not_answer_fails_or_is_ignored(
    cluster: Api, judge: Judge, policy: str, code: int
) -> None:
    await judge.hold(failurePolicy=policy)
    judge.waits = True
    tried = await cluster.post("v1/configmaps", config_map("a"))
    assert tried.code == code
    if code == 500:
        head = (
            f'Internal error occurred: failed calling webhook "{NAME}": failed to call webhook: Post "{judge.url}'
        )
        assert tried.message.startswith(head)
        assert "deadline exceeded" in tried.message
