"""TokenReview and the access reviews: questions about identity that are asked by POST."""

from __future__ import annotations

from typing import Any

from kubernaut.devcluster.errors import BadRequest, Unauthorized
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
    except Unauthorized as error:
        return {**body, "status": {"user": {}, "error": error.message}}
    status: Object = {"authenticated": True, "user": user_info(user), "audiences": list(served)}
    return {**body, "status": status}


def user_info(user: User) -> Object:
    info: Object = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        info["uid"] = user.uid
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info


def self_review(body: Object, user: User) -> Object:
    """SelfSubjectReview, behind `kubectl auth whoami`."""
    return {**body, "status": {"userInfo": user_info(user)}}


def subject_access_review(body: Object, authorizer: Authorizer, namespace: str = "") -> Object:
    """Also LocalSubjectAccessReview, with its namespace. Raises BadRequest."""
    spec = map_at(body, "spec")
    groups = tuple(str(group) for group in list_at(spec, "groups"))
    user = User(str(spec.get("user") or ""), groups, str(spec.get("uid") or ""))
    if not user.name and not groups:
        raise BadRequest("spec.user or spec.groups must be specified")
    access = _access_of(spec)
    if namespace and access.namespace != namespace:
        raise BadRequest(f"spec.resourceAttributes.namespace must match namespace: {namespace}")
    return _answered(body, authorizer, user, access)


def self_subject_access_review(body: Object, authorizer: Authorizer, user: User) -> Object:
    """Raises BadRequest."""
    return _answered(body, authorizer, user, _access_of(map_at(body, "spec")))


def _answered(body: Object, authorizer: Authorizer, user: User, access: Access) -> Object:
    verdict = authorizer.judge(user, access)
    status: Object = {"allowed": verdict.is_allowed}
    if verdict.reason:
        status["reason"] = verdict.reason
    return {**body, "status": status}


def _access_of(spec: Object) -> Access:
    resource, other = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if is_map(resource) == is_map(other):
        raise BadRequest("exactly one of nonResourceAttributes or resourceAttributes must be specified")

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
    return {**body, "status": status}
