"""Memory limits without control groups: what a container's processes hold, looked at often enough.

Counted is what a control group counts whatever else happens: anonymous and shared memory of the whole
process tree, pages that processes share once. Between two looks no machine fills the rest of the limit
in theory; see docs/devcluster.md for what can be missed all the same. Source of the files' formats: proc(5).
"""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from kubernaut.concurrency import Clock

_PROC = Path("/proc")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_FILL_RATE = 2 * 2**30
"""Bytes a second that a process takes at most: zeroing fresh pages goes about that fast."""
_SHORTEST, _LONGEST = 0.02, 0.5


async def outgrown(pid: int, limit: int, clock: Clock) -> int:
    """Wait until a process and its descendants hold more than `limit` bytes; how many they hold then."""
    while True:
        held = memory_of(pid, limit)
        if held > limit:
            return held
        await clock.sleep(min(_LONGEST, max(_SHORTEST, (limit - held) / _FILL_RATE)))


def memory_of(pid: int, limit: int) -> int:
    """Bytes that a process and its descendants hold; only near the limit are they counted exactly."""
    pids = tree_of(pid)
    at_most = sum(_resident(each) for each in pids)
    return at_most if at_most <= limit else min(at_most, sum(_own(each) for each in pids))


def tree_of(pid: int) -> list[int]:
    """A process and its living descendants, as far as none between them has ended."""
    found: list[int] = []
    left = [pid]
    while left:
        found.append(here := left.pop())
        left += _children(here)
    return found


def _children(pid: int) -> Iterable[int]:
    # Per thread: the kernel files a child under the thread that made it.
    children: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(_PROC / str(pid) / "task"):
            children += map(int, _read(f"{pid}/task/{thread}/children").split())
    return children


def _resident(pid: int) -> int:
    """With pages of files, and shared ones in full: never less than `_own`."""
    fields = _read(f"{pid}/statm").split()
    return int(fields[1]) * _PAGE if fields else 0


def _own(pid: int) -> int:
    rollup = dict(line.split(":", 1) for line in _read(f"{pid}/smaps_rollup").splitlines() if ":" in line)
    if "Pss_Anon" in rollup:
        return _kilobytes(rollup["Pss_Anon"]) + _kilobytes(rollup.get("Pss_Shmem", "0"))
    # Another user's process, or an old kernel.
    status = dict(line.split(":", 1) for line in _read(f"{pid}/status").splitlines())
    return _kilobytes(status.get("RssAnon", "0")) + _kilobytes(status.get("RssShmem", "0"))


def _kilobytes(text: str) -> int:
    return int(text.split()[0]) * 1024


def _read(path: str) -> str:
    """Empty when the process is gone or not ours to look at."""
    with contextlib.suppress(OSError):
        return (_PROC / path).read_text()
    return ""
