"""Kubernetes quantities: `100m`, `2Gi`, `1e3` (apimachinery, resource.Quantity)."""

import re
from decimal import Decimal, InvalidOperation

_PATTERN = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))([eE][+-]?\d+|[numkMGTPE]|[KMGTPE]i)?")

_FACTORS: dict[str, Decimal] = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal("1e3"),
    "M": Decimal("1e6"),
    "G": Decimal("1e9"),
    "T": Decimal("1e12"),
    "P": Decimal("1e15"),
    "E": Decimal("1e18"),
} | {f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)}

COMPLAINT = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def from_quantity(text: str | int | float) -> Decimal:
    """The number that a quantity stands for. Raises ValueError with the API server's words."""
    match = _PATTERN.fullmatch(str(text))
    if match is None:
        raise ValueError(COMPLAINT)
    number, suffix = match[1], match[2] or ""
    try:
        if suffix[:1] in ("e", "E") and len(suffix) > 1:
            return Decimal(number + suffix)
        return Decimal(number) * _FACTORS[suffix]
    except InvalidOperation:
        raise ValueError(COMPLAINT) from None
