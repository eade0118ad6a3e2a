"""Which cluster is meant, and who we are to it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from kubernaut.cluster.connection import Connection
from kubernaut.cluster.errors import NoClusterKnown

if TYPE_CHECKING:
    from kubernaut.concurrency import Clock

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def find_connection(
    kubeconfig: str | Path | None,
    context: str | None,
    environment: Mapping[str, str],
    *,
    clock: "Clock | None" = None,
) -> Connection:
    """This file > KUBECONFIG > inside a pod > ~/.kube/config.

    A context can only be asked of a kubeconfig. Raises CannotConnect, NoClusterKnown naming what was looked at.
    """
    named = [Path(part) for part in environment.get("KUBECONFIG", "").split(":") if part]
    if not kubeconfig and not named and not context and environment.get("KUBERNETES_SERVICE_HOST"):
        # Here, and not above: inside action containers there is no YAML library, and time counts.
        from kubernaut.cluster.incluster import in_cluster_connection

        folder = environment.get("KUBERNAUT_SERVICEACCOUNT_DIR") or SERVICE_ACCOUNT
        return in_cluster_connection(environment, Path(folder), clock=clock)
    from kubernaut.cluster.kubeconfig import load_kubeconfig

    home_config = Path(environment.get("HOME") or Path.home()) / ".kube" / "config"
    if kubeconfig:
        return load_kubeconfig([Path(kubeconfig)], context, environment, clock=clock)
    if named:
        return load_kubeconfig(named, context, environment, clock=clock)
    if home_config.exists():
        return load_kubeconfig([home_config], context, environment, clock=clock)
    raise NoClusterKnown(
        f"no cluster is known: no kubeconfig was given, KUBECONFIG is not set, this is not a pod "
        f"(KUBERNETES_SERVICE_HOST is not set), and {home_config} does not exist"
    )
