"""Definitions of custom resources, and what holds for their objects."""

from collections.abc import AsyncIterator
from secrets import token_hex
from typing import Any

import pytest

from kubernaut.concurrency import SystemClock

from .api import APPLY, JSON_PATCH, STRATEGIC, Api, Json
from .objects import definition, eventually, until


class Things:
    """A custom kind of its own for one test."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.group = f"t{token_hex(3)}.example.com"
        self.path = f"{self.group}/v1/things"
        self.crd = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.{self.group}"

    def thing(self, name: str = "t", **spec: Any) -> Json:
        return {
            "apiVersion": f"{self.group}/v1",
            "kind": "Thing",
            "metadata": {"name": name},
            "spec": {"mode": "a", **spec},
        }

    async def serve(self) -> None:
        body = definition(self.group.partition(".")[0])
        root = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        assert (await self.api.post(root, body)).code == 201
        # Established is not yet served everywhere: a real server needs a moment more.
        await eventually(self.api, self.path, 200)
        clock = SystemClock()
        while (await self.api.post(f"{self.path}?dryRun=All", self.thing("probe"))).code != 201:
            await clock.sleep(0.05)


@pytest.fixture
async def things(cluster: Api) -> AsyncIterator[Things]:
    made = Things(cluster)
    await made.serve()
    yield made
    await cluster.delete(made.crd)


async def test_custom_resources_get_defaults_and_lose_unknown_fields(cluster: Api, things: Things) -> None:
    body = things.thing(bogus=1, extra={"any": {"thing": [1]}}, port="http")
    made = await cluster.post(things.path, body)
    assert made.code == 201
    assert made.body["spec"] == {
        "mode": "a",
        "size": 1,
        "extra": {"any": {"thing": [1]}},
        "port": "http",
    }
    assert made.headers["Warning"] == '299 - "unknown field \\"spec.bogus\\""'
    strict = await cluster.post(f"{things.path}?fieldValidation=Strict", things.thing("s", bogus=1))
    assert strict.code == 400
    assert 'strict decoding error: unknown field "spec.bogus"' in strict.message


@pytest.mark.parametrize(
    ("spec", "field", "reason", "message"),
    [
        (
            {"mode": "z"},
            "spec.mode",
            "FieldValueNotSupported",
            'Unsupported value: "z": supported values: "a", "b", "c"',
        ),
        (
            {"size": "x"},
            "spec.size",
            "FieldValueTypeInvalid",
            'Invalid value: "string": spec.size in body must be of type integer: "string"',
        ),
        (
            {"size": 10},
            "spec.size",
            "FieldValueInvalid",
            "Invalid value: 10: spec.size in body should be less than or equal to 9",
        ),
        ({"fixed": "x" * 11}, "spec.fixed", "FieldValueTooLong", "Too long: may not be more than 10 bytes"),
        ({"mode": "c"}, "spec", "FieldValueInvalid", "Invalid value: c needs extra"),
        (
            {"steps": [{"name": "a"}, {"name": "a"}]},
            "spec.steps[1]",
            "FieldValueDuplicate",
            'Duplicate value: {"name":"a"}',
        ),
        ({"steps": [{"times": 1}]}, "spec.steps[0].name", "FieldValueRequired", "Required value"),
        (
            {"steps": [{"name": str(n)} for n in range(6)]},
            "spec.steps",
            "FieldValueTooMany",
            "Too many: 6: must have at most 5 items",
        ),
    ],
)
async def test_custom_resources_that_break_their_schema_are_refused(
    cluster: Api, things: Things, spec: Json, field: str, reason: str, message: str
) -> None:
    refused = await cluster.post(things.path, things.thing(**spec))
    assert refused.code == 422
    assert refused.causes[0] == (field, reason, message)


async def test_transition_rules_compare_with_the_stored_object(cluster: Api, things: Things) -> None:
    await cluster.post(things.path, things.thing(fixed="x"))
    refused = await cluster.patch(f"{things.path}/t", {"spec": {"fixed": "y"}})
    assert refused.causes[0][0] == "spec.fixed"
    assert refused.causes[0][2].endswith("may not change")
    assert (await cluster.patch(f"{things.path}/t", {"spec": {"size": 2}})).code == 200


async def test_status_and_spec_of_custom_resources_are_written_apart(cluster: Api, things: Things) -> None:
    body = {**things.thing(), "status": {"phase": "Early"}}
    made = await cluster.post(things.path, body)
    assert "status" not in made.body
    patch = {"status": {"phase": "Late"}, "spec": {"size": 5}, "metadata": {"labels": {"a": "b"}}}
    told = await cluster.patch(f"{things.path}/t/status", patch)
    assert told.body["status"] == {"phase": "Late"}
    assert told.body["spec"]["size"] == 1
    assert "labels" not in told.body["metadata"]
    assert told.body["metadata"]["generation"] == 1
    changed = await cluster.patch(f"{things.path}/t", {**patch, "status": {"phase": "No"}})
    assert changed.body["status"] == {"phase": "Late"}
    assert changed.body["metadata"]["generation"] == 2


async def test_updates_of_custom_resources_need_a_version(cluster: Api, things: Things) -> None:
    await cluster.post(things.path, things.thing())
    refused = await cluster.put(f"{things.path}/t", things.thing(size=3))
    assert refused.code == 422
    assert refused.causes[0][:2] == ("metadata.resourceVersion", "FieldValueInvalid")


async def test_custom_resources_have_no_strategic_patch(cluster: Api, things: Things) -> None:
    await cluster.post(things.path, things.thing())
    assert (await cluster.patch(f"{things.path}/t", {"spec": {"size": 3}}, STRATEGIC)).code == 415


async def test_tables_of_custom_resources_have_the_columns_of_their_definition(
    cluster: Api, things: Things
) -> None:
    await cluster.post(things.path, things.thing())
    table = await cluster.get(things.path, Accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    assert [column["name"] for column in table.body["columnDefinitions"]] == ["Name", "Mode"]
    assert [row["cells"] for row in table.body["rows"]] == [["t", "a"]]


async def test_custom_resources_go_with_their_definition(cluster: Api, things: Things) -> None:
    await cluster.post(things.path, things.thing())
    assert (await cluster.delete(things.crd)).code == 200
    await eventually(cluster, things.crd, 404)
    await eventually(cluster, things.path, 404)


# -- definitions -----------------------------------------------------------------------------------

ROOT = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def changed(cluster: Api, **schema: Any) -> Json:
    """A definition whose spec has one property more or another one."""
    body = definition(cluster.namespace)
    root = body["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    root["properties"]["spec"]["properties"] |= schema
    return body


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"more": {}}, "type: Required value"),
        ({"more": {"type": "list"}}, 'Unsupported value: "list"'),
        ({"more": {"type": "string", "default": 3}}, "default: Invalid value"),
        ({"more": {"type": "array"}}, "items: Required value"),
        (
            {"more": {"type": "string", "x-kubernetes-validations": [{"rule": "self.size( > 3"}]}},
            "compilation failed",
        ),
    ],
)
async def test_a_definition_with_a_bad_schema_is_refused(cluster: Api, schema: Json, words: str) -> None:
    refused = await cluster.post(f"{ROOT}?dryRun=All", changed(cluster, **schema))
    assert (refused.code, refused.body["reason"]) == (422, "Invalid")
    assert words in refused.message


async def test_a_definition_is_named_by_plural_and_group(cluster: Api) -> None:
    body = changed(cluster)
    body["metadata"]["name"] = "other.example.com"
    refused = await cluster.post(f"{ROOT}?dryRun=All", body)
    assert refused.code == 422
    assert refused.causes[0][0] == "metadata.name"


async def test_a_definition_stores_one_version(cluster: Api) -> None:
    body = changed(cluster)
    body["spec"]["versions"][0]["storage"] = False
    refused = await cluster.post(f"{ROOT}?dryRun=All", body)
    assert refused.code == 422
    assert "must have exactly one version marked as storage version" in refused.message


async def test_a_definition_says_when_it_is_served(cluster: Api, things: Things) -> None:
    status = (await cluster.get(things.crd)).body["status"]
    conditions = {condition["type"]: condition["status"] for condition in status["conditions"]}
    assert (conditions["NamesAccepted"], conditions["Established"]) == ("True", "True")
    assert status["acceptedNames"] == {
        "plural": "things",
        "singular": "thing",
        "kind": "Thing",
        "listKind": "ThingList",
    }
    assert status["storedVersions"] == ["v1"]


# -- objects ---------------------------------------------------------------------------------------


async def test_what_was_wrong_before_may_stay_while_the_rest_changes(cluster: Api, things: Things) -> None:
    await cluster.post(things.path, things.thing(size=5))
    path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/size/maximum"
    await cluster.patch(things.crd, [{"op": "replace", "path": path, "value": 3}], JSON_PATCH)

    async def is_known() -> bool:
        return (await cluster.post(f"{things.path}?dryRun=All", things.thing("new", size=5))).code == 422

    await until(is_known)
    assert (await cluster.patch(f"{things.path}/t", {"spec": {"mode": "b"}})).code == 200
    assert (await cluster.patch(f"{things.path}/t", {"spec": {"size": 4}})).code == 422


async def test_items_of_a_list_map_belong_to_whoever_applied_them(cluster: Api, things: Things) -> None:
    def with_steps(*names: str) -> Json:
        return {**things.thing(), "spec": {"mode": "a", "steps": [{"name": name} for name in names]}}

    await cluster.patch(f"{things.path}/t?fieldManager=one", with_steps("a", "b"), APPLY)
    both = await cluster.patch(f"{things.path}/t?fieldManager=two", with_steps("c"), APPLY)
    assert [step["name"] for step in both.body["spec"]["steps"]] == ["a", "b", "c"]
    left = await cluster.patch(f"{things.path}/t?fieldManager=one", with_steps("b"), APPLY)
    assert [step["name"] for step in left.body["spec"]["steps"]] == ["b", "c"]


async def test_nulls_give_way_to_defaults(cluster: Api, things: Things) -> None:
    made = await cluster.post(things.path, things.thing(size=None))
    assert made.body["spec"]["size"] == 1


async def test_a_custom_resource_is_found_by_name_only(cluster: Api, things: Things) -> None:
    await cluster.post(things.path, things.thing())
    assert (await cluster.get(f"{things.path}?fieldSelector=metadata.name%3Dt")).names == ["t"]
    refused = await cluster.get(f"{things.path}?fieldSelector=spec.mode%3Da")
    assert refused.code == 400


async def test_items_of_custom_lists_say_what_they_are(cluster: Api, things: Things) -> None:
    await cluster.post(things.path, things.thing())
    listed = await cluster.get(things.path)
    assert listed.body["kind"] == "ThingList"
    assert listed.body["items"][0]["kind"] == "Thing"


def ruled(suffix: str, rule: str, **more: Any) -> Json:
    body = definition(suffix)
    spec = body["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["x-kubernetes-validations"] = [{"rule": rule, "message": "no", **more}]
    names = {"type": "object", "maxProperties": 3, "additionalProperties": {"type": "string", "maxLength": 9}}
    spec["properties"] |= {"a-b": {"type": "string", "maxLength": 9}, "labels": names}
    return body


UNKNOWN = [
    "self.nothing == 1",
    "has(self.steps) && self.steps.all(s, s.nothing == 'a')",
    "has(self.nothing)",
    "self.mode == 'a' || oldSelf.nothing == 'b'",
    "self.steps.filter(s, s.times > 1).exists(s, s.time == 2)",
    "self.steps[0].nothing == 1",
    "self.metadata.name == 'a'",
    "self.extra.some == 1",
    "self.a_b == 'x'",
]
KNOWN = [
    "self.mode != 'z'",
    "!has(self.steps) || self.steps.all(s, s.name != 'x')",
    "!has(self.labels) || self.labels.all(key, key != 'x' && self.labels[key] != 'y')",
    "!has(self.labels) || !has(self.labels.anything)",
    "!has(self.a__dash__b) || self.a__dash__b != 'x'",
    "!has(self.steps) || self.steps.map(s, s.name).all(name, name.size() < 9)",
]


async def test_a_rule_that_names_a_field_that_is_not_there_is_refused(cluster: Api) -> None:
    path, suffix = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?dryRun=All", cluster.namespace
    for rule in UNKNOWN:
        refused = await cluster.post(path, ruled(suffix, rule))
        assert (rule, refused.code) == (rule, 422)
        assert "compilation failed: ERROR: <input>:1:" in refused.message, rule
        assert "undefined field" in refused.message, (rule, refused.message)
    refused = await cluster.post(path, ruled(suffix, "self.mode == 'a' ||\n has(self.nothing)"))
    told = "compilation failed: ERROR: <input>:2:5: undefined field 'nothing'\n |  has(self.nothing)\n | ....^"
    assert told in refused.message


async def test_a_rule_may_name_what_the_schema_has(cluster: Api) -> None:
    for rule in KNOWN:
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?dryRun=All"
        made = await cluster.post(path, ruled(cluster.namespace, rule))
        assert (rule, made.code) == (rule, 201), made.message
