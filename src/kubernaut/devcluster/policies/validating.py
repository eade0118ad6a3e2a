"""ValidatingAdmissionPolicies and their bindings, evaluated at every write that they match."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kubernaut.devcluster.errors import ApiError
from kubernaut.devcluster.identity.rbac import Authorizer
from kubernaut.devcluster.ledger import Change
from kubernaut.devcluster.objects import Object, list_at, map_at, name_of
from kubernaut.devcluster.resources import Resource
from kubernaut.devcluster.selectors import selects
from kubernaut.devcluster.store import Store
from kubernaut.devcluster.writing import Attributes

from .language import ExpressionError, asking, value_of
from .matching import any_rule, concerns, namespace_object
from .requests import admission_request

POLICIES = "validatingadmissionpolicies.admissionregistration.k8s.io"
BINDINGS = "validatingadmissionpolicybindings.admissionregistration.k8s.io"
_CODES = {"Unauthorized": 401, "Forbidden": 403, "RequestEntityTooLarge": 413, "Invalid": 422}
_NO_PARAMETERS = (
    "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
)


class Denied(ApiError):
    """By a policy, which chooses reason and code."""

    def __init__(self, head: str, message: str, reason: str, details: Object) -> None:
        super().__init__(f"{head} is forbidden: {message}", {**details, "causes": [{"message": message}]})
        self.reason = reason
        self.code = _CODES.get(reason, 422)


class _Skipped(Exception):
    """The policy does not want to judge this request."""


@dataclass(frozen=True, slots=True)
class _Objection:
    message: str
    reason: str


class ValidatingPolicies:
    """The admission step. Cheap where no policy names the resource that is written."""

    def __init__(self, store: Store, authorizer: Authorizer) -> None:
        self._store = store
        self._authorizer = authorizer
        self._bound: list[tuple[Object, Object]] | None = None
        store.subscribe(self._forget, [POLICIES, BINDINGS])

    def _forget(self, _change: Change) -> None:
        self._bound = None

    def __call__(self, attributes: Attributes) -> None:
        """Raises Denied."""
        if self._bound is None:
            self._bound = list(self._pairs())
        for policy, binding in self._bound:
            if _matches(policy, binding, attributes):
                self._judge(policy, binding, attributes)

    def _pairs(self) -> Iterator[tuple[Object, Object]]:
        policies = {name_of(record.object): record.object for record in self._store.ledger.records(POLICIES)}
        bindings = [record.object for record in self._store.ledger.records(BINDINGS)]
        for name, policy in policies.items():
            for binding in bindings:
                if map_at(binding, "spec").get("policyName") == name:
                    yield policy, binding

    def _judge(self, policy: Object, binding: Object, attributes: Attributes) -> None:
        spec = policy["spec"]
        is_lenient = spec.get("failurePolicy") == "Ignore"
        try:
            parameters = self._parameters(spec, map_at(binding, "spec", "paramRef"), attributes)
            objections = [
                objection
                for one in parameters
                for objection in self._objections(spec, one, attributes, is_lenient=is_lenient)
            ]
        except ExpressionError as error:
            objections = [] if is_lenient else [_Objection(str(error), "")]
        for objection in objections:
            _act(policy, binding, objection, attributes)

    def _parameters(self, spec: Object, reference: Object, attributes: Attributes) -> list[Object | None]:
        """What `params` is, one after the other. Raises ExpressionError."""
        wanted = map_at(spec, "paramKind")
        if not wanted or not reference:
            return [None]
        api_version, kind = str(wanted.get("apiVersion")), str(wanted.get("kind"))
        resource = self._store.catalogue.of_kind(api_version, kind)
        if resource is None:
            raise ExpressionError(f"failed to find resource referenced by paramKind: '{api_version}, Kind={kind}'")
        found = self._referenced(resource, reference, attributes)
        if not found and reference.get("parameterNotFoundAction") != "Allow":
            raise ExpressionError(_NO_PARAMETERS)
        return list(found)

    def _referenced(self, resource: Resource, reference: Object, attributes: Attributes) -> list[Object]:
        namespace = str(reference.get("namespace") or attributes.namespace) if resource.namespaced else ""
        if resource.namespaced and not namespace:
            raise ExpressionError(
                "failed to configure binding: cannot use namespaced paramRef in policy binding that matches "
                "cluster-scoped resources"
            )
        if name := reference.get("name"):
            record = self._store.ledger.get(resource.storage, (namespace, str(name)))
            return [] if record is None else [record.object]
        records = self._store.ledger.records(resource.storage, namespace if resource.namespaced else None)
        selector = reference.get("selector")
        return [r.object for r in records if selects(selector, map_at(r.object, "metadata", "labels"))]

    def _objections(
        self, spec: Object, parameters: Object | None, attributes: Attributes, *, is_lenient: bool
    ) -> list[_Objection]:
        with asking(self._authorizer, attributes.write.user):
            data = _data(attributes, parameters)
            try:
                _check_conditions(list_at(spec, "matchConditions"), data)
            except _Skipped:
                return []
            data["variables"] = variables = {}
            for variable in list_at(spec, "variables"):
                try:
                    variables[variable["name"]] = value_of(variable["expression"], data)
                except ExpressionError:
                    # It counts only where somebody asks for it, who then finds it missing.
                    continue
            judged = [_objection(rule, data, is_lenient=is_lenient) for rule in list_at(spec, "validations")]
            return [objection for objection in judged if objection is not None]


def _matches(policy: Object, binding: Object, attributes: Attributes) -> bool:
    constraints = map_at(policy, "spec", "matchConstraints")
    narrowed = map_at(binding, "spec", "matchResources")
    for match, has_to_name in ((constraints, True), (narrowed, False)):
        rules = list_at(match, "resourceRules")
        exact = match.get("matchPolicy") == "Exact"
        if (rules or has_to_name) and not any_rule(rules, attributes, exact=exact):
            return False
        if match and not concerns(match, attributes):
            return False
    return True


def _data(attributes: Attributes, parameters: Object | None) -> dict[str, Any]:
    resource = attributes.resource
    asked: dict[str, Any] = {
        "group": resource.group,
        "resource": resource.plural,
        "subresource": attributes.subresource,
        "namespace": attributes.namespace,
        "name": attributes.name,
    }
    namespace = namespace_object(attributes) if resource.namespaced else None
    return {
        "object": attributes.object,
        "oldObject": attributes.old,
        "request": admission_request(attributes),
        "params": parameters,
        "namespaceObject": namespace,
        "authorizer": {"requestResource": asked},
        "variables": {},
    }


def _check_conditions(conditions: list[Object], data: dict[str, Any]) -> None:
    """Raises _Skipped when one is false, else ExpressionError when one cannot be answered."""
    failed: ExpressionError | None = None
    for condition in conditions:
        try:
            if value_of(condition["expression"], data) is not True:
                raise _Skipped
        except ExpressionError as error:
            failed = failed or error
    if failed is not None:
        raise failed


def _objection(rule: Object, data: dict[str, Any], *, is_lenient: bool) -> _Objection | None:
    expression, reason = str(rule["expression"]).strip(), str(rule.get("reason") or "Invalid")
    try:
        answer = value_of(rule["expression"], data)
    except ExpressionError as error:
        words = f"expression '{expression}' resulted in error: {error}"
        return None if is_lenient else _Objection(words, "Invalid")
    if answer is True:
        return None
    if text := rule.get("messageExpression"):
        try:
            message = str(value_of(text, data)).strip()
        except ExpressionError:
            message = ""
        if message and "\n" not in message:
            return _Objection(message, reason)
    return _Objection(str(rule.get("message") or "").strip() or f"failed expression: {expression}", reason)


def _act(policy: Object, binding: Object, objection: _Objection, attributes: Attributes) -> None:
    actions = list_at(binding, "spec", "validationActions")
    where = f"ValidatingAdmissionPolicy '{name_of(policy)}' with binding '{name_of(binding)}'"
    if "Warn" in actions:
        attributes.write.warn(f"Validation failed for {where}: {objection.message}")
    if "Deny" in actions:
        resource = attributes.resource
        details = {"name": attributes.name, "group": resource.group, "kind": resource.plural}
        raise Denied(
            f'{resource.key} "{attributes.name}"',
            f"{where} denied request: {objection.message}",
            objection.reason or "Invalid",
            {key: value for key, value in details.items() if value},
        )
