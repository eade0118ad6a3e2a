"""Probes: what they mean, and how results become a verdict. PURE.

Source of the rules: k8s.io/kubernetes pkg/kubelet/prober (worker.go, doProbe) and pkg/apis/core/v1 (defaults).
"""

from dataclasses import dataclass
from typing import Literal

from kubernaut.devcluster.objects import Object
from kubernaut.devcluster.workloads.reading import part, parts

ProbeKind = Literal["startup", "readiness", "liveness"]
_FIELDS: dict[ProbeKind, str] = {
    "startup": "startupProbe",
    "readiness": "readinessProbe",
    "liveness": "livenessProbe",
}
KNOWN_ACTIONS = ("exec", "httpGet", "tcpSocket")


@dataclass(frozen=True, slots=True)
class Probe:
    """One of a container's probes; times in seconds."""

    kind: ProbeKind
    action: Object
    initial_delay: float = 0.0
    period: float = 10.0
    timeout: float = 1.0
    success_threshold: int = 1
    failure_threshold: int = 3
    grace: float | None = None
    """How long a container that failed has to end; None: what its pod says."""


def probe_of(container: Object, kind: ProbeKind) -> Probe | None:
    """The container's probe of this kind; what is not said, or said as 0, is Kubernetes' default."""
    wanted = container.get(_FIELDS[kind])
    if not wanted:
        return None
    grace = wanted.get("terminationGracePeriodSeconds")
    return Probe(
        kind,
        wanted,
        initial_delay=float(wanted.get("initialDelaySeconds") or 0),
        period=float(wanted.get("periodSeconds") or 10),
        timeout=float(wanted.get("timeoutSeconds") or 1),
        success_threshold=int(wanted.get("successThreshold") or 1),
        failure_threshold=int(wanted.get("failureThreshold") or 3),
        grace=None if grace is None else float(grace),
    )


def unsupported_probe(container: Object) -> str:
    """Why a container's probes or hooks cannot be run by this node; empty when they can."""
    lifecycle = part(container, "lifecycle")
    named = {field: container.get(field) for field in _FIELDS.values()}
    named |= {f"lifecycle.{hook}": lifecycle.get(hook) for hook in ("postStart", "preStop")}
    for field, wanted in named.items():
        known = (*KNOWN_ACTIONS, "sleep") if field.startswith("lifecycle") else KNOWN_ACTIONS
        if wanted and not any(wanted.get(action) is not None for action in known):
            kind = "by gRPC is" if wanted.get("grpc") is not None else "of this kind is"
            return f"{field} {kind} not supported by this node: use {', '.join(known)}"
    return ""


@dataclass(frozen=True, slots=True)
class Count:
    """Results of one probe since its container's start, as far as they matter."""

    run: int = 0
    """How often the last result came in a row."""
    last: bool | None = None

    def after(self, good: bool) -> "Count":
        return Count(self.run + 1 if good is self.last else 1, good)

    def verdict(self, probe: Probe) -> bool | None:
        """What the probe says now; None while its threshold is not reached, and then all stays as it is."""
        threshold = probe.success_threshold if self.last else probe.failure_threshold
        return self.last if self.last is not None and self.run >= threshold else None


def port_of(container: Object, wanted: int | str) -> int:
    """A port by number or by its name in the container. Raises ValueError, in the kubelet's words."""
    text = str(wanted)
    if not text.isdigit():
        named = {str(port.get("name")): int(port["containerPort"]) for port in parts(container, "ports")}
        if text not in named:
            raise ValueError(f'couldn\'t find port: "{text}" in container')
        number = named[text]
    else:
        number = int(text)
    if not 0 < number < 65536:
        raise ValueError(f"invalid port number: {number}")
    return number
