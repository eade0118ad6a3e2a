"""Leases, RBAC, policies, autoscaling, storage and scheduling classes, admission policies."""

from __future__ import annotations

from collections.abc import Iterable

from kubernaut.devcluster.errors import Fault
from kubernaut.devcluster.metadata import (
    dns_subdomain,
    forbidden,
    invalid,
    path_segment,
    required,
    unsupported,
)
from kubernaut.devcluster.objects import Object, list_at, map_at

from .rules import BuiltinRules, not_negative

RBAC_GROUP = "rbac.authorization.k8s.io"


class LeaseRules(BuiltinRules):
    def __init__(self) -> None:
        super().__init__("Lease")

    def validate(self, obj: Object) -> Iterable[Fault]:
        yield from super().validate(obj)
        spec = map_at(obj, "spec")
        seconds = spec.get("leaseDurationSeconds")
        if seconds is not None and seconds <= 0:
            yield invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0")
        yield from not_negative(spec, "leaseTransitions")


class RoleRules(BuiltinRules):
    def validate(self, obj: Object) -> Iterable[Fault]:
        cluster_wide = self.kind == "ClusterRole"
        for index, rule in enumerate(list_at(obj, "rules")):
            at = f"rules[{index}]"
            if not list_at(rule, "verbs"):
                yield required(f"{at}.verbs", "verbs must contain at least one value")
            if list_at(rule, "nonResourceURLs"):
                if not cluster_wide:
                    yield invalid(
                        f"{at}.nonResourceURLs",
                        rule["nonResourceURLs"],
                        "namespaced rules cannot apply to non-resource URLs",
                    )
                continue
            if not list_at(rule, "apiGroups"):
                yield required(f"{at}.apiGroups", "resource rules must supply at least one api group")
            if not list_at(rule, "resources"):
                yield required(f"{at}.resources", "resource rules must supply at least one resource")


class BindingRules(BuiltinRules):
    def default(self, obj: Object) -> None:
        super().default(obj)
        for subject in list_at(obj, "subjects"):
            if subject.get("kind") in ("User", "Group"):
                subject.setdefault("apiGroup", RBAC_GROUP)

    def validate(self, obj: Object) -> Iterable[Fault]:
        reference = map_at(obj, "roleRef")
        kinds = ("ClusterRole",) if self.kind == "ClusterRoleBinding" else ("Role", "ClusterRole")
        if reference.get("apiGroup") != RBAC_GROUP:
            yield unsupported("roleRef.apiGroup", reference.get("apiGroup"), (RBAC_GROUP,))
        if reference.get("kind") not in kinds:
            yield unsupported("roleRef.kind", reference.get("kind", ""), kinds)
        if not reference.get("name"):
            yield required("roleRef.name")
        else:
            for words in path_segment(reference["name"]):
                yield invalid("roleRef.name", reference["name"], words)
        for index, subject in enumerate(list_at(obj, "subjects")):
            yield from self._subject_faults(subject, f"subjects[{index}]")

    def _subject_faults(self, subject: Object, at: str) -> Iterable[Fault]:
        if not subject.get("name"):
            yield required(f"{at}.name")
        kind, group = subject.get("kind"), subject.get("apiGroup") or ""
        if kind == "ServiceAccount":
            for words in dns_subdomain(subject["name"]) if subject.get("name") else ():
                yield invalid(f"{at}.name", subject["name"], words)
            if group:
                yield unsupported(f"{at}.apiGroup", group, ("",))
            if not subject.get("namespace") and self.kind == "ClusterRoleBinding":
                yield required(f"{at}.namespace")
        elif kind in ("User", "Group"):
            if group != RBAC_GROUP:
                yield unsupported(f"{at}.apiGroup", group, (RBAC_GROUP,))
        else:
            yield unsupported(f"{at}.kind", kind, ("ServiceAccount", "User", "Group"))

    def validate_update(self, new: Object, old: Object) -> Iterable[Fault]:
        if new.get("roleRef") != old.get("roleRef"):
            yield invalid("roleRef", new.get("roleRef"), "cannot change roleRef")


class NetworkPolicyRules(BuiltinRules):
    def __init__(self) -> None:
        super().__init__("NetworkPolicy")

    def default(self, obj: Object) -> None:
        super().default(obj)
        spec = obj.setdefault("spec", {})
        spec.setdefault("podSelector", {})
        if not spec.get("policyTypes"):
            spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


class DisruptionBudgetRules(BuiltinRules):
    def __init__(self) -> None:
        super().__init__("PodDisruptionBudget", has_status=True)

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {
            "currentHealthy": 0,
            "desiredHealthy": 0,
            "disruptionsAllowed": 0,
            "expectedPods": 0,
        }

    def validate(self, obj: Object) -> Iterable[Fault]:
        yield from super().validate(obj)
        spec = map_at(obj, "spec")
        if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
            yield invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set")


class AutoscalerRules(BuiltinRules):
    def __init__(self) -> None:
        super().__init__("HorizontalPodAutoscaler", has_status=True)

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {"desiredReplicas": 0, "currentReplicas": 0}

    def default(self, obj: Object) -> None:
        super().default(obj)
        spec = map_at(obj, "spec")
        if spec and not spec.get("metrics"):
            target = {"type": "Utilization", "averageUtilization": 80}
            spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]

    def validate(self, obj: Object) -> Iterable[Fault]:
        yield from super().validate(obj)
        spec = map_at(obj, "spec")
        least, most = spec.get("minReplicas", 1), spec.get("maxReplicas")
        if least < 1:
            yield invalid("spec.minReplicas", least, "must be greater than or equal to 1")
        if most is not None and most < 1:
            yield required("spec.maxReplicas", "must be set and greater than 0")
        if most is not None and most < least:
            yield invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
        target = map_at(spec, "scaleTargetRef")
        if "/" not in str(target.get("apiVersion", "")) and target.get("kind") != "ReplicationController":
            yield invalid(
                "spec.scaleTargetRef.apiVersion",
                target.get("apiVersion", ""),
                "apiVersion must specify API group",
            )


class StorageClassRules(BuiltinRules):
    def __init__(self) -> None:
        super().__init__("StorageClass")

    def validate_update(self, new: Object, old: Object) -> Iterable[Fault]:
        for part in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"):
            if new.get(part) != old.get(part):
                yield forbidden(part, f"updates to {part} are forbidden.")


class PriorityClassRules(BuiltinRules):
    def __init__(self) -> None:
        super().__init__("PriorityClass")

    def validate_update(self, new: Object, old: Object) -> Iterable[Fault]:
        for part in ("value", "preemptionPolicy"):
            if new.get(part) != old.get(part):
                yield forbidden(part, "may not be changed in an update.")
