"""Validating webhooks: programs that are asked before something is written.

A write is one step, in which nobody can be called. So the first attempt of a request ends in `Unreviewed`; then
the webhooks are asked, and the request is tried again with their consent noted. That holds for the state that they
saw: when somebody else wrote meanwhile, they are asked again. Writes of the cluster's own parts ask nobody.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ssl
from typing import Any

import aiohttp

from kubernaut.devcluster.errors import ApiError, InternalError
from kubernaut.devcluster.identity.users import INSIDE
from kubernaut.devcluster.objects import Object, copied, is_map, list_at, map_at, name_of, version_of
from kubernaut.devcluster.store import Store
from kubernaut.devcluster.writing import Attributes

from .matching import any_rule, concerns
from .requests import admission_request

WEBHOOKS = "validatingwebhookconfigurations.admissionregistration.k8s.io"
_SECONDS = 10


class Unreviewed(Exception):
    """Webhooks have a say in this write and were not asked yet."""

    def __init__(self, key: str, review: Object, hooks: list[Object]) -> None:
        super().__init__(key)
        self.key = key
        self.review = review
        self.hooks = hooks


class Refused(ApiError):
    def __init__(self, hook: str, status: Object) -> None:
        why = status.get("message") or status.get("reason")
        head = f'admission webhook "{hook}" denied the request'
        super().__init__(f"{head}: {why}" if why else f"{head} without explanation", status.get("details"))
        self.code = max(int(status.get("code") or 0), 400)
        self.reason = str(status.get("reason") or "")


class Webhooks:
    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(self, attributes: Attributes) -> None:
        """The admission step. Raises Unreviewed."""
        write = attributes.write
        if write.user is INSIDE or not self._store.ledger.count(WEBHOOKS):
            return
        hooks = [
            hook
            for record in self._store.ledger.records(WEBHOOKS)
            for hook in list_at(record.object, "webhooks")
            if _matches(hook, attributes)
        ]
        key = _key(attributes)
        if hooks and key not in write.reviewed:
            request = admission_request(attributes)
            request["object"], request["oldObject"] = copied(attributes.object), attributes.old
            review = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}
            raise Unreviewed(key, review, hooks)

    async def ask(self, asked: Unreviewed, warnings: list[str]) -> None:
        """Ask all of them at once. Raises Refused, InternalError."""
        async with aiohttp.ClientSession() as session:
            refusals: list[ApiError] = []

            async def ask_one(hook: Object) -> None:
                try:
                    warnings.extend(await _consent(session, hook, asked.review))
                except ApiError as error:
                    refusals.append(error)

            async with asyncio.TaskGroup() as group:
                for hook in asked.hooks:
                    group.create_task(ask_one(hook))
        if refusals:
            raise refusals[0]


def _matches(hook: Object, attributes: Attributes) -> bool:
    exact = hook.get("matchPolicy") == "Exact"
    return any_rule(list_at(hook, "rules"), attributes, exact=exact) and concerns(hook, attributes)


def _key(attributes: Attributes) -> str:
    version = 0 if attributes.old is None else version_of(attributes.old)
    # What is created may get another name with each attempt.
    name = "" if attributes.old is None else name_of(attributes.old)
    place = (attributes.resource.key, attributes.subresource, attributes.namespace, name)
    return " ".join((attributes.operation, *place, str(version)))


async def _consent(session: aiohttp.ClientSession, hook: Object, review: Object) -> list[str]:
    """The warnings that come with it. Raises Refused, InternalError."""
    name, seconds = str(hook.get("name")), hook.get("timeoutSeconds") or _SECONDS
    url = f"{map_at(hook, 'clientConfig').get('url')}?timeout={seconds}s"
    try:
        answer = await _posted(session, hook, url, review, seconds)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, binascii.Error) as error:
        if hook.get("failurePolicy") == "Ignore":
            return []
        why = "context deadline exceeded" if isinstance(error, TimeoutError) else str(error)
        head = f'Internal error occurred: failed calling webhook "{name}": failed to call webhook'
        raise InternalError(f'{head}: Post "{url}": {why}', {"causes": [{"message": why}]}) from None
    response = map_at(answer, "response")
    if response.get("allowed") is not True:
        raise Refused(name, map_at(response, "status"))
    return [str(text) for text in list_at(response, "warnings")]


async def _posted(
    session: aiohttp.ClientSession, hook: Object, url: str, review: Object, seconds: int
) -> dict[str, Any]:
    bundle = map_at(hook, "clientConfig").get("caBundle")
    context = ssl.create_default_context(cadata=base64.b64decode(bundle).decode() if bundle else None)
    async with asyncio.timeout(seconds), session.post(url, json=review, ssl=context) as response:
        if response.status != 200:
            raise ValueError(f"the server answered {response.status}")
        answer = await response.json(content_type=None)
    if not is_map(answer) or map_at(answer, "response").get("uid") != review["request"]["uid"]:
        raise ValueError("expected response.uid to be that of the request")
    return answer
