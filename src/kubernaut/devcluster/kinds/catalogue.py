"""The table of builtin resources, in the order in which the real API server lists its groups."""

from __future__ import annotations

from typing import Any

from kubernaut.devcluster.metadata import dns_1035_label, dns_label, path_segment
from kubernaut.devcluster.resources import Catalogue, Resource

from .batch import WARNING, CronJobRules, JobRules
from .core import (
    ConfigMapRules,
    EventRules,
    NamespaceRules,
    NodeRules,
    PersistentVolumeClaimRules,
    PersistentVolumeRules,
    SecretRules,
    ServiceRules,
)
from .definitions import DefinitionRules
from .events import event_from_core, event_to_core
from .limits import LimitRangeRules
from .others import (
    AutoscalerRules,
    BindingRules,
    DisruptionBudgetRules,
    LeaseRules,
    NetworkPolicyRules,
    PriorityClassRules,
    RoleRules,
    StorageClassRules,
)
from .pods import PodRules
from .policies import AdmissionPolicyRules, PolicyBindingRules, WebhookRules
from .rules import BuiltinRules
from .workloads import DaemonSetRules, DeploymentRules, ReplicaSetRules, StatefulSetRules

_STATUS = frozenset({"status"})
_SCALABLE = frozenset({"status", "scale"})
_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"

_EVENT_FIELDS = (
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
)
_POD_FIELDS = (
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
)


def builtin_catalogue() -> Catalogue:
    """Everything that a new cluster serves."""
    kinds = (_core(), _core_workloads(), _workloads(), _access(), _others(), _policies_and_classes())
    return Catalogue(resource for group in kinds for resource in group)


def _core_kind(kind: str, plural: str, *short: str, namespaced: bool = True, **more: Any) -> Resource:
    return Resource(
        group="",
        version="v1",
        kind=kind,
        plural=plural,
        short_names=short,
        namespaced=namespaced,
        **more,
    )


def _core() -> list[Resource]:
    core = _core_kind
    return [
        core("ConfigMap", "configmaps", "cm", rules=ConfigMapRules()),
        core("Endpoints", "endpoints", "ep", rules=BuiltinRules("Endpoints"), creates_on_update=True),
        core("Event", "events", "ev", rules=EventRules(), field_labels=_EVENT_FIELDS, creates_on_update=True),
        core("LimitRange", "limitranges", "limits", rules=LimitRangeRules()),
        core(
            "Namespace",
            "namespaces",
            "ns",
            namespaced=False,
            rules=NamespaceRules(),
            subresources=frozenset({"status", "finalize"}),
            field_labels=("status.phase",),
            name_rule=dns_label,
            verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
        ),
        core(
            "Node",
            "nodes",
            "no",
            namespaced=False,
            rules=NodeRules(),
            subresources=_STATUS,
            field_labels=("spec.unschedulable",),
        ),
    ]


def _core_workloads() -> list[Resource]:
    core = _core_kind
    return [
        core(
            "PersistentVolumeClaim",
            "persistentvolumeclaims",
            "pvc",
            rules=PersistentVolumeClaimRules(),
            subresources=_STATUS,
            answers_deleted_object=True,
        ),
        core(
            "PersistentVolume",
            "persistentvolumes",
            "pv",
            namespaced=False,
            rules=PersistentVolumeRules(),
            subresources=_STATUS,
            answers_deleted_object=True,
        ),
        core(
            "Pod",
            "pods",
            "po",
            rules=PodRules(),
            categories=("all",),
            subresources=frozenset({"status", "log", "eviction", "binding"}),
            field_labels=_POD_FIELDS,
            has_generation=True,
            answers_deleted_object=True,
        ),
        core(
            "ResourceQuota",
            "resourcequotas",
            "quota",
            rules=BuiltinRules("ResourceQuota", has_status=True),
            subresources=_STATUS,
            answers_deleted_object=True,
        ),
        core("Secret", "secrets", rules=SecretRules(), field_labels=("type",)),
        core(
            "ServiceAccount",
            "serviceaccounts",
            "sa",
            rules=BuiltinRules("ServiceAccount"),
            subresources=frozenset({"token"}),
            answers_deleted_object=True,
        ),
        core(
            "Service",
            "services",
            "svc",
            rules=ServiceRules(),
            categories=("all",),
            subresources=_STATUS,
            name_rule=dns_1035_label,
            answers_deleted_object=True,
            field_labels=("spec.clusterIP", "spec.type"),
        ),
    ]


def _workloads() -> list[Resource]:
    def app(kind: str, plural: str, short: str, **more: Any) -> Resource:
        return Resource(
            group="apps",
            version="v1",
            kind=kind,
            plural=plural,
            short_names=(short,) if short else (),
            namespaced=True,
            categories=("all",) if short else (),
            has_generation=bool(short),
            **more,
        )

    return [
        app(
            "ControllerRevision",
            "controllerrevisions",
            "",
            rules=BuiltinRules("ControllerRevision"),
        ),
        app("DaemonSet", "daemonsets", "ds", rules=DaemonSetRules(), subresources=_STATUS),
        app("Deployment", "deployments", "deploy", rules=DeploymentRules(), subresources=_SCALABLE),
        app(
            "ReplicaSet",
            "replicasets",
            "rs",
            rules=ReplicaSetRules(),
            subresources=_SCALABLE,
            field_labels=("status.replicas",),
        ),
        app("StatefulSet", "statefulsets", "sts", rules=StatefulSetRules(), subresources=_SCALABLE),
        Resource(
            group="batch",
            version="v1",
            kind="CronJob",
            plural="cronjobs",
            short_names=("cj",),
            categories=("all",),
            namespaced=True,
            rules=CronJobRules(),
            subresources=_STATUS,
            has_generation=True,
        ),
        Resource(
            group="batch",
            version="v1",
            kind="Job",
            plural="jobs",
            categories=("all",),
            namespaced=True,
            rules=JobRules(),
            subresources=_STATUS,
            has_generation=True,
            field_labels=("status.successful",),
            # batch/v1 kept this default from the days before garbage collection.
            default_propagation="Orphan",
            deletion_warning=WARNING,
        ),
    ]


def _access() -> list[Resource]:
    def rbac(kind: str, plural: str, rules: BuiltinRules, *, namespaced: bool) -> Resource:
        return Resource(
            group=_RBAC,
            version="v1",
            kind=kind,
            plural=plural,
            namespaced=namespaced,
            rules=rules,
            name_rule=path_segment,
            creates_on_update=True,
        )

    return [
        rbac(
            "ClusterRoleBinding",
            "clusterrolebindings",
            BindingRules("ClusterRoleBinding"),
            namespaced=False,
        ),
        rbac("ClusterRole", "clusterroles", RoleRules("ClusterRole"), namespaced=False),
        rbac("RoleBinding", "rolebindings", BindingRules("RoleBinding"), namespaced=True),
        rbac("Role", "roles", RoleRules("Role"), namespaced=True),
        Resource(
            group=_ADMISSION,
            version="v1",
            kind="ValidatingAdmissionPolicy",
            plural="validatingadmissionpolicies",
            namespaced=False,
            categories=("api-extensions",),
            rules=AdmissionPolicyRules(),
            subresources=_STATUS,
            has_generation=True,
        ),
        Resource(
            group=_ADMISSION,
            version="v1",
            kind="ValidatingAdmissionPolicyBinding",
            plural="validatingadmissionpolicybindings",
            namespaced=False,
            categories=("api-extensions",),
            rules=PolicyBindingRules(),
            has_generation=True,
        ),
        Resource(
            group=_ADMISSION,
            version="v1",
            kind="ValidatingWebhookConfiguration",
            plural="validatingwebhookconfigurations",
            namespaced=False,
            categories=("api-extensions",),
            rules=WebhookRules(),
            has_generation=True,
        ),
    ]


def _other_kind(group: str, kind: str, plural: str, *short: str, **more: Any) -> Resource:
    settings: dict[str, Any] = {"version": "v1", "namespaced": True, **more}
    return Resource(group=group, kind=kind, plural=plural, short_names=short, **settings)


def _others() -> list[Resource]:
    other = _other_kind
    return [
        other(
            "events.k8s.io",
            "Event",
            "events",
            "ev",
            rules=EventRules(),
            storage="events",
            convert_in=event_to_core,
            convert_out=event_from_core,
            field_labels=_EVENT_FIELDS,
        ),
        other(
            "autoscaling",
            "HorizontalPodAutoscaler",
            "horizontalpodautoscalers",
            "hpa",
            version="v2",
            categories=("all",),
            rules=AutoscalerRules(),
            subresources=_STATUS,
        ),
        other(
            "coordination.k8s.io",
            "Lease",
            "leases",
            rules=LeaseRules(),
            unconditional_update=False,
            creates_on_update=True,
        ),
        other(
            "networking.k8s.io",
            "NetworkPolicy",
            "networkpolicies",
            "netpol",
            rules=NetworkPolicyRules(),
            has_generation=True,
        ),
    ]


def _policies_and_classes() -> list[Resource]:
    other = _other_kind
    return [
        other(
            "policy",
            "PodDisruptionBudget",
            "poddisruptionbudgets",
            "pdb",
            rules=DisruptionBudgetRules(),
            subresources=_STATUS,
            has_generation=True,
            unconditional_update=False,
        ),
        other(
            "scheduling.k8s.io",
            "PriorityClass",
            "priorityclasses",
            "pc",
            namespaced=False,
            rules=PriorityClassRules(),
            has_generation=True,
        ),
        other(
            "storage.k8s.io",
            "StorageClass",
            "storageclasses",
            "sc",
            namespaced=False,
            rules=StorageClassRules(),
        ),
        other(
            "apiextensions.k8s.io",
            "CustomResourceDefinition",
            "customresourcedefinitions",
            "crd",
            "crds",
            namespaced=False,
            categories=("api-extensions",),
            rules=DefinitionRules(),
            subresources=_STATUS,
            has_generation=True,
            unconditional_update=False,
        ),
    ]
