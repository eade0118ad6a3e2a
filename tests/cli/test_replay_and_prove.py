"""What replay and prove print, and which exit codes scripts get."""

import json
from pathlib import Path

import pytest

from .conftest import Kubernaut

GOLDEN = Path(__file__).parents[1] / "golden" / "recordings"


def test_a_changed_decision_is_told_with_turn_time_step_and_both_decisions(kubernaut: Kubernaut) -> None:
    said = kubernaut("replay", str(GOLDEN / "trouble.jsonl"), "--set", "execution.maxParallelSteps=1")
    assert said.code == 9
    first, *rest = said.out.splitlines()
    assert first.startswith("turn ")
    assert first.endswith("Z  WorkflowExecution trouble")
    assert rest[:3] == ["  broken", "    then:  gets its ActionExecution", "    today: nothing"]
    assert "    today: 1 step waits for a place beside those that run" in rest
    assert "decided otherwise" in said.err


def test_programs_get_the_same_as_json(kubernaut: Kubernaut) -> None:
    said = kubernaut(
        "replay", str(GOLDEN / "trouble.jsonl"), "--set", "execution.maxParallelSteps=1", "-o", "json"
    )
    assert said.code == 9
    rows = json.loads(said.out)
    assert rows[0]["about"] == "broken"
    assert rows[0].keys() == {"turn", "at", "of", "about", "before", "after", "why"}


def test_an_unchanged_recording_is_quiet(kubernaut: Kubernaut) -> None:
    said = kubernaut("replay", str(GOLDEN / "fork.jsonl"))
    assert (said.code, said.out) == (0, "")
    assert said.err.endswith("turns, all the same\n")


def test_bad_files_are_one_clear_line(kubernaut: Kubernaut, tmp_path: Path) -> None:
    whole = (GOLDEN / "fork.jsonl").read_bytes()
    bad = tmp_path / "bad.jsonl"
    for content, says in (
        (b"", "it is no recording of kubernaut"),
        (b'{"kind": "Pod"}\n', "it is no recording of kubernaut"),
        (b"\xff\xfe\x00", "it is no text"),
        (whole[: len(whole) // 2], "cut off"),
        (whole.replace(b'"format":1', b'"format":7', 1), "bring kubernaut up to date"),
    ):
        bad.write_bytes(content)
        said = kubernaut("replay", str(bad))
        assert said.code == 3
        assert said.out == ""
        assert said.err.startswith(f"error: {bad}: ")
        assert says in said.err
        assert len(said.err.splitlines()) == 1
    said = kubernaut("replay", str(tmp_path / "nothing.jsonl"))
    assert (said.code, said.err.count("\n")) == (1, 1)


@pytest.mark.journey
@pytest.mark.timeout(60)
def test_an_author_is_told_what_to_add_and_what_to_delete_and_where(
    kubernaut: Kubernaut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert kubernaut("action", "init", "team/mark").code == 0
    source = tmp_path / "mark/src/mark/__init__.py"
    text = source.read_text()
    source.write_text(text.replace('verbs=("get", "patch")', 'verbs=("get", "delete")'))
    line = next(n for n, one in enumerate(source.read_text().splitlines(), 1) if '"delete"' in one)
    said = kubernaut("action", "prove", "./mark")
    assert said.code == 9
    assert said.out.splitlines() == [
        "team/mark: not proven in 1 scenario",
        "  undeclared: patch pods web in shop  (scenario mark)",
        "  mend:  add to the permissions of the contract",
        "    - apiGroups: ['']",
        "      resources: [pods]",
        "      verbs: [patch]",
        f"  unused: delete pods  (mark/src/mark/__init__.py:{line})",
        "  mend:  delete them, or write a scenario in which they are needed",
    ]
