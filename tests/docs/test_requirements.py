"""The page of requirements misses no line, and what it calls a proof exists; so does every law's test."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REQUIREMENTS = (ROOT / "docs/requirements.md").read_text(encoding="utf-8")
LAWS = (ROOT / "docs/laws.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/.]+)(?:::(\w+))?`")
ROW = re.compile(r"^\| ((?:S\d|[A-Z])-\d+|2\.\d+) \| (.+) \| (\w+) \| (.+) \|$", re.MULTILINE)


def numbered(prefix: str, count: int, digits: int = 2) -> list[str]:
    return [f"{prefix}-{number:0{digits}}" for number in range(1, count + 1)]


# The lines of the specification, in its order; then the promises of the work so far, of all of version 1, of
# the embedded cluster, and the known mistakes.
LINES = [
    *numbered("S0", 34),
    *numbered("S1", 21),
    *numbered("S2", 37),
    *numbered("S3", 23),
    *numbered("S4", 13),
    *numbered("C", 18, 1),
    *numbered("T", 11, 1),
    *(f"2.{number}" for number in range(1, 20)),
    *numbered("W", 68),
    *numbered("X", 58),
    *numbered("Y", 38),
    *numbered("B", 48),
]
STATES = {"met", "partly", "later", "note"}
DUE = re.compile(r"issue [4-9]|\b(trust|git|guard|record|fleet|clouds)\b|as S\d-\d+")
HELD_OTHERWISE = re.compile(r"held by `make check`")


@cache
def functions_of(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


@pytest.mark.parametrize("page", [REQUIREMENTS, LAWS], ids=["requirements", "laws"])
def test_every_test_that_is_named_exists(page: str) -> None:
    named = NAMED.findall(page)
    assert named
    missing = [
        f"{path}::{function}"
        for path, function in named
        if not (ROOT / path).exists() or (function and function not in functions_of(ROOT / path))
    ]
    assert missing == []


def test_every_line_has_one_row_and_they_stand_in_order() -> None:
    rows = [row[0] for row in ROW.findall(REQUIREMENTS)]
    assert [line for line, count in Counter(rows).items() if count > 1] == []
    assert rows == LINES


def test_no_row_of_a_table_is_malformed() -> None:
    rows = [text for text in REQUIREMENTS.splitlines() if text.startswith("| ") and not text.startswith("| line ")]
    assert [text for text in rows if not ROW.fullmatch(text)] == []


@pytest.mark.parametrize("row", ROW.findall(REQUIREMENTS), ids=lambda row: str(row[0]))
def test_a_row_says_what_proves_it_or_when_it_is_due(row: tuple[str, str, str, str]) -> None:
    _, promise, state, proof = row
    assert promise
    assert state in STATES
    if state == "met":
        assert any(function for _, function in NAMED.findall(proof)) or HELD_OTHERWISE.search(proof)
    elif state == "later":
        assert DUE.search(proof)
    elif state == "partly":
        assert ";" in proof or "," in proof, "what is missing?"
