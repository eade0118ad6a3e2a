"""ServiceAccount tokens: JWTs signed with ES256, bound to an account and perhaps to a pod."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from kubernaut.devcluster.errors import BadRequest, Invalid, NotFound, Unauthorized
from kubernaut.devcluster.metadata import invalid, new_uid, timestamp
from kubernaut.devcluster.objects import Object, is_map, list_at, map_at, uid_of
from kubernaut.devcluster.resources import PODS, SECRETS, SERVICE_ACCOUNTS
from kubernaut.devcluster.store import Store

from .users import AUTHENTICATED, SERVICE_ACCOUNTS_GROUP, User

AUDIENCE = "https://kubernetes.default.svc.cluster.local"
ISSUER = AUDIENCE
_SHORTEST = 600
_LONGEST = 2**32
_BOUND_KINDS = {"Pod": PODS, "Secret": SECRETS}


@dataclass(frozen=True, slots=True)
class Bound:
    """The object without which a token is void."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class _Known:
    user: User
    expires: datetime
    namespace: str
    account: str
    account_uid: str
    bound: Bound | None
    audiences: tuple[str, ...]


class TokenIssuer:
    """Issues and checks tokens of one cluster."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._key_id = new_uid()
        # The signature is checked once a token; what it is bound to, each time.
        self._known: dict[str, _Known] = {}

    def issue(
        self,
        account: Object,
        *,
        seconds: int = 3600,
        audiences: tuple[str, ...] = (),
        bound: Bound | None = None,
    ) -> tuple[str, datetime]:
        """A token of a ServiceAccount object and the moment when it expires."""
        metadata = account["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        now = self._now()
        expires = now + timedelta(seconds=seconds)
        about: Object = {
            "namespace": namespace,
            "serviceaccount": {"name": name, "uid": metadata["uid"]},
        }
        if bound is not None:
            about[bound.kind.lower()] = {"name": bound.name, "uid": bound.uid}
        claims = {
            "iss": ISSUER,
            "sub": f"system:serviceaccount:{namespace}:{name}",
            "aud": list(audiences or (AUDIENCE,)),
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": int(expires.timestamp()),
            "jti": new_uid(),
            "kubernetes.io": about,
        }
        token = jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": self._key_id})
        return token, expires

    def request(self, namespace: str, name: str, body: Object) -> Object:
        """Answer a TokenRequest (authentication.k8s.io/v1). Raises NotFound, Invalid, BadRequest."""
        account = self._store.get(SERVICE_ACCOUNTS, name, namespace)
        spec = map_at(body, "spec")
        seconds = int(spec.get("expirationSeconds") or 3600)
        path = "spec.expirationSeconds"
        if seconds < _SHORTEST:
            fault = invalid(path, seconds, "may not specify a duration less than 10 minutes")
            raise Invalid.of("authentication.k8s.io", "TokenRequest", "", [fault])
        if seconds > _LONGEST:
            fault = invalid(path, seconds, "may not specify a duration larger than 2^32 seconds")
            raise Invalid.of("authentication.k8s.io", "TokenRequest", "", [fault])
        reference = spec.get("boundObjectRef")
        bound = self._bound(namespace, name, reference) if is_map(reference) else None
        audiences = tuple(str(audience) for audience in list_at(spec, "audiences"))
        token, expires = self.issue(account, seconds=seconds, audiences=audiences, bound=bound)
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": name, "namespace": namespace, "creationTimestamp": timestamp(self._now())},
            "spec": {
                "audiences": list(audiences or (AUDIENCE,)),
                "expirationSeconds": seconds,
                "boundObjectRef": reference,
            },
            "status": {"token": token, "expirationTimestamp": timestamp(expires)},
        }

    def _bound(self, namespace: str, account: str, reference: Object) -> Bound:
        kind, name = str(reference.get("kind")), str(reference.get("name", ""))
        if kind not in _BOUND_KINDS:
            raise BadRequest(f"cannot bind token to object of type {kind}")
        obj = self._store.get(_BOUND_KINDS[kind], name, namespace)
        if kind == "Pod" and obj["spec"].get("serviceAccountName") != account:
            raise BadRequest(
                f'cannot bind token for serviceaccount "{account}" to pod running with different '
                "serviceaccount name."
            )
        wanted = reference.get("uid")
        if wanted and wanted != uid_of(obj):
            raise BadRequest(
                f"the UID in the bound object reference ({wanted}) does not match the UID in record. "
                "The object might have been deleted and then recreated"
            )
        return Bound(kind, name, uid_of(obj))

    def review(self, token: str, audiences: tuple[str, ...] = ()) -> tuple[User, tuple[str, ...]]:
        """The user of a token and the audiences it serves. Raises Unauthorized."""
        known = self._known.get(token) or self._verified(token)
        now = self._now()
        if known.expires <= now:
            self._known.pop(token, None)
            raise Unauthorized("token has expired")
        served = tuple(a for a in known.audiences if a in (audiences or (AUDIENCE,)))
        if not served:
            raise Unauthorized("token audiences do not match")
        self._check_bindings(known)
        return known.user, served

    def _verified(self, token: str) -> _Known:
        try:
            # Expiry is judged by the cluster's own clock, not by the library's.
            claims = jwt.decode(
                token,
                self._key.public_key(),
                algorithms=["ES256"],
                issuer=ISSUER,
                options={"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError as error:
            raise Unauthorized(str(error)) from None
        known = _known_from(claims, self._now().tzinfo)
        if len(self._known) > 10_000:
            self._known.clear()
        self._known[token] = known
        return known

    def _check_bindings(self, known: _Known) -> None:
        try:
            account = self._store.record(SERVICE_ACCOUNTS, known.account, known.namespace).object
            if uid_of(account) != known.account_uid:
                raise Unauthorized("service account UID does not match claim")
            if known.bound is not None:
                kind = _BOUND_KINDS[known.bound.kind]
                bound = self._store.record(kind, known.bound.name, known.namespace).object
                if uid_of(bound) != known.bound.uid:
                    raise Unauthorized("bound object UID does not match claim")
        except NotFound as error:
            raise Unauthorized(f"service account token has been invalidated: {error}") from None


def _known_from(claims: dict[str, Any], zone: Any) -> _Known:
    about = map_at(claims, "kubernetes.io")
    namespace = str(about.get("namespace", ""))
    account = map_at(about, "serviceaccount")
    name, uid = str(account.get("name", "")), str(account.get("uid", ""))
    bound: Bound | None = None
    extra: dict[str, tuple[str, ...]] = {
        "authentication.kubernetes.io/credential-id": (f"JTI={claims.get('jti', '')}",)
    }
    for kind in _BOUND_KINDS:
        held = map_at(about, kind.lower())
        if held:
            bound = Bound(kind, str(held.get("name")), str(held.get("uid")))
            if kind == "Pod":
                extra["authentication.kubernetes.io/pod-name"] = (bound.name,)
                extra["authentication.kubernetes.io/pod-uid"] = (bound.uid,)
    groups = (SERVICE_ACCOUNTS_GROUP, f"{SERVICE_ACCOUNTS_GROUP}:{namespace}", AUTHENTICATED)
    return _Known(
        User(str(claims["sub"]), groups, uid, extra),
        datetime.fromtimestamp(claims["exp"], zone),
        namespace,
        name,
        uid,
        bound,
        tuple(str(audience) for audience in list_at(claims, "aud")),
    )
