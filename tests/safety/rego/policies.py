"""Policies and inputs that several tests use."""

from collections.abc import Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from kubernaut.safety.rego import Limits, PolicySet, RegoEngine, UnreadableSet

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

HEAD = "package kubernaut.a\n"
SHORT = Limits(seconds=0.5, load_seconds=5, memory=256 * 2**20)


def policies(*texts: str, data: Mapping[str, Any] | None = None) -> PolicySet:
    """A set of modules named a.rego, b.rego, ..."""
    return PolicySet(tuple((f"{chr(97 + number)}.rego", text) for number, text in enumerate(texts)), data or {})


@asynccontextmanager
async def loaded(
    *texts: str, data: Mapping[str, Any] | None = None, limits: Limits | None = None
) -> "AsyncGenerator[RegoEngine]":
    engine = await RegoEngine.load(policies(*texts, data=data), limits)
    try:
        yield engine
    finally:
        await engine.aclose()


async def faults_of(*texts: str, limits: Limits | None = None) -> list[str]:
    """Why a set is refused, as it is printed."""
    try:
        async with loaded(*texts, limits=limits):
            return []
    except UnreadableSet as refused:
        return [str(fault) for fault in refused.faults]
