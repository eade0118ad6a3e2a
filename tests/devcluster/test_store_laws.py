"""Laws of the store, for any sequence of writes."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubernaut.devcluster.errors import AlreadyExists, ApiError, Conflict, Gone, Invalid, NotFound
from kubernaut.devcluster.housekeeping.garbage import GarbageCollector
from kubernaut.devcluster.kinds.catalogue import builtin_catalogue
from kubernaut.devcluster.ledger import Change
from kubernaut.devcluster.objects import copied
from kubernaut.devcluster.resources import CONFIG_MAPS, DEPLOYMENTS, PODS, Propagation
from kubernaut.devcluster.store import Store, Write

NAMES = ("a", "b", "c")
FINALIZER = "example.com/hold"

Step = tuple[str, str, str]
steps = st.lists(
    st.tuples(
        st.sampled_from(["create", "update", "label", "hold", "release", "delete", "stale"]),
        st.sampled_from(NAMES),
        st.sampled_from(["1", "2"]),
    ),
    max_size=25,
)


law = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
CATALOGUE = builtin_catalogue()


def fresh() -> Store:
    return Store(CATALOGUE, lambda: datetime(2030, 1, 1, tzinfo=UTC))


def body(name: str, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **more}, "data": {"x": "0"}}


def carry_out(store: Store, step: Step) -> None:
    word, name, value = step
    changes: dict[str, Callable[[], object]] = {
        "create": lambda: store.create(CONFIG_MAPS, body(name), "default"),
        "update": lambda: store.patch(CONFIG_MAPS, name, "default", {"data": {"x": value}}),
        "label": lambda: store.patch(CONFIG_MAPS, name, "default", {"metadata": {"labels": {"l": value}}}),
        "hold": lambda: store.patch(CONFIG_MAPS, name, "default", {"metadata": {"finalizers": [FINALIZER]}}),
        "release": lambda: store.patch(CONFIG_MAPS, name, "default", {"metadata": {"finalizers": None}}),
        "delete": lambda: store.delete(CONFIG_MAPS, name, "default"),
        "stale": lambda: store.update(
            CONFIG_MAPS, {"metadata": {"name": name, "namespace": "default", "resourceVersion": "1"}}
        ),
    }
    try:
        changes[word]()
    except ApiError:
        return


def contents(store: Store) -> dict[str, Any]:
    return {obj["metadata"]["name"]: obj for obj in store.list(CONFIG_MAPS).items}


@pytest.mark.journey
@pytest.mark.timeout(60)
@law
@given(steps)
def test_whoever_follows_the_changes_knows_what_is_stored(plan: list[Step]) -> None:
    store = fresh()
    known: dict[str, Any] = {}
    versions: list[int] = []

    def follow(change: Change) -> None:
        name = change.object["metadata"]["name"]
        versions.append(change.version)
        assert change.type == ("ADDED" if name not in known else change.type)
        if change.type == "DELETED":
            del known[name]
        else:
            assert change.old is known.get(name)
            known[name] = change.object
        assert contents(store) == known

    store.subscribe(follow, [CONFIG_MAPS])
    for step in plan:
        carry_out(store, step)
    assert contents(store) == known
    assert versions == sorted(set(versions))


@pytest.mark.journey
@pytest.mark.timeout(60)
@law
@given(steps, steps)
def test_the_past_can_be_read_and_replayed(before: list[Step], after: list[Step]) -> None:
    store = fresh()
    for step in before:
        carry_out(store, step)
    then, picture = store.ledger.version, copied(contents(store))
    for step in after:
        carry_out(store, step)
    assert {o["metadata"]["name"]: o for o in store.ledger.as_of(CONFIG_MAPS, then)} == picture
    for change in store.ledger.since(CONFIG_MAPS, then):
        name = change.object["metadata"]["name"]
        if change.type == "DELETED":
            del picture[name]
        else:
            picture[name] = change.object
    assert picture == contents(store)


@pytest.mark.journey
@pytest.mark.timeout(60)
@law
@given(steps)
def test_what_was_handed_out_never_changes_afterwards(plan: list[Step]) -> None:
    store = fresh()
    seen: list[tuple[Any, Any]] = []
    store.subscribe(lambda change: seen.append((change.object, copied(change.object))))
    for step in plan:
        carry_out(store, step)
    assert all(shared == copy for shared, copy in seen)


@pytest.mark.journey
@pytest.mark.timeout(60)
@law
@given(steps)
def test_an_object_with_finalizers_is_never_removed(plan: list[Step]) -> None:
    store = fresh()
    removed: list[Any] = []

    def note(change: Change) -> None:
        if change.type == "DELETED":
            removed.append(change.object)

    store.subscribe(note)
    for step in plan:
        carry_out(store, step)
    assert not any(obj["metadata"].get("finalizers") for obj in removed)


@pytest.mark.journey
@pytest.mark.timeout(60)
@law
@given(steps)
def test_only_the_latest_version_may_be_replaced(plan: list[Step]) -> None:
    store = fresh()
    store.create(CONFIG_MAPS, body("a"), "default")
    read = store.get(CONFIG_MAPS, "a", "default")
    for step in plan:
        carry_out(store, step)
    now = store.find(CONFIG_MAPS, "a", "default")
    read["data"] = {"x": "mine"}
    if now is None:
        with pytest.raises(NotFound):
            store.update(CONFIG_MAPS, read)
    elif now["metadata"]["resourceVersion"] != read["metadata"]["resourceVersion"]:
        with pytest.raises(Conflict):
            store.update(CONFIG_MAPS, read)
    else:
        store.update(CONFIG_MAPS, read)


@pytest.mark.journey
@pytest.mark.timeout(60)
@law
@given(steps)
def test_a_dry_run_leaves_no_trace(plan: list[Step]) -> None:
    store = fresh()
    store.create(CONFIG_MAPS, body("a"), "default")
    before = copied(contents(store)), store.ledger.version
    dry = Write(dry_run=True)
    store.patch(CONFIG_MAPS, "a", "default", {"data": {"x": "9"}}, write=dry)
    store.create(CONFIG_MAPS, body("b"), "default", dry)
    store.delete(CONFIG_MAPS, "a", "default", write=dry)
    assert (contents(store), store.ledger.version) == before


# -- garbage ---------------------------------------------------------------------------------------

owners = st.dictionaries(st.integers(1, 7), st.lists(st.integers(0, 6), max_size=2, unique=True), max_size=7)


@pytest.mark.journey
@pytest.mark.timeout(60)
@law
@given(owners, st.integers(0, 7), st.sampled_from(["Background", "Foreground", "Orphan"]))
def test_after_collection_nobody_lives_whose_owners_have_all_gone(
    family: dict[int, list[int]], victim: int, propagation: Propagation
) -> None:
    store = fresh()
    garbage = GarbageCollector(store)
    uids: dict[int, str] = {}
    for number in range(8):
        references = [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "name": f"n{owner}",
                "uid": uids[owner],
                "blockOwnerDeletion": True,
            }
            for owner in family.get(number, [])
            if owner in uids
        ]
        obj = store.create(CONFIG_MAPS, body(f"n{number}", ownerReferences=references), "default")
        uids[number] = obj["metadata"]["uid"]
    garbage.collect()
    assert len(contents(store)) == 8
    had_owners = {name for name, o in contents(store).items() if o["metadata"].get("ownerReferences")}
    store.delete(CONFIG_MAPS, f"n{victim}", "default", propagation=propagation)
    garbage.collect()
    left = contents(store)
    assert f"n{victim}" not in left
    living = {obj["metadata"]["uid"] for obj in left.values()}
    for name, obj in left.items():
        references = obj["metadata"].get("ownerReferences", [])
        assert all(reference["uid"] in living for reference in references)
        if propagation != "Orphan" and name in had_owners:
            assert references
    if propagation == "Orphan":
        assert len(left) == 7


# -- single laws -----------------------------------------------------------------------------------


def test_a_watch_from_before_the_history_is_gone() -> None:
    store = Store(builtin_catalogue(), lambda: datetime(2030, 1, 1, tzinfo=UTC), history=3)
    store.create(CONFIG_MAPS, body("a"), "default")
    start = store.ledger.version
    for value in "12345":
        store.patch(CONFIG_MAPS, "a", "default", {"data": {"x": value}})
    with pytest.raises(Gone):
        store.ledger.since(CONFIG_MAPS, start)
    assert len(store.ledger.since(CONFIG_MAPS, store.ledger.version - 3)) == 3


def pod(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i:1"}], **spec}}


def test_a_pod_on_a_node_waits_for_the_node_to_end_it(store: Store) -> None:
    store.create(PODS, pod(nodeName="n"), "default")
    deleted = store.delete(PODS, "p", "default")
    assert not deleted.is_gone
    assert deleted.object["metadata"]["deletionGracePeriodSeconds"] == 30
    assert deleted.object["metadata"]["deletionTimestamp"] == "2030-01-01T00:00:30Z"
    longer = store.delete(PODS, "p", "default", grace=60)
    assert longer.object["metadata"]["deletionGracePeriodSeconds"] == 30
    shorter = store.delete(PODS, "p", "default", grace=5)
    assert shorter.object["metadata"]["deletionTimestamp"] == "2030-01-01T00:00:05Z"
    assert store.delete(PODS, "p", "default", grace=0).is_gone


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_goes_at_once(store: Store, phase: str) -> None:
    store.create(PODS, pod(nodeName="n"), "default")
    store.edit_status(PODS, "p", "default", lambda obj: obj["status"].update(phase=phase))
    assert store.delete(PODS, "p", "default").is_gone


def test_a_pod_without_a_node_goes_at_once(store: Store) -> None:
    store.create(PODS, pod(), "default")
    assert store.delete(PODS, "p", "default").is_gone


def test_a_pod_keeps_its_node(store: Store) -> None:
    store.create(PODS, pod(), "default")
    store.edit(PODS, "p", "default", lambda obj: obj["spec"].update(nodeName="one"))
    with pytest.raises(Invalid, match="pod updates may not change fields"):
        store.edit(PODS, "p", "default", lambda obj: obj["spec"].update(nodeName="two"))


def test_existing_names_and_unknown_kinds_are_errors(store: Store) -> None:
    store.create(CONFIG_MAPS, body("a"), "default")
    with pytest.raises(AlreadyExists):
        store.create(CONFIG_MAPS, body("a"), "default")
    with pytest.raises(NotFound):
        store.get("nonsense.example.com", "a", "default")


async def test_a_watch_in_process_hands_out_what_there_is_and_what_comes(store: Store) -> None:
    store.create(CONFIG_MAPS, body("a"), "default")
    async with store.watch(CONFIG_MAPS, initial=True) as changes:
        store.create(CONFIG_MAPS, body("b"), "default")
        store.delete(CONFIG_MAPS, "a", "default")
        seen = [(c.type, c.object["metadata"]["name"]) for c in [await anext(changes) for _ in range(3)]]
    assert seen == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a")]


def test_a_journal_brings_a_store_back() -> None:
    class Memory:
        def __init__(self) -> None:
            self.kept: dict[tuple[str, Any], Any] = {}
            self.version = 0

        def last_version(self) -> int:
            return self.version

        def append(self, change: Change) -> None:
            self.version = change.version
            if change.type == "DELETED":
                del self.kept[change.resource, change.place]
            else:
                self.kept[change.resource, change.place] = change.object

        def load(self) -> list[tuple[str, Any]]:
            return [(key[0], obj) for key, obj in self.kept.items()]

    memory = Memory()
    first = Store(builtin_catalogue(), lambda: datetime(2030, 1, 1, tzinfo=UTC), memory)
    first.create(CONFIG_MAPS, body("a"), "default")
    first.create(DEPLOYMENTS, _deployment(), "default")
    first.create(CONFIG_MAPS, body("gone"), "default")
    first.delete(CONFIG_MAPS, "gone", "default")
    second = Store(builtin_catalogue(), lambda: datetime(2030, 1, 1, tzinfo=UTC), memory)
    assert contents(second) == contents(first)
    later = second.patch(CONFIG_MAPS, "a", "default", {"data": {"x": "1"}})
    assert int(later["metadata"]["resourceVersion"]) > first.ledger.version


def _deployment() -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "i:1"}]},
    }
    return {
        "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template},
    }
