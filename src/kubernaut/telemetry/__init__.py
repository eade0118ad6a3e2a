"""What this program says of itself: log lines, metrics, health; and what it must not say.

Belongs here: log set-up, the facts that every line of a task carries, redaction of everything that
leaves (logs, status, events, reports), the health registry. `kubernaut.telemetry.metrics` is
imported by name where it is used: what runs inside action containers does without its library.
Does not belong here: HTTP endpoints, the audit record.
"""

from kubernaut.telemetry.health import Health, HealthReport, Heartbeat
from kubernaut.telemetry.logs import Log, bound, get_log, set_up_logging
from kubernaut.telemetry.redaction import REDACTED, Redactor, redact_json, redact_text

__all__ = [
    "REDACTED",
    "Health",
    "HealthReport",
    "Heartbeat",
    "Log",
    "Redactor",
    "bound",
    "get_log",
    "redact_json",
    "redact_text",
    "set_up_logging",
]
