import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubernaut.devcluster.patching.json_patch import PatchFailed, json_patch
from kubernaut.sdk.undo import ABSENT, differences, readable, summary, undo_operations

pytestmark = pytest.mark.journey

KEYS = st.sampled_from(["a", "b", "c/d", "e~f", "name", "spec", "labels"])
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(0, 3), st.sampled_from(["", "x", "y"]))
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
OBJECTS = st.fixed_dictionaries({"spec": st.dictionaries(KEYS, VALUES, max_size=4)})


def without_empty_maps(value: Any) -> Any:
    """Labels: an empty map and none are the same to the API."""
    if isinstance(value, dict):
        inner = {key: without_empty_maps(v) for key, v in value.items()}
        return {key: v for key, v in inner.items() if not (key == "labels" and v == {})}
    return [without_empty_maps(v) for v in value] if isinstance(value, list) else value


def exactly(one: Any, other: Any) -> bool:
    """Equal as JSON: Python holds True == 1."""
    return not differences({"x": without_empty_maps(one)}, {"x": without_empty_maps(other)})


@given(OBJECTS, OBJECTS)
def test_undoing_a_change_is_the_identity(before: Any, after: Any) -> None:
    undone = json_patch(copy.deepcopy(after), undo_operations(before, after))
    assert exactly(undone, before)


@given(OBJECTS)
def test_nothing_changed_is_nothing_to_undo(same: Any) -> None:
    assert undo_operations(same, copy.deepcopy(same)) == []


@given(OBJECTS, OBJECTS, OBJECTS)
def test_an_undo_never_overwrites_what_others_changed_in_the_same_place(
    before: Any, after: Any, theirs: Any
) -> None:
    ours = differences(before, after)
    try:
        undone = json_patch(copy.deepcopy(theirs), undo_operations(before, after))
    except PatchFailed:
        return
    # It was not refused: so every place that we changed was still as we left it; null is as good as absent.
    still_ours = {d.parts for d in ours}
    theirs_since = {d.parts for d in differences(after, theirs) if (d.before, d.after) != (ABSENT, None)}
    assert not still_ours & theirs_since
    assert isinstance(undone, dict)


def test_what_the_server_writes_itself_is_nobodys_change() -> None:
    before = {"metadata": {"resourceVersion": "1", "generation": 1, "managedFields": []}, "status": {"a": 1}}
    after = {"metadata": {"resourceVersion": "2", "generation": 2}, "status": {"a": 2}}
    assert differences(before, after) == []


def test_a_list_entry_is_found_by_place_and_held_by_name() -> None:
    before = {"spec": {"containers": [{"name": "app", "image": "a:1"}, {"name": "side", "image": "s:1"}]}}
    after = {"spec": {"containers": [{"name": "app", "image": "a:2"}, {"name": "side", "image": "s:1"}]}}
    undo = undo_operations(before, after)
    moved = {"spec": {"containers": [{"name": "other", "image": "a:2"}]}}
    with pytest.raises(PatchFailed):
        json_patch(moved, undo)
    more = copy.deepcopy(after)
    more["spec"]["containers"][1]["image"] = "s:2"
    assert json_patch(more, undo)["spec"]["containers"] == [
        {"name": "app", "image": "a:1"},
        {"name": "side", "image": "s:2"},
    ]


def test_an_entry_of_another_name_is_another_thing_and_taken_back_whole() -> None:
    before = {"spec": {"containers": [{"name": "old", "image": "a:1"}]}}
    after = {"spec": {"containers": [{"name": "new", "image": "a:1"}]}}
    undo = undo_operations(before, after)
    assert json_patch(copy.deepcopy(after), undo) == before
    theirs = {"spec": {"containers": [{"name": "new", "image": "a:2"}]}}
    with pytest.raises(PatchFailed):
        json_patch(theirs, undo)


def test_true_is_not_one_and_is_taken_back() -> None:
    undo = undo_operations({"spec": {"x": 1}}, {"spec": {"x": True}})
    assert json_patch({"spec": {"x": True}}, undo)["spec"]["x"] is not True


def test_keys_with_the_marks_of_a_pointer_are_taken_back() -> None:
    before, after = {"spec": {"a~1b": 1, "c~d/e": 1}}, {"spec": {"a~1b": 2, "c~d/e": 2}}
    assert json_patch(copy.deepcopy(after), undo_operations(before, after)) == before


def test_changes_are_told_with_paths_that_people_read() -> None:
    before = {"spec": {"replicas": 3, "c": [{"name": "x", "image": "a"}]}, "metadata": {}}
    after = {"spec": {"replicas": 5, "c": [{"name": "x", "image": "b"}]}, "metadata": {"labels": {"a.b/c": "d"}}}
    told_before, told_after = summary(differences(before, after))
    assert told_before == {"spec.replicas": 3, "spec.c[0].image": "a"}
    assert told_after == {"spec.replicas": 5, "spec.c[0].image": "b", "metadata.labels['a.b/c']": "d"}
    assert readable(("spec", 0, "a b")) == "spec[0]['a b']"


def test_a_long_value_is_told_in_short() -> None:
    told, _ = summary(differences({"spec": {"x": "y" * 1000}}, {"spec": {"x": "z"}}))
    assert len(told["spec.x"]) == 200
