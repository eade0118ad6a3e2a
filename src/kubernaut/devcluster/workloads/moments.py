"""Times as Kubernetes writes them: RFC 3339 in UTC, whole seconds (meta/v1 Time)."""

from datetime import UTC, datetime


def to_text(moment: datetime) -> str:
    """Dump, cut to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_precise_text(moment: datetime) -> str:
    """Dump with microseconds (meta/v1 MicroTime)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_text(text: str) -> datetime:
    """Parse either form. Raises ValueError."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def seconds_since(text: str, now: datetime) -> float:
    """How long ago a written moment was."""
    return (now - from_text(text)).total_seconds()
