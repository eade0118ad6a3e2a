"""Log lines: a constant message, facts as keys, one line each, no secrets.

Not here: what is worth a line. Info is for whoever runs this program, debug for whoever writes it.
"""

import contextvars
import json
import logging
import sys
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Literal, TextIO, cast

from kubernaut.telemetry.redaction import Redactor

LogFormat = Literal["json", "console"]

_NO_FACTS: Mapping[str, object] = MappingProxyType({})
_context: contextvars.ContextVar[Mapping[str, object]] = contextvars.ContextVar("log facts", default=_NO_FACTS)
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "facts"}


class Log:
    """A logger whose facts are keyword arguments: `log.info("step started", step=name)`."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, message: str, **facts: object) -> None:
        self._log(logging.DEBUG, message, facts)

    def info(self, message: str, **facts: object) -> None:
        self._log(logging.INFO, message, facts)

    def warning(self, message: str, **facts: object) -> None:
        self._log(logging.WARNING, message, facts)

    def error(self, message: str, **facts: object) -> None:
        self._log(logging.ERROR, message, facts)

    def exception(self, message: str, **facts: object) -> None:
        """An error with the traceback of the exception being handled."""
        self._log(logging.ERROR, message, facts, traceback=True)

    def _log(self, level: int, message: str, facts: dict[str, object], traceback: bool = False) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", message, exc_info=traceback, extra={"facts": facts}, stacklevel=3)


def get_log(name: str) -> Log:
    """The log of a module: `log = get_log(__name__)`."""
    return Log(logging.getLogger(name))


@contextmanager
def bound(**facts: object) -> Generator[None, None, None]:
    """Every line of this task, and of tasks started in this block, carries these facts."""
    token = _context.set({**_context.get(), **facts})
    try:
        yield
    finally:
        _context.reset(token)


def set_up_logging(
    level: str = "info",
    format: LogFormat = "json",  # noqa: A002 - the knob's own name
    *,
    stream: TextIO | None = None,
    redactor: Redactor | None = None,
) -> None:
    """Send every log line of this process to the stream (standard error), redacted.

    Raises ValueError for an unknown level.
    """
    numeric = logging.getLevelNamesMapping().get(level.upper())
    if numeric is None:
        raise ValueError(f"no log level {level!r}; there is debug, info, warning and error")
    handler = logging.StreamHandler(stream or sys.stderr)
    formatter = JsonLines if format == "json" else ConsoleLines
    handler.setFormatter(formatter(redactor or Redactor()))
    handler.addFilter(_add_context)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(numeric)
    # At info aiohttp and asyncio tell of every request and slow callback.
    for library in ("aiohttp.access", "asyncio"):
        logging.getLogger(library).setLevel(max(numeric, logging.WARNING))


def _add_context(record: logging.LogRecord) -> bool:
    # In the filter, not the formatter: it runs in the task that logs.
    vars(record)["facts"] = {**_context.get(), **vars(record).get("facts", {})}
    return True


class _Lines(logging.Formatter):
    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def facts(self, record: logging.LogRecord) -> dict[str, Any]:
        """Ours, and those that a library gave as `extra`; redacted."""
        extra = {key: value for key, value in vars(record).items() if key not in _OWN}
        facts = {**extra, **vars(record).get("facts", {})}
        plain = {key: _plain(value) for key, value in facts.items()}
        redacted: dict[str, Any] = self._redactor.json(plain)
        return redacted

    def message(self, record: logging.LogRecord) -> str:
        return self._redactor.text(record.getMessage())

    def traceback(self, record: logging.LogRecord) -> str:
        if not record.exc_info:
            return ""
        return self._redactor.text(self.formatException(record.exc_info))


class JsonLines(_Lines):
    """One JSON object a line: time, level, message, logger, then the facts."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _time(record).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": self.message(record),
            "logger": record.name,
        }
        for key, value in self.facts(record).items():
            line[key if key not in line else f"{key}_"] = value
        if trace := self.traceback(record):
            line["traceback"] = trace
        return json.dumps(line, ensure_ascii=False, default=str)


class ConsoleLines(_Lines):
    """For people: time, level, message, facts as key=value."""

    def format(self, record: logging.LogRecord) -> str:
        clock = _time(record).strftime("%H:%M:%S.%f")[:-3]
        facts = "".join(
            f" {key}={json.dumps(value, ensure_ascii=False, default=str)}"
            for key, value in self.facts(record).items()
        )
        message = self.message(record).replace("\n", "\\n")  # one line, whatever a message holds
        line = f"{clock} {record.levelname.lower():7} {message}{facts}"
        trace = self.traceback(record)
        return f"{line}\n{trace}" if trace else line


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _plain(value: object) -> object:
    """As JSON would have it; anything unknown as its text, so that it is redacted as text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in cast(Mapping[object, object], value).items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in cast(Iterable[object], value)]
    return str(value)
