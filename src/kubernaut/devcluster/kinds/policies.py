"""Admission policies, their bindings, and webhooks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kubernaut.devcluster.errors import Fault
from kubernaut.devcluster.metadata import invalid, required, unsupported
from kubernaut.devcluster.objects import Object, list_at, map_at

from .rules import BuiltinRules

_OPERATIONS = ("*", "CREATE", "UPDATE", "DELETE", "CONNECT")
_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")
_ACTIONS = ("Audit", "Deny", "Warn")


class AdmissionPolicyRules(BuiltinRules):
    def __init__(self) -> None:
        super().__init__("ValidatingAdmissionPolicy", has_status=True)

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {"observedGeneration": 1, "typeChecking": {}}

    def validate(self, obj: Object) -> Iterable[Fault]:
        yield from super().validate(obj)
        spec = map_at(obj, "spec")
        match = spec.get("matchConstraints")
        if match is None:
            yield required("spec.matchConstraints")
        elif not list_at(match, "resourceRules"):
            yield required("spec.matchConstraints.resourceRules")
        yield from rule_faults(list_at(match, "resourceRules"), "spec.matchConstraints.resourceRules")
        validations = list_at(spec, "validations")
        if not validations and not list_at(spec, "auditAnnotations"):
            words = "validations or auditAnnotations must be non-empty"
            yield required("spec.validations", f"{words}")
        for index, rule in enumerate(list_at(spec, "matchConditions")):
            yield from _expression_faults(rule, f"spec.matchConditions[{index}]", "BOOL")
        for index, rule in enumerate(list_at(spec, "variables")):
            yield from _expression_faults(rule, f"spec.variables[{index}]", "")
        for index, rule in enumerate(validations):
            at = f"spec.validations[{index}]"
            yield from _expression_faults(rule, at, "BOOL")
            reason = rule.get("reason")
            if reason and reason not in _REASONS:
                yield unsupported(f"{at}.reason", reason, _REASONS)


def _expression_faults(rule: Object, at: str, wanted: str) -> Iterator[Fault]:
    # Most clusters have no policy, and then the library need not be loaded.
    from kubernaut.devcluster.policies.language import ExpressionError, return_type

    text = str(rule.get("expression") or "").strip()
    if not text:
        yield required(f"{at}.expression", "expression is not specified")
        return
    try:
        found = return_type(text)
    except ExpressionError as error:
        yield invalid(f"{at}.expression", text, f"compilation failed: {error}")
        return
    if wanted and found not in (wanted, "DYN"):
        yield invalid(f"{at}.expression", text, "must evaluate to bool")


def rule_faults(rules: list[Object], at: str) -> Iterator[Fault]:
    for index, rule in enumerate(rules):
        for part in ("operations", "apiGroups", "apiVersions", "resources"):
            if not list_at(rule, part):
                yield required(f"{at}[{index}].{part}")
        for place, operation in enumerate(list_at(rule, "operations")):
            if operation not in _OPERATIONS:
                yield unsupported(f"{at}[{index}].operations[{place}]", operation, _OPERATIONS)


class PolicyBindingRules(BuiltinRules):
    def __init__(self) -> None:
        super().__init__("ValidatingAdmissionPolicyBinding")

    def validate(self, obj: Object) -> Iterable[Fault]:
        yield from super().validate(obj)
        spec = map_at(obj, "spec")
        if spec.get("policyName") == "":
            yield required("spec.policyName")
        actions = list_at(spec, "validationActions")
        if not actions:
            yield required("spec.validationActions", "at least one validation action is required")
        for index, action in enumerate(actions):
            if action not in _ACTIONS:
                yield unsupported(f"spec.validationActions[{index}]", action, _ACTIONS)
        if {"Deny", "Warn"} <= set(actions):
            words = (
                "must not contain both Deny and Warn (repeating the same validation failure information in "
                "the API response and headers serves no purpose)"
            )
            yield invalid("spec.validationActions", actions, words)
        reference = map_at(spec, "paramRef")
        if reference:
            if bool(reference.get("name")) == ("selector" in reference):
                yield invalid(
                    "spec.paramRef.name", reference.get("name", ""), "one of name or selector must be specified"
                )
            if not reference.get("parameterNotFoundAction"):
                yield required("spec.paramRef.parameterNotFoundAction")


class WebhookRules(BuiltinRules):
    def __init__(self) -> None:
        super().__init__("ValidatingWebhookConfiguration")

    def default(self, obj: Object) -> None:
        super().default(obj)
        for hook in list_at(obj, "webhooks"):
            hook.setdefault("failurePolicy", "Fail")
            hook.setdefault("matchPolicy", "Equivalent")
            hook.setdefault("timeoutSeconds", 10)
            hook.setdefault("namespaceSelector", {})
            hook.setdefault("objectSelector", {})
            for rule in list_at(hook, "rules"):
                rule.setdefault("scope", "*")

    def validate(self, obj: Object) -> Iterable[Fault]:
        yield from super().validate(obj)
        for index, hook in enumerate(list_at(obj, "webhooks")):
            at = f"webhooks[{index}]"
            yield from rule_faults(list_at(hook, "rules"), f"{at}.rules")
            if not list_at(hook, "admissionReviewVersions"):
                yield required(f"{at}.admissionReviewVersions", "must specify one of v1, v1beta1")
            effects = hook.get("sideEffects")
            if effects is None:
                yield required(f"{at}.sideEffects", "must specify one of None, NoneOnDryRun")
            elif effects not in ("None", "NoneOnDryRun"):
                yield unsupported(f"{at}.sideEffects", effects, ("None", "NoneOnDryRun"))
            seconds = hook["timeoutSeconds"]
            if not 1 <= seconds <= 30:
                yield invalid(
                    f"{at}.timeoutSeconds", seconds, "the timeout value must be between 1 and 30 seconds"
                )
            if not str(map_at(hook, "clientConfig").get("url") or "").startswith("https://"):
                yield required(f"{at}.clientConfig", "a url is needed: there is no network of services here")
