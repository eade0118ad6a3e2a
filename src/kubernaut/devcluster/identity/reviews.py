"""TokenReview and the access reviews: questions about identity that are asked by POST."""

from __future__ import annotations

from typing import Any

from kubernaut.devcluster.errors import BadRequest, Fault, Invalid, Unauthorized
from kubernaut.devcluster.metadata import invalid
from kubernaut.devcluster.objects import Object, is_map, list_at, map_at

from .authentication import Authenticator
from .rbac import Access, Authorizer
from .tokens import AUDIENCE, TokenIssuer
from .users import User

AUTHENTICATION = "authentication.k8s.io"
AUTHORIZATION = "authorization.k8s.io"


def token_review(body: Object, authenticator: Authenticator, tokens: TokenIssuer) -> Object:
    spec = map_at(body, "spec")
    token = str(spec.get("token") or "")
    wanted = tuple(str(audience) for audience in list_at(spec, "audiences"))
    try:
        if token in authenticator.static:
            user, served = authenticator.static[token], wanted or (AUDIENCE,)
        else:
            user, served = tokens.review(token, wanted)
    except Unauthorized:
        # Why a token is bad helps whoever guesses.
        return _with_status(body, {"user": {}, "error": "invalid bearer token"})
    status: Object = {"authenticated": True, "user": user_info(user), "audiences": list(served)}
    return _with_status(body, status)


def _with_status(body: Object, status: Object) -> Object:
    return {"metadata": {}, **body, "status": status}


def user_info(user: User) -> Object:
    info: Object = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        info["uid"] = user.uid
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info


def self_review(body: Object, user: User) -> Object:
    """SelfSubjectReview, behind `kubectl auth whoami`."""
    return _with_status(body, {"userInfo": user_info(user)})


def subject_access_review(body: Object, authorizer: Authorizer, namespace: str = "") -> Object:
    """Also LocalSubjectAccessReview, with its namespace. Raises Invalid."""
    spec = map_at(body, "spec")
    groups = tuple(str(group) for group in list_at(spec, "groups"))
    user = User(str(spec.get("user") or ""), groups, str(spec.get("uid") or ""))
    faults = _attribute_faults(spec)
    if not user.name and not groups:
        faults.append(invalid("spec.user", "", "at least one of user or group must be specified"))
    wanted = map_at(spec, "resourceAttributes").get("namespace", "")
    if namespace and wanted != namespace:
        faults.append(
            invalid("spec.resourceAttributes.namespace", wanted, f"must match metadata.namespace: {namespace}")
        )
    if faults:
        raise Invalid.of(AUTHORIZATION, "", "", faults)
    return _answered(body, authorizer, user, _access_of(spec))


def self_subject_access_review(body: Object, authorizer: Authorizer, user: User) -> Object:
    """Raises Invalid."""
    spec = map_at(body, "spec")
    faults = _attribute_faults(spec)
    if faults:
        raise Invalid.of(AUTHORIZATION, "", "", faults)
    return _answered(body, authorizer, user, _access_of(spec))


def _answered(body: Object, authorizer: Authorizer, user: User, access: Access) -> Object:
    verdict = authorizer.judge(user, access)
    status: Object = {"allowed": verdict.is_allowed}
    if verdict.reason:
        status["reason"] = verdict.reason
    return _with_status(body, status)


def _attribute_faults(spec: Object) -> list[Fault]:
    if is_map(spec.get("resourceAttributes")) != is_map(spec.get("nonResourceAttributes")):
        return []
    words = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
    return [invalid("spec.resourceAttributes", None, words)]


def _access_of(spec: Object) -> Access:
    resource, other = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")

    def text(source: Any, part: str) -> str:
        return str(source.get(part) or "")

    if is_map(resource):
        return Access(
            text(resource, "verb"),
            text(resource, "group"),
            text(resource, "resource"),
            text(resource, "subresource"),
            text(resource, "namespace"),
            text(resource, "name"),
        )
    return Access(text(other, "verb"), path=text(other, "path"))


def self_subject_rules_review(body: Object, authorizer: Authorizer, user: User) -> Object:
    """Behind `kubectl auth can-i --list`. Raises BadRequest."""
    namespace = str(map_at(body, "spec").get("namespace") or "")
    if not namespace:
        raise BadRequest("no namespace on request")
    rules: list[Object] = []
    paths: list[Object] = []
    if user.is_master:
        rules.append({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})
        paths.append({"verbs": ["*"], "nonResourceURLs": ["*"]})
    for _, _, rule in authorizer.rules_of(user, namespace):
        if list_at(rule, "nonResourceURLs"):
            paths.append({part: rule[part] for part in ("verbs", "nonResourceURLs") if part in rule})
        else:
            parts = ("verbs", "apiGroups", "resources", "resourceNames")
            rules.append({part: rule[part] for part in parts if part in rule})
    status = {"resourceRules": rules, "nonResourceRules": paths, "incomplete": False}
    return _with_status(body, status)
