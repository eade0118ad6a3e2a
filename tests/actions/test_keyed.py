"""Laws of changing single keys, without a cluster."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubernaut.actions.keyed import changed_values, config_map_patch, config_map_values, refuse_drift
from kubernaut.devcluster.patching.merging import merge_patch
from kubernaut.sdk import Refused

KEYS = st.sampled_from(["a", "b", "c", "d"])
VALUE = st.one_of(st.sampled_from(["", "x", "y"]), st.sampled_from(["AA==", "AQ=="]).map(lambda t: {"base64": t}))
VALUES = st.dictionaries(KEYS, VALUE, max_size=4)
WANTED = st.dictionaries(KEYS, st.none() | VALUE, max_size=4)


def config_map(values: dict[str, Any]) -> dict[str, Any]:
    data = {key: value for key, value in values.items() if isinstance(value, str)}
    binary = {key: value["base64"] for key, value in values.items() if not isinstance(value, str)}
    return {
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "n"},
        **({"data": data} if data else {}),
        **({"binaryData": binary} if binary else {}),
    }


def patched(values: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    return config_map_values(merge_patch(config_map(values), config_map_patch(values, wanted)))


@given(VALUES, WANTED)
def test_wanted_keys_become_so_and_others_stay(values: dict[str, Any], wanted: dict[str, Any]) -> None:
    after = patched(values, wanted)
    assert after == {key: value for key, value in {**values, **wanted}.items() if value is not None}
    assert config_map_patch(after, wanted) == {}, "what is so already needs no patch"


@given(VALUES, WANTED)
def test_what_was_is_the_way_back(values: dict[str, Any], wanted: dict[str, Any]) -> None:
    after = patched(values, wanted)
    was, now = changed_values(values, after)
    refuse_drift(config_map(after), after, now)
    assert patched(after, was) == values


@given(VALUES, WANTED, VALUES)
def test_whatever_others_changed_in_the_same_keys_is_found(
    values: dict[str, Any], wanted: dict[str, Any], theirs: dict[str, Any]
) -> None:
    after = patched(values, wanted)
    _, now = changed_values(values, after)
    if all(theirs.get(key) == value for key, value in now.items()):
        refuse_drift(config_map(theirs), theirs, now)
    else:
        with pytest.raises(Refused):
            refuse_drift(config_map(theirs), theirs, now)
