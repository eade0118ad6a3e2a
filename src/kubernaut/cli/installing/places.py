"""The two namespaces, and what guards the one in which actions run."""

from typing import Any

from kubernaut.api import names
from kubernaut.cli.options import EXECUTION_NAMESPACE, SYSTEM_NAMESPACE

Json = dict[str, Any]

PART_OF = {"app.kubernetes.io/part-of": "kubernaut"}
_RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
_API_SERVER_PORTS = (443, 6443)


def place_manifests() -> list[Json]:
    """Namespaces, quota, network policies."""
    return [
        _namespace(SYSTEM_NAMESPACE),
        _namespace(EXECUTION_NAMESPACE),
        _quota(),
        _policy(EXECUTION_NAMESPACE, "default-deny", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
        _policy(
            EXECUTION_NAMESPACE,
            "actions-reach-the-cluster",
            {
                "podSelector": {"matchLabels": {names.LABEL_COMPONENT: "action"}},
                "policyTypes": ["Egress"],
                "egress": _reach_cluster(),
            },
        ),
        _policy(
            SYSTEM_NAMESPACE,
            "controller",
            {
                "podSelector": {"matchLabels": {names.LABEL_COMPONENT: "controller"}},
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{"ports": [{"port": 8080, "protocol": "TCP"}, {"port": 9090, "protocol": "TCP"}]}],
                "egress": _reach_cluster(),
            },
        ),
    ]


def _namespace(name: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": PART_OF | _RESTRICTED},
    }


def _quota() -> Json:
    # `pods` counts those that have not ended; Jobs and Leases are also kept for as long as their
    # executions are, so their bounds are far above what runs at the same time.
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "kubernaut-jobs-quota", "namespace": EXECUTION_NAMESPACE, "labels": PART_OF},
        "spec": {
            "hard": {
                "pods": "100",
                "count/jobs.batch": "10000",
                "persistentvolumeclaims": "100",
                "requests.storage": "200Gi",
            }
        },
    }


def _policy(namespace: str, name: str, spec: Json) -> Json:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace, "labels": PART_OF},
        "spec": spec,
    }


def _reach_cluster() -> list[Json]:
    # No selector can name the API server: it is no pod. Its ports, anywhere, are as narrow as it gets
    # for every cluster; whoever knows the address narrows it further.
    return [
        {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
        {"ports": [{"port": port, "protocol": "TCP"} for port in _API_SERVER_PORTS]},
    ]
