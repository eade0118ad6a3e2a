"""Ages and durations as kubectl shows them (apimachinery `util/duration`)."""

from __future__ import annotations

from datetime import datetime

_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400


def human_duration(seconds: float) -> str:
    """Short: two units where the first alone would be too coarse."""
    total = int(seconds)
    if total < -1:
        return "<invalid>"
    if total < 0:
        return "0s"
    if total < 2 * _MINUTE:
        return f"{total}s"
    if total < 10 * _MINUTE:
        return _two(total, _MINUTE, "m", 1, "s")
    if total < 3 * _HOUR:
        return f"{total // _MINUTE}m"
    if total < 8 * _HOUR:
        return _two(total, _HOUR, "h", _MINUTE, "m")
    if total < 2 * _DAY:
        return f"{total // _HOUR}h"
    if total < 8 * _DAY:
        return _two(total, _DAY, "d", _HOUR, "h")
    if total < 2 * _YEAR:
        return f"{total // _DAY}d"
    if total < 8 * _YEAR:
        return _two(total, _YEAR, "y", _DAY, "d")
    return f"{total // _YEAR}y"


def _two(total: int, unit: int, word: str, small: int, small_word: str) -> str:
    rest = total % unit // small
    return f"{total // unit}{word}{rest}{small_word}" if rest else f"{total // unit}{word}"


def age_of(text: str | None, now: datetime) -> str:
    """Since an RFC 3339 moment."""
    if not text:
        return "<unknown>"
    return human_duration((now - datetime.fromisoformat(text)).total_seconds())
