"""In which order a StatefulSet's pods come, go and are replaced, for every course of events."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kubernaut.devcluster.workloads.changes import Create, Delete, Merge, SetStatus, Turn
from kubernaut.devcluster.workloads.statefulset import REVISION, StatefulSetFacts, decide_stateful_set

from .worlds import NOW, meta, text

Object = dict[str, Any]
UID = "sts-uid"


@dataclass
class Play:
    """A StatefulSet and what became of it; pods do as they are told."""

    replicas: int = 3
    policy: str = "OrderedReady"
    strategy: Object = field(default_factory=lambda: {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})
    image: str = "a:1"
    claims: tuple[Object, ...] = ()
    pods: dict[str, Object] = field(default_factory=dict[str, Object])
    revisions: dict[str, Object] = field(default_factory=dict[str, Object])
    volumes: dict[str, Object] = field(default_factory=dict[str, Object])
    status: Object = field(default_factory=dict[str, Any])
    generation: int = 1

    def owner(self) -> Object:
        return {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": meta("web", UID, generation=self.generation),
            "spec": {
                "replicas": self.replicas,
                "podManagementPolicy": self.policy,
                "updateStrategy": self.strategy,
                "serviceName": "web",
                "selector": {"matchLabels": {"app": "a"}},
                "template": {
                    "metadata": {"labels": {"app": "a"}},
                    "spec": {"containers": [{"name": "c", "image": self.image}]},
                },
                "volumeClaimTemplates": list(self.claims),
            },
            "status": self.status,
        }

    def turn(self) -> Turn:
        facts = StatefulSetFacts(
            NOW, self.owner(), list(self.pods.values()), list(self.revisions.values()), list(self.volumes.values())
        )
        turn = decide_stateful_set(facts)
        for change in turn.changes:
            match change:
                case Create("pods", body):
                    assert body["metadata"]["name"] not in self.pods, "an ordinal has one pod"
                    self.pods[body["metadata"]["name"]] = {**body, "status": {"phase": "Pending"}}
                case Create("persistentvolumeclaims", body):
                    self.volumes[body["metadata"]["name"]] = body
                case Create(_, body):
                    self.revisions[body["metadata"]["name"]] = body
                case Delete("pods", _, name):
                    self.pods[name]["metadata"]["deletionTimestamp"] = text()
                case Merge("controllerrevisions.apps", _, name, patch):
                    self.revisions[name] = {**self.revisions[name], **patch}
                case SetStatus(_, _, _, status):
                    self.status = dict(status)
                case _:
                    pass
        return turn

    def wake(self, name: str, *, ready: bool = True) -> None:
        condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": text(30)}
        self.pods[name]["status"] = {"phase": "Running", "conditions": [condition]}

    def settle(self) -> None:
        for _ in range(100):
            for name, pod in list(self.pods.items()):
                if pod["metadata"].get("deletionTimestamp"):
                    del self.pods[name]
                elif pod["status"]["phase"] != "Failed":
                    self.wake(name)
            if not self.turn().changes:
                return
        raise AssertionError("it never comes to rest")

    def images(self) -> dict[int, str]:
        found = {ordinal(name): pod["spec"]["containers"][0]["image"] for name, pod in self.pods.items()}
        return dict(sorted(found.items()))

    def is_well(self, name: str) -> bool:
        pod = self.pods[name]
        conditions = pod["status"].get("conditions", [])
        return not pod["metadata"].get("deletionTimestamp") and any(c["status"] == "True" for c in conditions)


def ordinal(name: str) -> int:
    return int(name.rpartition("-")[2])


def created(turn: Turn) -> list[int]:
    pods = [c for c in turn.changes if isinstance(c, Create) and c.resource == "pods"]
    return [ordinal(c.body["metadata"]["name"]) for c in pods]


def deleted(turn: Turn) -> list[int]:
    return [ordinal(c.name) for c in turn.changes if isinstance(c, Delete) and c.resource == "pods"]


EVENT = st.one_of(
    st.tuples(st.sampled_from(["ready", "unready", "die", "gone"]), st.integers(0, 5)),
    st.tuples(st.just("scale"), st.integers(0, 5)),
    st.tuples(st.just("image"), st.integers(1, 3)),
)


def happen(play: Play, event: tuple[str, int]) -> None:
    what, number = event
    name = f"web-{number}"
    match what:
        case "scale":
            play.replicas, play.generation = number, play.generation + 1
        case "image":
            play.image, play.generation = f"a:{number}", play.generation + 1
        case _ if name not in play.pods:
            pass
        case "ready" | "unready":
            play.wake(name, ready=what == "ready")
        case "die":
            play.pods[name]["status"] = {"phase": "Failed"}
        case _:
            if play.pods[name]["metadata"].get("deletionTimestamp"):
                del play.pods[name]


@given(st.lists(EVENT, max_size=40))
def test_ordered_pods_come_and_go_one_at_a_time(events: list[tuple[str, int]]) -> None:
    play = Play()
    for event in events:
        happen(play, event)
        well = {ordinal(name) for name in play.pods if play.is_well(name)}
        there = {ordinal(name) for name in play.pods}
        turn = play.turn()
        came, went = created(turn), deleted(turn)
        assert len(came) + len(went) <= 1
        for n in came:
            assert n < play.replicas
            assert set(range(n)) <= well, "all before it are well"
        for n in went:
            name = f"web-{n}"
            if n >= play.replicas:
                assert n == max(there), "the highest goes first"
                assert set(range(play.replicas)) <= well
            elif play.pods[name]["status"]["phase"] != "Failed":
                assert set(range(n + 1, play.replicas)) <= well, "all above it are replaced and well"
                assert play.pods[name]["metadata"]["labels"][REVISION] != play.status["updateRevision"]


@given(st.lists(EVENT, max_size=30), st.sampled_from(["OrderedReady", "Parallel"]))
def test_left_alone_it_reaches_what_is_wanted(events: list[tuple[str, int]], policy: str) -> None:
    play = Play(policy=policy)
    for event in events:
        happen(play, event)
        play.turn()
    play.settle()
    assert play.images() == dict.fromkeys(range(play.replicas), play.image)
    status = play.status
    assert status["observedGeneration"] == play.generation
    assert status["currentRevision"] == status["updateRevision"]
    for count in ("replicas", "readyReplicas", "availableReplicas", "currentReplicas", "updatedReplicas"):
        assert status.get(count, 0) == play.replicas


def test_pods_come_from_the_lowest_ordinal_and_go_from_the_highest() -> None:
    play, came, went = Play(replicas=4), list[int](), list[int]()
    for wanted in (4, 1):
        play.replicas = wanted
        for _ in range(12):
            turn = play.turn()
            came += created(turn)
            went += deleted(turn)
            for name, pod in list(play.pods.items()):
                if pod["metadata"].get("deletionTimestamp"):
                    del play.pods[name]
                else:
                    play.wake(name)
    assert (came, went) == ([0, 1, 2, 3], [3, 2, 1])


def test_a_pod_that_ails_holds_up_those_below_it() -> None:
    play = Play(replicas=3)
    play.settle()
    play.replicas = 0
    for name in ("web-1", "web-2"):
        play.wake(name, ready=False)
    assert deleted(play.turn()) == [], "the highest waits for itself, unless it is the only one that ails"
    play.wake("web-1")
    assert deleted(play.turn()) == [2]


def test_parallel_pods_come_at_once() -> None:
    assert created(Play(policy="Parallel").turn()) == [0, 1, 2]


def test_an_update_stops_at_the_partition_and_pods_below_it_come_back_as_they_were() -> None:
    play = Play(strategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 2}})
    play.settle()
    play.image = "a:2"
    play.settle()
    assert play.images() == {0: "a:1", 1: "a:1", 2: "a:2"}
    assert play.status["currentRevision"] != play.status["updateRevision"]
    del play.pods["web-0"], play.pods["web-2"]
    play.settle()
    assert play.images() == {0: "a:1", 1: "a:1", 2: "a:2"}


def test_on_delete_waits_for_somebody_to_delete() -> None:
    play = Play(strategy={"type": "OnDelete"})
    play.settle()
    play.image = "a:2"
    play.settle()
    assert set(play.images().values()) == {"a:1"}
    del play.pods["web-1"]
    play.settle()
    assert play.images()[1] == "a:2"


def test_a_template_of_before_is_the_revision_of_before() -> None:
    play = Play()
    play.settle()
    first = play.status["updateRevision"]
    play.image = "a:2"
    play.settle()
    play.image = "a:1"
    play.settle()
    assert play.status["updateRevision"] == first
    assert len(play.revisions) == 2
    assert max(play.revisions.values(), key=lambda revision: revision["revision"])["metadata"]["name"] == first


def test_each_pod_has_its_name_its_host_and_claims_that_stay() -> None:
    play = Play(replicas=1, claims=({"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}},))
    play.settle()
    pod = play.pods["web-0"]
    assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("web-0", "web")
    assert pod["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] == "web-0"
    claim = {"claimName": "data-web-0"}
    assert {"name": "data", "persistentVolumeClaim": claim} in pod["spec"]["volumes"]
    play.replicas = 0
    play.settle()
    assert (play.pods, set(play.volumes)) == ({}, {"data-web-0"})
