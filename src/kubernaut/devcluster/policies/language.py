"""CEL as admission policies speak it: a request's variables, and `authorizer`, which asks RBAC.

The library calls functions with plain values only, so an authorizer and what is built from it are maps; who asks
whom is known while an expression is evaluated, and only then.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache, lru_cache
from typing import Any

from kubernaut.devcluster.identity.rbac import Access, Authorizer
from kubernaut.devcluster.identity.users import User, service_account
from kubernaut.devcluster.schema.cel_library import environment, load, member
from kubernaut.devcluster.schema.cel_plain import Method, Unsure, Vocabulary, plain

_NAMES = ("object", "oldObject", "request", "params", "namespaceObject", "variables", "authorizer")
_asked: ContextVar[tuple[Authorizer, User]] = ContextVar("asked")


class ExpressionError(ValueError):
    """An expression does not compile, or has no value."""


@lru_cache(maxsize=512)
def compiled(expression: str) -> Any:
    """Raises ExpressionError."""
    try:
        return _environment().compile(expression)
    except Exception as error:  # noqa: BLE001 - the CEL library raises bare Exceptions
        raise ExpressionError(str(error).removesuffix(" [INVALID_ARGUMENT]").split(": ", 1)[-1]) from None


def return_type(expression: str) -> str:
    """`BOOL`, `STRING`, `DYN`... Raises ExpressionError."""
    if quick := plain(expression, _WORDS):
        return quick.kind
    return str(compiled(expression).return_type().name())


def value_of(expression: str, data: dict[str, Any]) -> Any:
    """Raises ExpressionError. Call it within `asking`."""
    if quick := plain(expression, _WORDS):
        with suppress(Unsure):
            return quick.value(data)
    try:
        found = compiled(expression).eval(data=data)
        value = found.plain_value()
    except ExpressionError:
        raise
    except Exception as error:  # noqa: BLE001 - as above
        raise ExpressionError(str(error)) from None
    if found.type().name() == "ERROR":
        raise ExpressionError(_words(str(value)))
    return value


def _words(text: str) -> str:
    if "Key not found in map" in text:
        return f"no such key: {text.rpartition(':')[2].strip().strip(chr(34))}"
    return text


@contextmanager
def asking(authorizer: Authorizer, user: User) -> Generator[None]:
    """Whom `authorizer` in expressions asks, and about whom."""
    token = _asked.set((authorizer, user))
    try:
        yield
    finally:
        _asked.reset(token)


@cache
def _environment() -> Any:
    kind = load().Type
    record = kind.Map(kind.STRING, kind.DYN)
    text, boolean = kind.STRING, kind.BOOL
    types = {"MAP": record, "BOOL": boolean, "STRING": text}
    functions = [
        member(name, types[method.yields], [record, *([text] * method.arguments)], method.answer)
        for name, method in _METHODS.items()
    ]
    return environment(dict.fromkeys(_NAMES, kind.DYN), functions)


def _adding(part: str) -> Callable[[dict[str, Any], str], dict[str, Any]]:
    def added(asked: dict[str, Any], value: str) -> dict[str, Any]:
        return {**asked, part: value}

    return added


def _allowed(decision: dict[str, Any]) -> bool:
    return bool(decision["allowed"])


def _reason(decision: dict[str, Any]) -> str:
    return str(decision["reason"])


def _never(_decision: dict[str, Any]) -> bool:
    return False


def _no_words(_decision: dict[str, Any]) -> str:
    return ""


def _as_account(asked: dict[str, Any], namespace: str, name: str) -> dict[str, Any]:
    return {**asked, "account": [namespace, name]}


def _check(asked: dict[str, Any], verb: str) -> dict[str, Any]:
    authorizer, user = _asked.get()
    if "account" in asked:
        user = service_account(*asked["account"])
    parts = ("group", "resource", "subresource", "namespace", "name", "path")
    access = Access(verb, **{part: str(asked[part]) for part in parts if part in asked})
    verdict = authorizer.judge(user, access)
    return {"allowed": verdict.is_allowed, "reason": verdict.reason}


_METHODS = {
    **{
        part: Method("MAP", 1, _adding(part))
        for part in ("path", "group", "resource", "subresource", "namespace", "name")
    },
    "serviceAccount": Method("MAP", 2, _as_account),
    "check": Method("MAP", 1, _check),
    "allowed": Method("BOOL", 0, _allowed),
    "reason": Method("STRING", 0, _reason),
    "errored": Method("BOOL", 0, _never),
    "error": Method("STRING", 0, _no_words),
}
_WORDS = Vocabulary(frozenset(_NAMES), _METHODS)
