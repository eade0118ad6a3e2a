import json

from hypothesis import given, settings
from hypothesis import strategies as st

from kubernaut.api.text import cut, json_bytes


def as_go_writes(text: str) -> bytes:
    """encoding/json of Go: HTML characters and line separators escaped, the rest as UTF-8."""
    written = json.dumps(text, ensure_ascii=False)[1:-1].replace("\\b", "\\u0008").replace("\\f", "\\u000c")
    for character in "<>&\u2028\u2029":
        written = written.replace(character, f"\\u{ord(character):04x}")
    return written.encode()


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200), st.integers(3, 300))
def test_a_cut_text_takes_no_more_bytes_than_allowed(text: str, limit: int) -> None:
    assert json_bytes(text) == len(as_go_writes(text))
    short = cut(text, limit)
    assert len(as_go_writes(short)) <= limit
    assert short == text or (short.endswith("...") and text.startswith(short[:-3]))
    assert len(as_go_writes(text)) > limit or short == text


def test_an_endless_text_is_cut_without_reading_it_all() -> None:
    assert cut("x" * 10_000_000, 10) == "xxxxxxx..."
