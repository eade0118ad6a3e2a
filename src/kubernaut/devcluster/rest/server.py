"""The HTTP server: TLS on loopback, and the way of each request through it.

Order: fault hooks, who calls (401), whom they play, what they may do (403), the handler, the log.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from aiohttp import web

from kubernaut.concurrency.clock import Clock
from kubernaut.devcluster.errors import (
    ApiError,
    Forbidden,
    InternalError,
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    NotImplementedHere,
)
from kubernaut.devcluster.identity.authentication import Authenticator, impersonated
from kubernaut.devcluster.identity.certificates import KeyPair
from kubernaut.devcluster.identity.rbac import Access, Authorizer, forbidden_text
from kubernaut.devcluster.identity.reviews import (
    self_review,
    self_subject_access_review,
    self_subject_rules_review,
    subject_access_review,
    token_review,
)
from kubernaut.devcluster.identity.tokens import TokenIssuer
from kubernaut.devcluster.identity.users import User
from kubernaut.devcluster.objects import Object
from kubernaut.devcluster.policies.webhooks import Unreviewed, Webhooks
from kubernaut.devcluster.request_log import Call, RequestLog
from kubernaut.devcluster.resources import Resource
from kubernaut.devcluster.store import Store

from .call import Request, json_response, raw_response, read_body
from .discovery import AGGREGATED, REVIEWS, Discovery, version, wants_aggregated
from .openapi import OpenAPI
from .paths import access_to, target_of, verb_of
from .subresources import Subresources
from .tables import Tables
from .verbs import Verbs
from .watching import Watches

_log = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Middleware: TypeAlias = Callable[[web.BaseRequest, Handler], Awaitable[web.StreamResponse]]
"""Gets a request and what would answer it. It may answer itself, raise an ApiError, wait, or let the
handler work and then throw its answer away (`drop_connection`)."""

_NOT_SERVED = ("exec", "attach", "portforward", "proxy", "ephemeralcontainers", "resize")
"""Of pods. kubectl prints what it is told, so it is told more than that there is nothing."""
_HEALTH = ("/healthz", "/livez", "/readyz")


def drop_connection(http: web.BaseRequest) -> None:
    """Break the caller's connection, so that an answer is never seen; for middlewares."""
    if http.transport is not None:
        http.transport.abort()


class ApiServer:
    """Serves a store. Start and stop it within one event loop."""

    def __init__(self, store: Store, clock: Clock, tokens: TokenIssuer) -> None:
        self.store = store
        self.requests = RequestLog()
        self.authenticator = Authenticator(tokens)
        self.authorizer = Authorizer(store)
        self.webhooks = Webhooks(store)
        self.middlewares: list[Middleware] = []
        """The first is the outermost. May be changed while the server runs."""
        tables = Tables(clock.now)
        self.subresources = Subresources(store, tokens)
        self.watches = Watches(store, tables, clock)
        self._clock = clock
        self._tokens = tokens
        self._verbs = Verbs(store, tables, self._may_create)
        self._discovery = Discovery(store.catalogue)
        self._openapi = OpenAPI(store.catalogue, self._discovery)
        self._runner: web.ServerRunner | None = None
        self.port = 0

    async def start(self, pair: KeyPair, authority: bytes, port: int = 0) -> None:
        """Listen on 127.0.0.1; port 0 takes a free one. Raises OSError when it is taken."""
        server = web.Server(self._serve, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port, ssl_context=_tls(pair, authority))
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        self.watches.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def who(self, http: web.BaseRequest) -> User:
        """Who calls, before any impersonation. Raises Unauthorized."""
        peer: Mapping[str, Any] | None = http.get_extra_info("peercert")
        return self.authenticator.user_of(http.headers.get("Authorization", ""), peer)

    def cut(self, spared: object = None) -> None:
        """Break every connection, as a server does that dies; all but the one with this transport."""
        self.watches.close()
        server = self._runner.server if self._runner is not None else None
        for connection in () if server is None else tuple(server.connections):
            if connection.transport is not None and connection.transport is not spared:
                connection.transport.abort()

    # -- the way of a request ----------------------------------------------------------------------

    async def _serve(self, http: web.BaseRequest) -> web.StreamResponse:
        handler: Handler = self._answer
        for middleware in reversed(self.middlewares):
            handler = _wrapped(middleware, handler)
        try:
            return await handler(http)
        except ApiError as error:
            return _refusal(error)

    async def _answer(self, http: web.BaseRequest) -> web.StreamResponse:
        started = self._clock.monotonic()
        raw_path, _, raw_query = http.raw_path.partition("?")
        query = dict(parse_qsl(raw_query, keep_blank_values=True))
        target = target_of(raw_path)
        is_watch = query.get("watch") in ("1", "true", "True") and http.method == "GET"
        request = Request(http, target, verb_of(http.method, target, is_watch=is_watch), query, User(""))
        code = 500
        try:
            response = await self._authorised(request, started)
            code = response.status
            return response
        except ApiError as error:
            code = error.code
            return _refusal(error, request.warnings)
        except Exception:  # noqa: BLE001 - the edge of a request: a bug must not end the server
            _log.exception("request failed", extra={"method": http.method, "path": http.path})
            return _refusal(InternalError("Internal error occurred: see the log of the cluster"))
        finally:
            if not (request.verb == "watch" and code == 200):
                self._note(request, code, started)

    def _note(self, request: Request, code: int, started: float) -> None:
        target = request.target
        self.requests.note(
            Call(
                request.user.name,
                request.verb,
                target.group,
                target.full_resource,
                target.namespace,
                target.name or request.name,
                code,
                self._clock.monotonic() - started,
                target.path,
                request.http.headers.get("User-Agent", ""),
                request.is_dry_run,
            )
        )

    async def _authorised(self, request: Request, started: float) -> web.StreamResponse:
        http, target = request.http, request.target
        if target.path in _HEALTH:
            return web.Response(text="ok")
        user = request.user = self.who(http)
        headers = http.headers
        if any(key.lower().startswith("impersonate-") for key in headers):
            groups = headers.getall("Impersonate-Group", [])
            user = request.user = impersonated(user, headers, groups, self.authorizer)
        self._judge(request, access_to(request.verb, target, request.query.get("fieldSelector", "")))
        request.body = await read_body(http)
        if not target.resource:
            return self._page(request)
        return await self._resource(request, started)

    def _may_create(self, request: Request) -> None:
        """Writing what is not there takes the right to create it as well. Raises Forbidden."""
        self._judge(request, access_to("create", request.target))

    def _judge(self, request: Request, access: Access) -> None:
        target, user = request.target, request.user
        if self.authorizer.judge(user, access).is_allowed:
            return
        details: Object = {"name": target.name} if target.name else {}
        if target.group:
            details["group"] = target.group
        if target.resource:
            details["kind"] = target.resource
        raise Forbidden(forbidden_text(user, access), details)

    async def _resource(self, request: Request, started: float) -> web.StreamResponse:
        target = request.target
        resource = self.store.catalogue.find(target.group, target.version, target.resource)
        if resource is None:
            return self._review(request)
        if target.name and resource.namespaced and not target.namespace:
            raise NotFound.page()
        if not resource.namespaced and target.namespace and target.resource != "namespaces":
            raise NotFound.page()
        if target.resource == "pods" and target.subresource in _NOT_SERVED:
            self.store.record(resource, target.name, target.namespace)
            raise NotImplementedHere.of(target.subresource)
        if not _is_readable(request.http.headers.get("Accept", "")):
            raise NotAcceptable.here()
        if request.verb == "watch":
            self._note(request, 200, started)
            return await self.watches.serve(request, resource)
        if target.subresource == "log" and "log" in resource.subresources:
            return await self.subresources.log(request, resource, self._clock.now())
        if target.subresource and target.subresource != "status":
            return await self._reviewed_by_webhooks(self.subresources.handle, request, resource)
        if target.subresource == "status" and (
            "status" not in resource.subresources or request.verb not in ("get", "update", "patch")
        ):
            raise NotFound.page()
        return await self._reviewed_by_webhooks(self._verbs.handle, request, resource)

    async def _reviewed_by_webhooks(
        self, handle: Callable[[Request, Resource], web.Response], request: Request, resource: Resource
    ) -> web.Response:
        while True:
            try:
                return handle(request, resource)
            except Unreviewed as asked:
                await self.webhooks.ask(asked, request.warnings)
                request.reviewed |= {asked.key}

    def _review(self, request: Request) -> web.Response:
        target = request.target
        known = any((r.group, r.plural) == (target.group, target.resource) for r in REVIEWS)
        if target.group and target.version not in self._discovery.groups().get(target.group, ()):
            return _no_page()
        if not known or target.version != "v1":
            raise NotFound.page()
        if request.verb != "create":
            raise MethodNotAllowed.here()
        return json_response(self._reviewed(request, request.json_body()), 201)

    def _reviewed(self, request: Request, body: Object) -> Object:
        kind, user = request.target.resource, request.user
        if kind == "tokenreviews":
            return token_review(body, self.authenticator, self._tokens)
        if kind == "selfsubjectreviews":
            return self_review(body, user)
        if kind == "selfsubjectaccessreviews":
            return self_subject_access_review(body, self.authorizer, user)
        if kind == "selfsubjectrulesreviews":
            return self_subject_rules_review(body, self.authorizer, user)
        return subject_access_review(body, self.authorizer, request.target.namespace)

    def _page(self, request: Request) -> web.Response:
        """Paths that are no resources."""
        path = request.target.path
        if request.http.method not in ("GET", "HEAD"):
            raise MethodNotAllowed.here()
        if path == "/version":
            return json_response(version())
        if path == "/":
            return json_response({"paths": ["/api", "/apis", "/healthz", "/openapi/v3", "/version"]})
        if path.startswith("/openapi/v3"):
            found = self._openapi.answer(path)
        else:
            aggregated = wants_aggregated(request.http.headers.get("Accept", ""))
            found = self._discovery.answer(path, aggregated=aggregated)
            if found is not None and aggregated and path in ("/api", "/apis"):
                return web.Response(body=found, headers={"Content-Type": AGGREGATED})
        return _no_page() if found is None else raw_response(found)


def _is_readable(accept: str) -> bool:
    """Whether a client that accepts this reads JSON."""
    return not accept or any(kind in accept for kind in ("application/json", "*/*", "application/*"))


def _no_page() -> web.Response:
    return web.Response(text="404 page not found\n", status=404)


def _wrapped(middleware: Middleware, handler: Handler) -> Handler:
    return lambda http: middleware(http, handler)


def _refusal(error: ApiError, warnings: list[str] | None = None) -> web.Response:
    response = json_response(error.to_status(), error.code, warnings)
    # Budgets name no time to come back, and then there is no such header.
    if seconds := (error.details or {}).get("retryAfterSeconds"):
        response.headers["Retry-After"] = str(seconds)
    return response


def _tls(pair: KeyPair, authority: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # `ssl` reads key pairs from files only; they are gone before the first connection.
    with TemporaryDirectory() as folder:
        chain, key = Path(folder, "tls.crt"), Path(folder, "tls.key")
        key.touch(mode=0o600)
        chain.write_bytes(pair.certificate)
        key.write_bytes(pair.key)
        context.load_cert_chain(chain, key)
    context.load_verify_locations(cadata=authority.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    return context
