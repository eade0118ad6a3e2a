"""Today's planner decides in these runs what it decided when they were recorded: a change is seen in review."""

from pathlib import Path

import pytest

from golden.record import PLAYED
from kubernaut.planning.recording import read_recording
from kubernaut.planning.replay import replay

HERE = Path(__file__).parent / "recordings"
FILES = sorted(HERE.glob("*.jsonl"))


def test_every_story_is_recorded() -> None:
    assert {path.stem for path in FILES} == PLAYED.keys()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_decision_has_changed(path: Path) -> None:
    """Where that was wanted: `PYTHONPATH=tests python -m golden.record`."""
    recording = read_recording(path.read_text().splitlines())
    assert len(recording.turns) > 20
    changed = [f"turn {one.turn}: {one.about}: {one.before} -> {one.after}" for one in replay(recording)]
    assert not changed, "\n".join(["", *changed])
