"""A real OPA instead of the engine that is shipped: a server that somebody runs, or the `opa` program.

The policies are then OPA's own affair; we ask for `data.kubernaut` as a whole and read the decisions out of it.
Any answer but a well-formed one is a failure, which is a denial. Exit codes are never believed: `opa eval`
succeeds for a decision that is false or undefined (https://www.openpolicyagent.org/docs/cli#eval).
"""

import asyncio
import json
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kubernaut.planning.policies import ALLOW, DECISIONS, RuleAnswer
from kubernaut.safety.rego.engine import EngineFailed

if TYPE_CHECKING:
    from aiohttp import ClientSession

_ROOT = "kubernaut"
_SETTINGS = f"{_ROOT}.settings"
_MOST_ANSWER = 16 * 2**20
_MOST_DEPTH = 32


def answers_in(value: object, package: str = _ROOT, depth: int = 0) -> Iterator[RuleAnswer]:
    """Every decision of a document that OPA made of `data.kubernaut`, in whatever sub-package it stands."""
    if not isinstance(value, Mapping) or package == _SETTINGS or depth > _MOST_DEPTH:
        return
    for name, part in cast("Mapping[str, Any]", value).items():
        if name == ALLOW and not isinstance(part, dict):
            yield RuleAnswer(package, ALLOW, values=(part is True,))
        elif name in DECISIONS and isinstance(part, list):
            yield RuleAnswer(package, name, values=tuple(cast("list[object]", part)))
        elif name in DECISIONS and name != ALLOW:
            # A set is written as a list; whatever else stands under the name of an objection is one.
            yield RuleAnswer(package, name, error="it is no set of messages")
        else:
            below: object = cast("object", part)
            yield from answers_in(below, f"{package}.{name}", depth + 1)


def result_of(document: object) -> Mapping[str, Any]:
    """The value in an answer of OPA's Data API. Raises EngineFailed where it is undefined or malformed."""
    result = cast("Mapping[str, Any]", document).get("result") if isinstance(document, Mapping) else None
    if not isinstance(result, Mapping):
        raise EngineFailed(f"OPA has no data.{_ROOT}: its policies are not loaded, or not below package {_ROOT}")
    return cast("Mapping[str, Any]", result)


@dataclass
class OpaServer:
    """`POST /v1/data/kubernaut` of an OPA server (https://www.openpolicyagent.org/docs/rest-api)."""

    url: str
    """Such as http://127.0.0.1:8181."""
    seconds: float = 5.0
    token: str = field(default="", repr=False)
    """Sent as a bearer token, if there is one."""
    _session: "ClientSession | None" = field(default=None, repr=False)

    async def answers(self, document: Mapping[str, Any]) -> Sequence[RuleAnswer]:
        """What OPA's policies say of an input. Raises EngineFailed for whatever is not an answer."""
        import aiohttp

        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        address = f"{self.url.rstrip('/')}/v1/data/{_ROOT}?strict-builtin-errors=true"
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self.seconds))
        try:
            # A redirect would send the input, and the token, to somebody else.
            async with self._session.post(
                address, json={"input": document}, headers=headers, allow_redirects=False
            ) as response:
                body = await response.content.read(_MOST_ANSWER + 1)
                if response.status != 200:
                    raise EngineFailed(f"OPA at {self.url} answers with status {response.status}")
                while len(body) <= _MOST_ANSWER and (more := await response.content.read(_MOST_ANSWER)):
                    body += more
        except TimeoutError:
            raise EngineFailed(f"OPA at {self.url} took longer than {self.seconds:g} s") from None
        except aiohttp.ClientError as error:
            raise EngineFailed(f"OPA at {self.url} cannot be asked: {error}") from None
        if len(body) > _MOST_ANSWER:
            raise EngineFailed(f"OPA at {self.url} answers with more than {_MOST_ANSWER // 2**20} MiB")
        return list(answers_in(result_of(_json(body))))

    async def aclose(self) -> None:
        """Closes the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


@dataclass(frozen=True)
class OpaProgram:
    """`opa eval`, once for each question: slow (tens of milliseconds), but nothing has to be running."""

    program: str
    policies: tuple[Path, ...]
    seconds: float = 5.0

    async def answers(self, document: Mapping[str, Any]) -> Sequence[RuleAnswer]:
        """What the policies in these files say of an input. Raises EngineFailed for whatever is not an answer."""
        named = [part for path in self.policies for part in ("--data", str(path))]
        try:
            process = await asyncio.create_subprocess_exec(
                *(self.program, "eval", "--format=json", "--strict-builtin-errors", "--stdin-input", *named),
                f"data.{_ROOT}",
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env={},
            )
        except OSError as error:
            raise EngineFailed(f"{self.program} cannot be run: {error.strerror}") from None
        try:
            async with asyncio.timeout(self.seconds):
                body, _ = await process.communicate(json.dumps(document).encode())
        except TimeoutError:
            raise EngineFailed(f"{self.program} took longer than {self.seconds:g} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        answer = _json(body)
        rows: Any = answer.get("result")
        if not rows:
            raise EngineFailed(f"{self.program} gives no value for data.{_ROOT}{_reason(answer)}")
        try:
            value: object = rows[0]["expressions"][0]["value"]
        except (KeyError, IndexError, TypeError):
            raise EngineFailed(f"{self.program} answers in a form that is not known here") from None
        return list(answers_in(result_of({"result": value})))

    async def aclose(self) -> None:
        """Nothing is kept between questions."""


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        raise EngineFailed("OPA answers with something that is no JSON") from None
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _reason(answer: Mapping[str, Any]) -> str:
    errors: object = answer.get("errors")
    if not isinstance(errors, list) or not errors:
        return ""
    first = cast("list[object]", errors)[0]
    message = cast("Mapping[str, object]", first).get("message", "") if isinstance(first, Mapping) else first
    return f": {str(message)[:300]}"
