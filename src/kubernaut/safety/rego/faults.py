"""The engine's errors in words of a policy's author. Standard library only: the worker reads it."""

import re
from dataclasses import dataclass, replace

from kubernaut.safety.rego.reading import Place

_MOST_TEXT = 300
_AT = re.compile(r"^--> (.+):(\d+):(\d+)$", re.MULTILINE)
_AT_ONCE = re.compile(r"^(.+?):(\d+):(\d+):? error: ", re.MULTILINE)
_WHAT = re.compile(r"\berror: (.*)")
_OLD_SYNTAX = re.compile(r"`if` keyword is required|`contains` keyword is required|unexpected keyword `contains`")
_PARTIAL = re.compile(r"^\s*([A-Za-z_]\w*)\[(.+?)\]\s*(?:\{|=|:=|$)")


@dataclass(frozen=True)
class Fault:
    """Why a set is refused, or a doubt about it: what, where, and how to mend it."""

    place: Place
    message: str
    mend: str = ""

    def __str__(self) -> str:
        mend = f" {self.mend}" if self.mend else ""
        return f"{self.place.path}:{self.place.line}:{self.place.column}: {self.message}.{mend}"


def fault_of(report: str, path: str, text: str) -> Fault:
    """The fault that an error of the engine stands for; `path` and `text` are of the file it was reading."""
    place, message = located(report, path)
    fault = Fault(place, message)
    return _of_old_syntax(fault, text) if _OLD_SYNTAX.search(message) else fault


def located(report: str, path: str) -> tuple[Place, str]:
    """Where, and what, without the quoted source and without the engine's own backtrace."""
    # The engine adds where in its own code it was, when Rust is told to by the environment.
    report = report.partition("Stack backtrace")[0]
    what, at = _WHAT.search(report), _AT.search(report) or _AT_ONCE.search(report)
    message = what[1] if what else " ".join(report.split()) or "the engine gives no reason"
    if "recursion detected" in message:
        message = "it depends on itself"
    message = message.strip().rstrip(".:")[:_MOST_TEXT]
    return (Place(at[1], int(at[2]), int(at[3])) if at else Place(path, 1, 1)), message


def _of_old_syntax(fault: Fault, text: str) -> Fault:
    lines = text.splitlines()
    line = lines[fault.place.line - 1] if 0 < fault.place.line <= len(lines) else ""
    partial = _PARTIAL.match(line)
    mend = f"Write `{partial[1]} contains {partial[2]} if {{`." if partial else "Write `if` before the `{`."
    return replace(
        fault,
        message="this is Rego of before OPA 1.0 (v0)",
        mend=f"{mend} `opa fmt --v0-v1 --write FILE` rewrites whole files.",
    )
