"""apps/v1: Deployment, ReplicaSet, StatefulSet, DaemonSet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kubernaut.devcluster.errors import Fault
from kubernaut.devcluster.metadata import forbidden, immutable, unsupported
from kubernaut.devcluster.objects import Object, map_at

from .pods import default_pod_spec, restart_policy_faults, template_faults
from .rules import BuiltinRules, not_negative, selector_faults, template_label_faults


class WorkloadRules(BuiltinRules):
    """What the four have in common."""

    word = "workload"

    def default(self, obj: Object) -> None:
        super().default(obj)
        spec = map_at(obj, "spec", "template", "spec")
        if spec:
            default_pod_spec(spec)

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {}

    def validate(self, obj: Object) -> Iterable[Fault]:
        yield from super().validate(obj)
        spec = map_at(obj, "spec")
        yield from not_negative(
            spec, "replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"
        )
        yield from selector_faults(spec.get("selector"), "spec.selector", self.word)
        yield from template_label_faults(spec)
        yield from template_faults(map_at(spec, "template"), "spec.template")
        yield from restart_policy_faults(spec, "spec")

    def validate_update(self, new: Object, old: Object) -> Iterable[Fault]:
        if new["spec"].get("selector") != old["spec"].get("selector"):
            yield immutable("spec.selector", new["spec"].get("selector"))


class DeploymentRules(WorkloadRules):
    word = "deployment"

    def __init__(self) -> None:
        super().__init__("Deployment", has_status=True)

    def default(self, obj: Object) -> None:
        super().default(obj)
        strategy = map_at(obj, "spec", "strategy")
        if strategy.get("type") == "RollingUpdate":
            rolling = strategy.setdefault("rollingUpdate", {})
            rolling.setdefault("maxUnavailable", "25%")
            rolling.setdefault("maxSurge", "25%")

    def validate(self, obj: Object) -> Iterable[Fault]:
        yield from super().validate(obj)
        strategy = map_at(obj, "spec", "strategy")
        if strategy.get("type") not in (None, "Recreate", "RollingUpdate"):
            shown = {"Type": strategy["type"], "RollingUpdate": strategy.get("rollingUpdate")}
            yield unsupported("spec.strategy", shown, ("Recreate", "RollingUpdate"))
        if strategy.get("type") == "Recreate" and strategy.get("rollingUpdate"):
            yield forbidden(
                "spec.strategy.rollingUpdate",
                "may not be specified when strategy `type` is 'Recreate'",
            )
        rolling = map_at(strategy, "rollingUpdate")
        if _is_zero(rolling.get("maxUnavailable")) and _is_zero(rolling.get("maxSurge")):
            yield Fault(
                "spec.strategy.rollingUpdate.maxUnavailable",
                "FieldValueInvalid",
                f"Invalid value: {_shown(rolling['maxUnavailable'])}: may not be 0 when `maxSurge` is 0",
            )

    def bumps_generation(self, new: Object, old: Object) -> bool:
        # Annotations count too, because the controller copies them to ReplicaSets.
        return super().bumps_generation(new, old) or _annotations(new) != _annotations(old)


def _annotations(deployment: Object) -> Object:
    """Without the revision, which the controller writes by way of the status."""
    held = map_at(deployment, "metadata", "annotations")
    return {key: value for key, value in held.items() if key != "deployment.kubernetes.io/revision"}


def _is_zero(amount: object) -> bool:
    return amount in (0, "0", "0%")


def _shown(amount: object) -> str:
    return f'"{amount}"' if isinstance(amount, str) else str(amount)


class ReplicaSetRules(WorkloadRules):
    word = "replicaset"

    def __init__(self) -> None:
        super().__init__("ReplicaSet", has_status=True)

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {"replicas": 0}


class StatefulSetRules(WorkloadRules):
    word = "statefulset"

    def __init__(self) -> None:
        super().__init__("StatefulSet", has_status=True)

    def default(self, obj: Object) -> None:
        super().default(obj)
        strategy = map_at(obj, "spec", "updateStrategy")
        if strategy.get("type") == "RollingUpdate":
            strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)
        for claim in map_at(obj, "spec").get("volumeClaimTemplates") or ():
            claim.setdefault("apiVersion", "v1")
            claim.setdefault("kind", "PersistentVolumeClaim")
            claim.setdefault("status", {"phase": "Pending"})

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {"replicas": 0, "availableReplicas": 0}

    def validate_update(self, new: Object, old: Object) -> Iterator[Fault]:
        if _fixed_part(new["spec"]) != _fixed_part(old["spec"]):
            yield forbidden(
                "spec",
                "updates to statefulset spec for fields other than 'replicas', 'ordinals', "
                "'template', 'updateStrategy', 'revisionHistoryLimit', "
                "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
            )


def _fixed_part(spec: Object) -> Object:
    loose = (
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    )
    return {key: value for key, value in spec.items() if key not in loose}


class DaemonSetRules(WorkloadRules):
    word = "daemonset"

    def __init__(self) -> None:
        super().__init__("DaemonSet", has_status=True)

    def default(self, obj: Object) -> None:
        super().default(obj)
        strategy = map_at(obj, "spec", "updateStrategy")
        if strategy.get("type") == "RollingUpdate":
            rolling = strategy.setdefault("rollingUpdate", {})
            rolling.setdefault("maxUnavailable", 1)
            rolling.setdefault("maxSurge", 0)

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {
            "currentNumberScheduled": 0,
            "numberMisscheduled": 0,
            "desiredNumberScheduled": 0,
            "numberReady": 0,
        }
