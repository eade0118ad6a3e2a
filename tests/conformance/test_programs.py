"""What becomes of a pod's programs: exit codes, messages, restarts, order, and how they are told to stop."""

import pytest

from .api import Json
from .programs import FOR_EVER, MESSAGE_FILE, STUBBORN, container
from .work import Work, condition, ended, holds, is_ready


def only(pod: Json) -> Json:
    found: Json = pod["status"]["containerStatuses"][0]
    return found


async def run(work: Work, program: str, **spec: object) -> Json:
    """Until it is over."""
    await work.make("v1/pods", work.pod("p", program, **spec))
    return await work.until_phase("p", "Succeeded", "Failed")


# -- ends ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "phase", "reason"), [(0, "Succeeded", "Completed"), (1, "Failed", "Error"), (42, "Failed", "Error")]
)
async def test_the_exit_code_decides_and_is_told(work: Work, code: int, phase: str, reason: str) -> None:
    pod = await run(work, f"exit {code}")
    over = ended(pod)
    assert pod["status"]["phase"] == phase
    assert (over["exitCode"], over["reason"]) == (code, reason)
    assert over["startedAt"] <= over["finishedAt"]
    assert "message" not in over
    assert (only(pod)["ready"], only(pod)["started"], only(pod)["restartCount"]) == (False, False, 0)


async def test_a_pod_that_ended_is_not_ready_and_says_how_it_ended(work: Work) -> None:
    pod = await run(work, "exit 0")
    for type_ in ("Ready", "ContainersReady"):
        told = condition(pod, type_)
        assert (told["status"], told["reason"]) == ("False", "PodCompleted")
    assert condition(pod, "Initialized")["reason"] == "PodCompleted"
    assert holds(pod, "PodScheduled")


async def test_a_failed_pod_says_so_in_its_conditions(work: Work) -> None:
    pod = await run(work, "exit 1")
    told = condition(pod, "Ready")
    assert (told["status"], told["reason"]) == ("False", "PodFailed")


async def test_one_failure_among_several_containers_fails_the_pod(work: Work) -> None:
    containers = [container("exit 0", work.image), container("exit 2", work.image, "other")]
    pod = await run(work, "", containers=containers)
    assert pod["status"]["phase"] == "Failed"
    codes = {s["name"]: s["state"]["terminated"]["exitCode"] for s in pod["status"]["containerStatuses"]}
    assert codes == {"main": 0, "other": 2}


async def test_a_pod_runs_until_its_last_container_has_ended(work: Work) -> None:
    containers = [container("exit 1", work.image), container(FOR_EVER, work.image, "other")]
    await work.make("v1/pods", work.pod("p", containers=containers))
    pod = await work.until("v1/pods/p", lambda p: "terminated" in str(p["status"].get("containerStatuses")))
    assert pod["status"]["phase"] == "Running"
    told = condition(pod, "Ready")
    assert (told["reason"], told["message"]) == ("ContainersNotReady", "containers with unready status: [main]")


# -- messages --------------------------------------------------------------------------------------


async def test_what_a_container_writes_at_its_end_is_its_message(work: Work) -> None:
    pod = await run(work, f"echo because > {MESSAGE_FILE}; exit 1")
    assert ended(pod)["message"] == "because\n"


async def test_success_may_leave_a_message_too(work: Work) -> None:
    pod = await run(work, f"echo done > {MESSAGE_FILE}")
    assert ended(pod)["message"] == "done\n"


async def test_the_log_takes_the_place_of_a_missing_message_where_asked_for(work: Work) -> None:
    policy = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    pod = await run(work, "echo one; echo two; exit 1", container=policy)
    assert ended(pod)["message"] == "one\ntwo\n"


async def test_the_log_is_no_message_of_a_success(work: Work) -> None:
    policy = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    assert "message" not in ended(await run(work, "echo one", container=policy))


# -- restarts --------------------------------------------------------------------------------------

FAILS_ONCE = "test -e /state/x && exit 0; echo 1 > /state/x; exit 3"
STATE = {"volumeMounts": [{"name": "state", "mountPath": "/state"}]}
VOLUMES: list[Json] = [{"name": "state", "emptyDir": {}}]


async def test_on_failure_a_container_is_started_again_in_place(work: Work) -> None:
    pod = await run(work, FAILS_ONCE, restartPolicy="OnFailure", container=STATE, volumes=VOLUMES)
    assert pod["status"]["phase"] == "Succeeded"
    assert only(pod)["restartCount"] == 1
    assert only(pod)["lastState"]["terminated"]["exitCode"] == 3


async def test_never_means_never(work: Work) -> None:
    pod = await run(work, FAILS_ONCE, container=STATE, volumes=VOLUMES)
    assert (pod["status"]["phase"], only(pod)["restartCount"]) == ("Failed", 0)
    assert only(pod)["lastState"] == {}


async def test_always_means_after_a_success_too(work: Work) -> None:
    await work.make("v1/pods", work.pod("p", "exit 0", restartPolicy="Always"))
    pod = await work.until("v1/pods/p", lambda p: only(p)["restartCount"] >= 1)
    assert pod["status"]["phase"] == "Running"
    assert only(pod)["lastState"]["terminated"]["reason"] == "Completed"


async def test_a_container_that_keeps_failing_is_backed_off(work: Work) -> None:
    await work.make("v1/pods", work.pod("p", "exit 1", restartPolicy="Always"))
    pod = await work.until("v1/pods/p", lambda p: "waiting" in only(p)["state"] and only(p)["restartCount"] >= 1)
    waiting = only(pod)["state"]["waiting"]
    meta = pod["metadata"]
    assert waiting["reason"] == "CrashLoopBackOff"
    named = f"container=main pod=p_{meta['namespace']}({meta['uid']})"
    assert waiting["message"] == f"back-off 10s restarting failed {named}"
    assert pod["status"]["phase"] == "Running"


async def test_an_image_that_cannot_be_pulled_keeps_the_pod_waiting(work: Work) -> None:
    await work.make("v1/pods", work.pod("p", container={"image": "127.0.0.1:1/does-not-exist:1"}))
    pod = await work.until("v1/pods/p", lambda p: only(p)["state"]["waiting"]["reason"] == "ImagePullBackOff")
    assert pod["status"]["phase"] == "Pending"
    start = 'Back-off pulling image "127.0.0.1:1/does-not-exist:1": ErrImagePull: '
    assert only(pod)["state"]["waiting"]["message"].startswith(start)


async def test_a_missing_config_map_keeps_the_container_waiting_until_it_is_there(work: Work) -> None:
    value = {"configMapKeyRef": {"name": "settings", "key": "said"}}
    body = work.pod("p", "echo $SAID", container={"env": [{"name": "SAID", "valueFrom": value}]})
    await work.make("v1/pods", body)
    reason = "CreateContainerConfigError"
    pod = await work.until("v1/pods/p", lambda p: only(p)["state"]["waiting"]["reason"] == reason)
    assert only(pod)["state"]["waiting"]["message"] == 'configmap "settings" not found'
    await work.make("v1/configmaps", {"metadata": {"name": "settings"}, "data": {"said": "hello"}})
    await work.until_phase("p", "Succeeded")
    assert (await work.api.get("v1/pods/p/log")).body == "hello\n"


# -- init containers -------------------------------------------------------------------------------


async def test_init_containers_run_one_after_the_other_before_the_others(work: Work) -> None:
    """Each needs what the one before has left."""
    first = container("sleep 1; echo 1 > /state/first", work.image, "first", **STATE)
    second = container("test -e /state/first || exit 1; echo 2 > /state/second", work.image, "second", **STATE)
    main = "test -e /state/second || exit 1"
    pod = await run(work, main, container=STATE, volumes=VOLUMES, initContainers=[first, second])
    assert pod["status"]["phase"] == "Succeeded"
    statuses = pod["status"]["initContainerStatuses"]
    assert [(s["name"], s["state"]["terminated"]["reason"]) for s in statuses] == [
        ("first", "Completed"),
        ("second", "Completed"),
    ]
    assert all(s["ready"] for s in statuses)


async def test_while_init_containers_run_the_others_wait(work: Work) -> None:
    slow = container(FOR_EVER, work.image, "slow")
    await work.make("v1/pods", work.pod("p", initContainers=[slow]))
    pod = await work.until("v1/pods/p", lambda p: "running" in p["status"]["initContainerStatuses"][0]["state"])
    assert pod["status"]["phase"] == "Pending"
    assert only(pod)["state"] == {"waiting": {"reason": "PodInitializing"}}
    told = condition(pod, "Initialized")
    assert (told["status"], told["reason"]) == ("False", "ContainersNotInitialized")
    assert told["message"] == "containers with incomplete status: [slow]"


async def test_a_failed_init_container_fails_a_pod_that_is_not_restarted(work: Work) -> None:
    pod = await run(work, "exit 0", initContainers=[container("exit 5", work.image, "first")])
    assert pod["status"]["phase"] == "Failed"
    assert pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 5
    assert only(pod)["state"] == {"waiting": {"reason": "PodInitializing"}}


async def test_a_failed_init_container_is_started_again_otherwise(work: Work) -> None:
    first = container(FAILS_ONCE, work.image, "first", **STATE)
    pod = await run(work, "exit 0", restartPolicy="OnFailure", volumes=VOLUMES, initContainers=[first])
    assert pod["status"]["phase"] == "Succeeded"
    assert pod["status"]["initContainerStatuses"][0]["restartCount"] == 1


# -- stopping --------------------------------------------------------------------------------------


async def test_a_deleted_pod_may_finish_what_it_is_doing(work: Work) -> None:
    program = "trap 'echo told; sleep 1; echo over; exit 0' TERM; echo begun; sleep 100000 & wait"
    body = work.pod("p", program, terminationGracePeriodSeconds=20, metadata={"finalizers": ["example.com/look"]})
    await work.make("v1/pods", body)
    await work.until_ready("p")
    answer = await work.api.delete("v1/pods/p")
    assert answer.body["metadata"]["deletionGracePeriodSeconds"] == 20
    pod = await work.until("v1/pods/p", lambda p: ended(p))
    assert (ended(pod)["exitCode"], ended(pod)["reason"]) == (0, "Completed")
    await work.patch("v1/pods/p", metadata={"finalizers": None})
    await work.until_gone("v1/pods/p")


async def test_a_deleted_pod_that_does_not_end_is_killed_after_its_grace(work: Work) -> None:
    body = work.pod("p", STUBBORN, terminationGracePeriodSeconds=2, metadata={"finalizers": ["example.com/look"]})
    await work.make("v1/pods", body)
    await work.until_ready("p")
    await work.api.delete("v1/pods/p")
    pod = await work.until("v1/pods/p", lambda p: ended(p))
    assert (ended(pod)["exitCode"], ended(pod)["reason"]) == (137, "Error")
    assert pod["status"]["phase"] == "Failed"
    await work.patch("v1/pods/p", metadata={"finalizers": None})
    await work.until_gone("v1/pods/p")


async def test_without_grace_a_pod_is_gone_at_once(work: Work) -> None:
    await work.make("v1/pods", work.pod("p", STUBBORN))
    await work.until_ready("p")
    await work.api.delete("v1/pods/p", {"gracePeriodSeconds": 0})
    assert (await work.api.get("v1/pods/p")).code == 404


async def test_a_pod_that_waits_for_a_node_is_gone_at_once(work: Work) -> None:
    await work.make("v1/pods", work.pod("p", schedulerName="nobody"))
    await work.api.delete("v1/pods/p")
    assert (await work.api.get("v1/pods/p")).code == 404


async def test_a_pod_past_its_own_deadline_fails(work: Work) -> None:
    pod = await run(work, FOR_EVER, activeDeadlineSeconds=2)
    assert pod["status"]["phase"] == "Failed"
    assert pod["status"]["reason"] == "DeadlineExceeded"
    assert pod["status"]["message"] == "Pod was active on the node longer than the specified deadline"


async def test_a_running_pod_has_an_address_and_is_ready(work: Work) -> None:
    await work.make("v1/pods", work.pod("p"))
    pod = await work.until("v1/pods/p", is_ready)
    assert pod["status"]["podIP"] == pod["status"]["podIPs"][0]["ip"]
    assert pod["status"]["qosClass"] == "BestEffort"
    assert only(pod)["state"]["running"]["startedAt"]
    for type_ in ("PodScheduled", "Initialized", "ContainersReady", "Ready", "PodReadyToStartContainers"):
        assert holds(pod, type_)


async def test_a_pod_with_a_readiness_gate_is_ready_when_somebody_says_so(work: Work) -> None:
    gate = "example.com/told"
    await work.make("v1/pods", work.pod("p", readinessGates=[{"conditionType": gate}]))
    pod = await work.until("v1/pods/p", lambda p: holds(p, "ContainersReady"))
    told = condition(pod, "Ready")
    assert (told["status"], told["reason"]) == ("False", "ReadinessGatesNotReady")
    assert told["message"] == f'corresponding condition of pod readiness gate "{gate}" does not exist.'
    said = {"status": {"conditions": [{"type": gate, "status": "True"}]}}
    answer = await work.api.patch("v1/pods/p/status", said, "application/strategic-merge-patch+json")
    assert answer.code == 200
    await work.until_ready("p")
