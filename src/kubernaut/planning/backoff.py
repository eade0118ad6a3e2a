"""How long to wait before another attempt. Deterministic: the jitter comes from a hash, not from chance."""

import hashlib

from kubernaut.api.duration import from_duration
from kubernaut.api.workflow import Backoff


def wait_before(backoff: Backoff, failed_attempt: int, key: str) -> float:
    """Seconds between the end of attempt `failed_attempt` (counted from 1) and the next.

    min(cap, base * factor^(n-1)), moved by up to `jitter` percent either way, kept within [base, cap]. The same
    key and attempt always give the same wait, so a restarted controller waits for the same moment.
    """
    base, cap = from_duration(backoff.base), from_duration(backoff.cap)
    # The exponent is bounded so that a large factor cannot overflow a float before the cap applies.
    plain = min(cap, base * backoff.factor ** min(failed_attempt - 1, 64))
    moved = plain * (1 + backoff.jitter / 100 * _between_minus_one_and_one(f"{key}/{failed_attempt}"))
    return max(min(base, cap), min(cap, moved))


def _between_minus_one_and_one(key: str) -> float:
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
    return number / 2**63 - 1
