"""Durations of a document, without exceptions."""

import math

from kubernaut.api.duration import from_duration


def seconds_of(text: str) -> float | None:
    """Seconds of a duration, or None when the text is none."""
    try:
        seconds = from_duration(text)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None
