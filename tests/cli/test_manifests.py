"""Reading files: values as Kubernetes reads them, each with its line and column."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubernaut.cli.manifests import Mark, UnreadableManifest, parse_manifests, read_manifests

WORKFLOW = b"""\
kind: WorkflowExecution
metadata: {name: one}
spec:
  steps:
    - name: scale
      inputs:
        replicas: 10
---
---
kind: Other
"""


def test_every_value_knows_its_line_and_column() -> None:
    first, second = parse_manifests(WORKFLOW, "w.yaml")
    assert first.locate("spec.steps[0].inputs.replicas") == Mark(7, 9)
    assert first.locate("spec.steps[0]") == Mark(5, 7)
    assert second.locate("kind") == Mark(10, 1)
    assert (first.kind, first.name, second.name) == ("WorkflowExecution", "one", "")


def test_what_is_missing_is_shown_where_it_should_stand() -> None:
    first, _ = parse_manifests(WORKFLOW, "w.yaml")
    assert first.locate("spec.steps[0].inputs.deployment") == first.locate("spec.steps[0].inputs")
    assert first.locate("spec.steps[4].name") == first.locate("spec.steps")
    assert first.locate("status") == Mark(1, 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2024-01-01", "2024-01-01"),
        ("1:30", "1:30"),
        ("yes", True),
        ("~", None),
        ("0x10", 16),
        ("-3", -3),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("'5'", "5"),
        ("!!str 5", "5"),
        ("<<", "<<"),
    ],
)
def test_scalars_are_read_as_kubernetes_reads_them(text: str, value: object) -> None:
    (manifest,) = parse_manifests(f"a: {text}".encode(), "x")
    assert manifest.document == {"a": value}


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a: [1, 2", "x:2:1", "not valid YAML"),
        ("a: 1\n b: 2", "x:2:3", "not valid YAML"),
        ("a: 1\nb: 2\na: 3", "x:3:1", "a is given twice"),
        ("- 1", "x:1:1", "an object was expected here"),
        ("a: &a [*a]", "x:1:4", "refers to what surrounds it"),
        ("a: !!python/name:os.system x", "x:1:4", "has no meaning here"),
        ("? [1]\n: 2", "x:1:3", "a key must be text"),
        ("kind: List\nitems:\n  - 5", "x:3:5", "an object was expected here"),
        ("a: \tb: c", "x:1:", "not valid YAML"),
    ],
)
def test_what_cannot_be_read_is_named_with_line_and_column(text: str, place: str, message: str) -> None:
    with pytest.raises(UnreadableManifest) as caught:
        parse_manifests(text.encode(), "x")
    assert str(caught.value).startswith(place)
    assert message in str(caught.value)


@pytest.mark.timeout(20)
def test_a_few_lines_cannot_become_a_billion_values() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(UnreadableManifest, match="more than"):
        parse_manifests("\n".join(lines).encode(), "x")


def test_a_list_is_read_as_its_items_with_their_own_places() -> None:
    (item,) = parse_manifests(b"kind: List\nitems:\n  - kind: Pod\n    spec: {a: [1]}\n", "x")
    assert item.document == {"kind": "Pod", "spec": {"a": [1]}}
    assert item.locate("spec.a[0]") == Mark(4, 16)
    assert item.locate("") == Mark(3, 5)


def test_a_folder_is_read_in_order_of_names(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "notes.txt"):
        (tmp_path / name).write_text(f"kind: K\nmetadata: {{name: {name[0]}}}")
    assert [manifest.name for manifest in read_manifests((str(tmp_path),))] == ["a", "b"]


@given(st.binary(max_size=200))
def test_any_bytes_are_either_read_or_refused(text: bytes) -> None:
    with contextlib.suppress(UnreadableManifest):
        parse_manifests(text, "x")
