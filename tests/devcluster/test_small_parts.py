"""Parts that need no server: selectors, patches, quantities, durations, protobuf, CEL rules."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubernaut.devcluster.errors import BadRequest
from kubernaut.devcluster.identity.rbac import Access, covers
from kubernaut.devcluster.patching import json_patch, merge_patch, strategic_patch
from kubernaut.devcluster.quantities import parse_quantity
from kubernaut.devcluster.rest.durations import human_duration
from kubernaut.devcluster.rest.paths import target_of, verb_of
from kubernaut.devcluster.rest.tables import json_path
from kubernaut.devcluster.schema.builtin import builtin_type
from kubernaut.devcluster.schema.cel_rules import RuleError, rule_faults, rule_tree
from kubernaut.devcluster.schema.fieldsets import changed_sets, difference, intersection, union
from kubernaut.devcluster.schema.nodes import ANY
from kubernaut.devcluster.schema.protobuf import ProtobufError, decode_body
from kubernaut.devcluster.selectors import label_predicate, selector_text, selects

law = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from("abc"),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from("abcd"), below, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from("abcd"), json_values, max_size=4)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return value


@pytest.mark.journey
@pytest.mark.timeout(60)
@law
@given(objects, objects)
def test_a_merge_patch_applied_twice_is_applied_once(target: dict[str, Any], patch: dict[str, Any]) -> None:
    once = merge_patch(target, patch)
    snapshot = repr(once)
    assert repr(merge_patch(once, patch)) == snapshot


@pytest.mark.journey
@pytest.mark.timeout(60)
@law
@given(objects)
def test_a_merge_patch_of_nothing_makes_the_patch(patch: dict[str, Any]) -> None:
    assert merge_patch(None, patch) == without_nulls(patch)


@pytest.mark.journey
@pytest.mark.timeout(60)
@law
@given(objects, objects)
def test_what_changed_and_what_was_removed_never_overlap(old: dict[str, Any], new: dict[str, Any]) -> None:
    if old != new:
        changed, removed = changed_sets(old, new, ANY)
        assert changed is not None or removed is not None
        assert intersection(changed, removed) is None


@pytest.mark.journey
@pytest.mark.timeout(60)
@law
@given(objects, objects)
def test_field_sets_are_sets(one: dict[str, Any], other: dict[str, Any]) -> None:
    left, _ = changed_sets({}, one, ANY) if one else (None, None)
    right, _ = changed_sets({}, other, ANY) if other else (None, None)
    both = union(left, right)
    assert difference(both, right) == difference(left, right)
    assert difference(left, left) is None
    assert union(left, left) == left


def test_a_json_patch_moves_copies_and_appends() -> None:
    operations = [
        {"op": "add", "path": "/list/-", "value": 3},
        {"op": "add", "path": "/list/0", "value": 0},
        {"op": "copy", "from": "/list/0", "path": "/first"},
        {"op": "move", "from": "/old", "path": "/new"},
    ]
    assert json_patch({"list": [1], "old": "x"}, operations) == {"list": [0, 1, 3], "first": 0, "new": "x"}


def test_strategic_patches_keep_the_order_they_are_told() -> None:
    node = builtin_type("PodSpec")
    target = {"containers": [{"name": "a"}, {"name": "b"}]}
    patch = {
        "$setElementOrder/containers": [{"name": "c"}, {"name": "a"}, {"name": "b"}],
        "containers": [{"name": "c", "image": "i"}],
    }
    assert [c["name"] for c in strategic_patch(target, patch, node)["containers"]] == ["c", "a", "b"]


def test_strategic_patches_retain_only_the_keys_they_name() -> None:
    node = builtin_type("DeploymentSpec")
    target = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}
    patch = {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}
    assert strategic_patch(target, patch, node)["strategy"] == {"type": "Recreate"}


@pytest.mark.parametrize(
    ("text", "value"),
    [("100m", "0.1"), ("1Gi", "1073741824"), ("1.5k", "1500"), ("2e3", "2000"), ("-1", "-1"), ("0", "0")],
)
def test_quantities_are_numbers(text: str, value: str) -> None:
    assert parse_quantity(text) == parse_quantity(value)


@pytest.mark.parametrize("text", ["", "1x", "abc", "1 Gi", "--1"])
def test_other_texts_are_no_quantities(text: str) -> None:
    with pytest.raises(ValueError, match="quantities must match"):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (119, "119s"), (125, "2m5s"), (600, "10m"), (3 * 3600 + 60, "3h1m"), (50 * 3600, "2d2h")],
)
def test_ages_read_as_in_kubectl(seconds: int, text: str) -> None:
    assert human_duration(seconds) == text


@pytest.mark.parametrize("text", ["a===b", "a in", "=b", "a,,b"])
def test_selectors_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="unable to parse requirement"):
        label_predicate(text)


def test_structured_selectors_select_and_print() -> None:
    needs = [{"key": "b", "operator": "In", "values": ["1", "2"]}, {"key": "c", "operator": "DoesNotExist"}]
    selector = {"matchLabels": {"a": "1"}, "matchExpressions": needs}
    assert selects(selector, {"a": "1", "b": "2"})
    assert not selects(selector, {"a": "1", "b": "3"})
    assert not selects(selector, {"a": "1", "b": "2", "c": ""})
    assert not selects(None, {})
    assert selects({}, {})
    assert selector_text(selector) == "a=1,b in (1,2),!c"


def test_paths_name_resources_of_every_form() -> None:
    status = target_of("/apis/apps/v1/namespaces/x/deployments/web/status")
    assert (status.group, status.resource, status.namespace, status.name, status.subresource) == (
        "apps",
        "deployments",
        "x",
        "web",
        "status",
    )
    namespace = target_of("/api/v1/namespaces/x")
    assert (namespace.resource, namespace.name, namespace.namespace) == ("namespaces", "x", "x")
    finalize = target_of("/api/v1/namespaces/x/finalize")
    assert (finalize.resource, finalize.name, finalize.subresource) == ("namespaces", "x", "finalize")
    nodes = target_of("/api/v1/nodes")
    assert (nodes.resource, nodes.name) == ("nodes", "")
    assert verb_of("GET", nodes, is_watch=False) == "list"
    assert verb_of("GET", nodes, is_watch=True) == "watch"
    assert verb_of("DELETE", nodes, is_watch=False) == "deletecollection"
    assert target_of("/healthz").resource == ""


@pytest.mark.parametrize(
    ("rule", "access", "answer"),
    [
        ({"resources": ["pods"]}, Access("get", "", "pods"), True),
        ({"resources": ["pods"]}, Access("get", "", "pods", "log"), False),
        ({"resources": ["pods/log"]}, Access("get", "", "pods", "log"), True),
        ({"resources": ["*/scale"]}, Access("get", "", "things", "scale"), True),
        ({"resources": ["*"]}, Access("get", "", "pods", "log"), True),
        ({"resources": ["pods"]}, Access("get", "apps", "pods"), False),
        ({"resources": ["pods"], "resourceNames": ["a"]}, Access("get", "", "pods", name="a"), True),
        ({"resources": ["pods"], "resourceNames": ["a"]}, Access("get", "", "pods"), False),
        ({"nonResourceURLs": ["/apis/*"]}, Access("get", path="/apis/x"), True),
        ({"nonResourceURLs": ["/apis/*"]}, Access("get", path="/apis"), False),
    ],
)
def test_rules_cover_what_they_say(rule: dict[str, Any], access: Access, answer: bool) -> None:
    assert covers({"verbs": ["get"], "apiGroups": [""], **rule}, access) is answer


def test_json_paths_of_columns_find_conditions_and_lists() -> None:
    obj = {
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "No"}],
            "names": ["a", "b"],
        },
        "metadata": {"labels": {"a.b/c": "x"}},
    }
    assert json_path(obj, '.status.conditions[?(@.type=="Ready")].status') == ["True"]
    assert json_path(obj, ".status.names[*]") == ["a", "b"]
    assert json_path(obj, ".status.names[1]") == ["b"]
    assert json_path(obj, r".metadata.labels['a\.b/c']") == ["x"]
    assert json_path(obj, ".status.none.deeper") == []


def test_a_protobuf_body_is_read_as_its_json() -> None:
    # A ConfigMap {metadata: {name: "a"}, data: {"k": "v"}} as kubectl would send it.
    inner = b"\x0a\x03\x0a\x01a\x12\x06\x0a\x01k\x12\x01v"
    about = b"\x0a\x02v1\x12\x09ConfigMap"
    envelope = b"k8s\x00\x0a" + bytes([len(about)]) + about + b"\x12" + bytes([len(inner)]) + inner
    assert decode_body(envelope) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a"},
        "data": {"k": "v"},
    }


@pytest.mark.journey
@pytest.mark.timeout(60)
@law
@given(st.binary(max_size=40))
def test_any_other_bytes_are_refused_not_misread(body: bytes) -> None:
    for raw in (body, b"k8s\x00" + body):
        try:
            found = decode_body(raw)
        except ProtobufError:
            continue
        assert found["kind"]


def test_rules_see_escaped_names_and_optional_old_values() -> None:
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {"a-b": {"type": "integer"}, "n": {"type": "integer"}},
                "x-kubernetes-validations": [
                    {"rule": "has(self.a__dash__b) && self.a__dash__b > 1", "message": "too small"},
                    {
                        "rule": "!oldSelf.hasValue() || self.n >= oldSelf.value().n",
                        "optionalOldSelf": True,
                        "messageExpression": "'n fell to ' + string(self.n)",
                    },
                ],
            }
        },
    }
    tree = rule_tree(schema)
    assert tree is not None
    assert rule_faults(tree, {"spec": {"a-b": 2, "n": 1}}, None, False) == []
    faults = rule_faults(tree, {"spec": {"a-b": 1, "n": 1}}, {"spec": {"n": 2}}, True)
    assert [fault.message for fault in faults] == ["Invalid value: too small", "Invalid value: n fell to 1"]


def test_a_rule_that_does_not_compile_is_named_with_its_place() -> None:
    schema = {"type": "object", "x-kubernetes-validations": [{"rule": "self. >"}]}
    with pytest.raises(RuleError, match=r"openAPIV3Schema.x-kubernetes-validations\[0\].rule: compilation failed"):
        rule_tree(schema)


def test_times_in_protobuf_are_rfc_3339() -> None:
    moment = int(datetime(2030, 1, 1, tzinfo=UTC).timestamp())
    encoded = bytes([0x08]) + _varint(moment)
    metadata = b"\x0a\x01a\x42" + bytes([len(encoded)]) + encoded
    inner = b"\x0a" + bytes([len(metadata)]) + metadata
    about = b"\x0a\x02v1\x12\x09ConfigMap"
    body = b"k8s\x00\x0a" + bytes([len(about)]) + about + b"\x12" + bytes([len(inner)]) + inner
    assert decode_body(body)["metadata"]["creationTimestamp"] == "2030-01-01T00:00:00Z"


def _varint(value: int) -> bytes:
    found = b""
    while value > 0x7F:
        found += bytes([value & 0x7F | 0x80])
        value >>= 7
    return found + bytes([value])
