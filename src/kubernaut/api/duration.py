"""Durations as Kubernetes users write them (Go's time.Duration text form)."""

import re

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def from_duration(text: str) -> float:
    """Seconds of a text such as "1h30m" or "90s".

    Raises ValueError with the offending text when it is no duration.
    """
    end = 0
    seconds = 0.0
    for part in _PART.finditer(text):
        if part.start() != end:
            break
        end = part.end()
        seconds += float(part[1]) * _SECONDS[part[2]]
    if not text or end != len(text):
        raise ValueError(f'"{text}" is not a duration: write for example "90s", "5m" or "1h30m"')
    return seconds


def to_duration(seconds: float) -> str:
    """The shortest text for whole seconds ("5m", "1h30m"); fractions are written in milliseconds."""
    if seconds != int(seconds):
        return f"{round(seconds * 1000)}ms"
    left = int(seconds)
    text = ""
    for unit, size in (("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            text += f"{count}{unit}"
    return text or "0s"
