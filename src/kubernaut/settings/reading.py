"""Values of knobs from whatever was written: YAML values, environment texts, flags. PURE."""

import math
import re
import types
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from kubernaut.api.duration import from_duration, to_duration


@dataclass(frozen=True)
class Range:
    """Smallest and largest value."""

    low: float
    high: float


@dataclass(frozen=True)
class _Duration:
    """Seconds, also written as "5m"; `above` is excluded."""

    above: float


@dataclass(frozen=True)
class _Amount:
    """A Kubernetes quantity."""


@dataclass(frozen=True)
class _Several:
    """A list of texts, also written as one text with commas."""


Seconds = Annotated[float, _Duration(above=0.0)]
Port = Annotated[int, Range(0, 65535)]
Quantity = Annotated[str, _Amount()]
Texts = Annotated[tuple[str, ...], _Several()]

_QUANTITY = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:[kMGTPE]|[KMGTPE]i)?")
_YES = frozenset({"true", "yes", "on", "1"})
_NO = frozenset({"false", "no", "off", "0"})


class SettingsError(ValueError):
    """What somebody set cannot be used; every fault with where it was set."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def read_value(written: object, kind: Any) -> Any:
    """The value of this annotation; ValueError says in words what would be right."""
    origin = get_origin(kind)
    if origin is Annotated:
        inner, *notes = get_args(kind)
        return _noted(written, inner, notes)
    if origin in (Union, types.UnionType):
        (inner,) = (option for option in get_args(kind) if option is not type(None))
        empty = written is None or (isinstance(written, str) and written.lower() in {"", "none"})
        return None if empty else read_value(written, inner)
    if origin is Literal:
        choices = get_args(kind)
        if written in choices:
            return written
        raise ValueError(f"must be one of {', '.join(repr(choice) for choice in choices)}")
    if kind is bool:
        return _read_bool(written)
    if kind is int:
        return _read_int(written)
    if kind is float:
        return _read_float(written)
    if isinstance(written, str):
        return written
    raise ValueError("must be text")


def _noted(written: object, inner: Any, notes: list[Any]) -> Any:
    (note,) = notes
    if isinstance(note, _Duration):
        return _read_seconds(written, note.above)
    if isinstance(note, _Several):
        return _read_several(written)
    value = read_value(written, inner)
    if isinstance(note, _Amount) and not _QUANTITY.fullmatch(value):
        raise ValueError('must be a Kubernetes quantity such as "1Gi"')
    if isinstance(note, Range) and not note.low <= value <= note.high:
        raise ValueError(f"must be from {note.low:g} to {note.high:g}")
    return value


def _read_several(written: object) -> tuple[str, ...]:
    if isinstance(written, str):
        return tuple(text for part in written.split(",") if (text := part.strip()))
    if isinstance(written, list | tuple):
        texts = cast("list[object]", written)
        if all(isinstance(text, str) and text.strip() for text in texts):
            return tuple(str(text).strip() for text in texts)
    raise ValueError("must be a list of texts, or one text with commas between them")


def _read_bool(written: object) -> bool:
    if isinstance(written, bool):
        return written
    text = str(written).lower()
    if text in _YES or text in _NO:
        return text in _YES
    raise ValueError("must be true or false")


def _read_int(written: object) -> int:
    try:
        if isinstance(written, bool | float):
            raise ValueError
        return int(str(written))
    except ValueError:
        raise ValueError("must be a whole number") from None


def _read_float(written: object) -> float:
    try:
        value = math.nan if isinstance(written, bool) else float(str(written))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError("must be a number")
    return value


def _read_seconds(written: object, above: float) -> float:
    try:
        seconds = _read_float(written)
    except ValueError:
        try:
            seconds = from_duration(str(written))
        except ValueError:
            raise ValueError('must be a duration such as "90s", "5m" or "24h"') from None
    if seconds <= above:
        raise ValueError(f"must be longer than {above:g} s")
    return seconds


def show_value(value: object, kind: Any) -> str:
    """As one would write it in the file."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if get_origin(kind) is Annotated and isinstance(get_args(kind)[1], _Duration):
        return to_duration(float(str(value)))
    if isinstance(value, tuple):
        return ",".join(cast("tuple[str, ...]", value)) or '""'
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) or '""'
