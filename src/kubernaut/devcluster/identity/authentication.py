"""Who calls: a client certificate, a static token or a ServiceAccount's token, and impersonation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from kubernaut.devcluster.errors import BadRequest, Forbidden, Unauthorized

from .rbac import Access, Authorizer, forbidden_text
from .tokens import TokenIssuer
from .users import AUTHENTICATED, User, service_account

_PREFIX = "system:serviceaccount:"
_EXTRA = "impersonate-extra-"
_AUTHENTICATION = "authentication.k8s.io"


class Authenticator:
    def __init__(self, tokens: TokenIssuer) -> None:
        self._tokens = tokens
        self.static: dict[str, User] = {}
        """Bearer token -> user."""

    def user_of(self, authorization: str, peer: Mapping[str, Any] | None) -> User:
        """Raises Unauthorized. `peer` is the client's certificate as `ssl` shows it, if it sent one."""
        if authorization:
            scheme, _, token = authorization.partition(" ")
            if scheme.lower() != "bearer" or not token.strip():
                raise Unauthorized
            return self.user_of_token(token.strip())
        if peer:
            return _user_of_certificate(peer)
        # Anonymous requests are switched off, as they are in hardened clusters.
        raise Unauthorized

    def user_of_token(self, token: str) -> User:
        """Raises Unauthorized, without saying why: that would help whoever guesses."""
        user = self.static.get(token)
        if user is not None:
            return user
        try:
            return self._tokens.review(token)[0]
        except Unauthorized:
            raise Unauthorized from None


def _user_of_certificate(peer: Mapping[str, Any]) -> User:
    name = ""
    groups: list[str] = []
    for part in peer.get("subject", ()):
        for key, value in part:
            if key == "commonName":
                name = value
            elif key == "organizationName":
                groups.append(value)
    if not name:
        raise Unauthorized
    return User(name, (*groups, AUTHENTICATED))


def impersonated(user: User, headers: Mapping[str, str], groups: list[str], authorizer: Authorizer) -> User:
    """Who the caller wants to be. Raises Forbidden, BadRequest.

    `groups` are all values of Impersonate-Group; header names are compared in lower case.
    """
    name = headers.get("Impersonate-User", "")
    if not name:
        if groups or headers.get("Impersonate-Uid"):
            named = ", ".join(f'"{group}"' for group in groups)
            raise BadRequest(
                f'requested &user.DefaultInfo{{Name:"", UID:"{headers.get("Impersonate-Uid", "")}", '
                f"Groups:[]string{{{named}}}, Extra:map[string][]string(nil)}} without impersonating "
                "a user name"
            )
        return user
    wanted = [_access_to(name)]
    wanted.extend(Access("impersonate", resource="groups", name=group) for group in groups)
    uid = headers.get("Impersonate-Uid", "")
    if uid:
        wanted.append(Access("impersonate", _AUTHENTICATION, "uids", name=uid))
    extra = {
        unquote(key.lower().removeprefix(_EXTRA)): (value,)
        for key, value in headers.items()
        if key.lower().startswith(_EXTRA)
    }
    wanted.extend(
        Access("impersonate", _AUTHENTICATION, "userextras", key, name=value)
        for key, values in extra.items()
        for value in values
    )
    for access in wanted:
        if not authorizer.judge(user, access).is_allowed:
            raise Forbidden(forbidden_text(user, access))
    if name.startswith(_PREFIX):
        namespace, _, account = name.removeprefix(_PREFIX).partition(":")
        assumed = service_account(namespace, account, uid)
        if groups:
            assumed = replace(assumed, groups=(*groups, AUTHENTICATED))
    else:
        assumed = User(name, tuple(dict.fromkeys((*groups, AUTHENTICATED))), uid)
    return replace(assumed, extra=extra) if extra else assumed


def _access_to(name: str) -> Access:
    if name.startswith(_PREFIX):
        namespace, _, account = name.removeprefix(_PREFIX).partition(":")
        return Access("impersonate", resource="serviceaccounts", namespace=namespace, name=account)
    return Access("impersonate", resource="users", name=name)
