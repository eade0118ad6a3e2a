"""What an operator reads in the log."""

import asyncio
import io
import json
import logging
from collections.abc import Generator
from typing import Any

import pytest

from kubernaut.telemetry import REDACTED, Redactor, bound, get_log, set_up_logging


@pytest.fixture(autouse=True)
def _restored_logging() -> Generator[None, None, None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_object_with_a_constant_message_and_facts() -> None:
    stream = io.StringIO()
    set_up_logging("info", "json", stream=stream)
    log = get_log("kubernaut.test")
    log.info("step started", step="a", attempt=1, level="fact")
    log.debug("not shown")
    (line,) = lines(stream)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "message": "step started",
        "logger": "kubernaut.test",
        "step": "a",
        "attempt": 1,
        "level_": "fact",
    }


async def test_facts_of_a_task_are_on_its_own_lines_only() -> None:
    stream = io.StringIO()
    set_up_logging(stream=stream)
    log = get_log("x")
    both = asyncio.Barrier(2)

    async def work(uid: str) -> None:
        with bound(execution=uid):
            await both.wait()
            log.info("turn", step="s")

    async with asyncio.TaskGroup() as group:
        group.create_task(work("u1"))
        group.create_task(work("u2"))
    log.info("after")
    assert [line.get("execution") for line in lines(stream)] in (["u1", "u2", None], ["u2", "u1", None])


def test_nothing_secret_is_logged_by_anybody() -> None:
    stream = io.StringIO()
    set_up_logging(stream=stream, redactor=Redactor(["topsecretvalue"]))
    get_log("x").info("called", password="a", text="token=b topsecretvalue", thing=ValueError("pwd=c"))
    logging.getLogger("library").warning("Authorization: Bearer %s", "dddd", extra={"secret": "e"})
    try:
        raise ValueError("postgres://u:ffff@h")
    except ValueError:
        get_log("x").exception("failed")
    first, second, third = lines(stream)
    assert (first["password"], first["text"]) == (REDACTED, f"token={REDACTED} {REDACTED}")
    assert first["thing"] == f"pwd={REDACTED}"
    assert (second["message"], second["secret"]) == (f"Authorization: Bearer {REDACTED}", REDACTED)
    assert "ValueError" in third["traceback"]
    assert "ffff" not in third["traceback"]


def test_the_console_shows_one_line_whatever_the_message_holds() -> None:
    stream = io.StringIO()
    set_up_logging("debug", "console", stream=stream)
    get_log("x").warning("two\nlines", step="a b")
    (line,) = stream.getvalue().splitlines()
    assert line.endswith('warning two\\nlines step="a b"')


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="no log level 'loud'"):
        set_up_logging("loud")
