"""Asking policies: the interface, and the engine that is shipped. `opa` has the others."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from kubernaut.api.policy import PolicyInput
from kubernaut.concurrency import Clock
from kubernaut.planning.policies import PolicyVerdict, RuleAnswer, combine
from kubernaut.safety.rego.faults import Fault
from kubernaut.safety.rego.policy_set import PolicySet, UnreadableSet
from kubernaut.safety.rego.process import Limits, WorkerFailed, WorkerProcess
from kubernaut.safety.rego.reading import Mention, Module, Place, Rule

Json = dict[str, Any]


class EngineFailed(Exception):
    """There is no answer; whoever asked must take that as a denial."""


class PolicyEngine(Protocol):
    """Evaluates policies, wherever that happens."""

    async def answers(self, document: Mapping[str, Any]) -> Sequence[RuleAnswer]:
        """What every decision says of an input. Raises EngineFailed."""
        ...

    async def aclose(self) -> None:
        """Lets go of processes and connections."""
        ...


async def judge(engine: PolicyEngine, document: PolicyInput | Mapping[str, Any]) -> PolicyVerdict:
    """The verdict; without an answer it is a denial that says why. Never raises for what a policy does."""
    plain = to_document(document) if isinstance(document, PolicyInput) else document
    try:
        return combine(await engine.answers(plain))
    except EngineFailed as failed:
        return combine((), str(failed))


def to_document(document: PolicyInput) -> Json:
    """The input as JSON values; what is not known is absent."""
    built: Json = msgspec.to_builtins(document)
    return built


def digest_of(document: Mapping[str, Any]) -> str:
    """`sha256:...` of an input, for the record of a verdict."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"


class Query:
    """What a query gave."""

    def __init__(self, answer: Json) -> None:
        self.values: list[Any] = answer.get("values", [])
        self.bindings: list[Json] = answer.get("bindings", [])
        self.prints: list[str] = answer.get("prints", [])
        self.error: str = answer.get("error", "")

    @property
    def is_defined(self) -> bool:
        return bool(self.values)

    @property
    def holds(self) -> bool:
        """Defined, and not false; what an exit code may be made from."""
        return self.is_defined and all(value is not False for value in self.values)


class RegoEngine:
    """A set of policies in a worker process."""

    def __init__(self, policies: PolicySet, modules: Sequence[Module], worker: WorkerProcess) -> None:
        self.policies = policies
        self.modules = tuple(modules)
        self._worker = worker

    @classmethod
    async def load(
        cls, policies: PolicySet, limits: Limits | None = None, clock: Clock | None = None
    ) -> "RegoEngine":
        """Compiles a set and evaluates it once. Raises UnreadableSet with every fault that was found."""
        worker = WorkerProcess(limits or Limits(), clock)
        worker.greeting = {"do": "load", "sources": policies.sources, "data": policies.data}
        try:
            answer = await worker.ask(worker.greeting)
        except WorkerFailed as failed:
            await worker.aclose()
            path = policies.sources[0][0] if len(policies.sources) == 1 else "the set"
            raise UnreadableSet([Fault(Place(path, 1, 1), str(failed))]) from None
        if "faults" in answer or "error" in answer:
            await worker.aclose()
            told = answer.get("faults") or [
                {"place": {"path": "the set", "line": 1, "column": 1}, "message": answer["error"]}
            ]
            raise UnreadableSet(msgspec.convert(told, list[Fault]))
        return cls(policies, msgspec.convert(answer["modules"], list[Module]), worker)

    @property
    def rules(self) -> list[Rule]:
        return [rule for module in self.modules for rule in module.rules]

    @property
    def mentions(self) -> list[Mention]:
        return [mention for module in self.modules for mention in module.mentions]

    @property
    def restarts(self) -> int:
        """How often a worker had to be replaced."""
        return self._worker.started - 1

    async def answers(self, document: Mapping[str, Any]) -> list[RuleAnswer]:
        answer = await self._ask({"do": "judge", "input": document})
        return msgspec.convert(answer["results"], list[RuleAnswer])

    async def query(self, query: str, document: Mapping[str, Any]) -> Query:
        """What a Rego query gives, such as `data.kubernaut.production.deny`. Raises EngineFailed."""
        return Query(await self._ask({"do": "query", "query": query, "input": document}, errors=True))

    async def test(self, name: str) -> Json:
        """Runs one test rule: passed, line, prints, error. Raises EngineFailed."""
        return await self._ask({"do": "test", "name": name}, errors=True)

    async def coverage(self) -> dict[str, dict[str, list[int]]]:
        """Lines covered and missed by the tests run so far, by file. Raises EngineFailed."""
        files: dict[str, dict[str, list[int]]] = (await self._ask({"do": "coverage"}))["files"]
        return files

    async def aclose(self) -> None:
        await self._worker.aclose()

    async def _ask(self, request: Json, *, errors: bool = False) -> Json:
        try:
            answer = await self._worker.ask(request)
        except WorkerFailed as failed:
            raise EngineFailed(str(failed)) from None
        if "error" in answer and not errors:
            raise EngineFailed(answer["error"])
        return answer
