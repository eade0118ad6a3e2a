"""The log of a container: which part of it, and what is said where there is none."""

import asyncio
import re

from .api import Answer, Json
from .programs import FOR_EVER, container
from .work import Work

LATER = "echo early; sleep 10; echo late"


async def run(work: Work, program: str, **spec: object) -> None:
    await work.make("v1/pods", work.pod("p", program, **spec))
    await work.until_phase("p", "Succeeded", "Failed")


async def log(work: Work, **query: object) -> str:
    answer = await ask(work, **query)
    assert answer.code == 200, answer.body
    return str(answer.body)


async def ask(work: Work, **query: object) -> Answer:
    options = "&".join(f"{key}={value}" for key, value in query.items())
    return await work.api.get(f"v1/pods/p/log?{options}")


async def refusal(work: Work, **query: object) -> str:
    answer = await ask(work, **query)
    assert (answer.code, answer.body["reason"]) == (400, "BadRequest")
    return answer.message


async def test_a_log_is_what_the_container_wrote(work: Work) -> None:
    await run(work, "echo one; echo two; exit 3")
    answer = await ask(work)
    assert (answer.code, answer.body) == (200, "one\ntwo\n")
    assert answer.headers["Content-Type"] == "text/plain"


async def test_a_container_that_wrote_nothing_has_an_empty_log(work: Work) -> None:
    await run(work, "exit 0")
    assert await log(work) == ""


async def test_the_end_of_a_log(work: Work) -> None:
    await run(work, "echo one; echo two; echo three")
    assert await log(work, tailLines=2) == "two\nthree\n"
    assert await log(work, tailLines=0) == ""
    assert await log(work, tailLines=9) == "one\ntwo\nthree\n"


async def test_no_more_bytes_than_asked_for(work: Work) -> None:
    await run(work, "echo one; echo two; echo three")
    assert await log(work, limitBytes=6) == "one\ntw"
    assert await log(work, limitBytes=4, tailLines=1) == "thre"


async def test_lines_with_their_times(work: Work) -> None:
    await run(work, "echo one; echo two")
    lines = (await log(work, timestamps="true")).splitlines()
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z (one|two)", line) for line in lines)
    assert lines == sorted(lines)
    assert len(lines) == 2


async def test_only_what_was_written_since_a_moment(work: Work) -> None:
    await run(work, LATER)
    late = (await log(work, timestamps="true", tailLines=1)).split()[0]
    assert await log(work, sinceTime=f"{late[:19]}Z") == "late\n"
    assert await log(work, sinceTime="2020-01-01T00:00:00Z") == "early\nlate\n"


async def test_only_what_was_written_in_the_last_seconds(work: Work) -> None:
    await run(work, LATER)
    assert await log(work, sinceSeconds=9) == "late\n"
    assert await log(work, sinceSeconds=3600) == "early\nlate\n"


async def test_following_goes_on_until_the_container_ends(work: Work) -> None:
    await work.make("v1/pods", work.pod("p", "echo early; sleep 2; echo late"))
    await work.until("v1/pods/p", lambda p: "running" in str(p["status"].get("containerStatuses")))
    async with asyncio.TaskGroup() as group:
        followed = group.create_task(log(work, follow="true"))
        while not followed.done():
            await work.pause()
    assert followed.result() == "early\nlate\n"


async def test_following_what_has_ended_ends(work: Work) -> None:
    await run(work, "echo one; echo two")
    assert await log(work, follow="true", tailLines=1) == "two\n"


async def test_the_log_of_the_start_before(work: Work) -> None:
    state = {"volumeMounts": [{"name": "state", "mountPath": "/state"}]}
    volumes: list[Json] = [{"name": "state", "emptyDir": {}}]
    program = "test -e /state/x && sleep 100000; echo 1 > /state/x; echo first; exit 1"
    await work.make("v1/pods", work.pod("p", program, restartPolicy="OnFailure", container=state, volumes=volumes))
    await work.until("v1/pods/p", lambda p: p["status"]["containerStatuses"][0]["restartCount"] == 1)
    assert await log(work) == ""
    assert await log(work, previous="true") == "first\n"


async def test_there_is_no_log_of_a_start_before_the_first(work: Work) -> None:
    await run(work, "exit 0")
    said = await refusal(work, previous="true")
    assert said == 'previous terminated container "main" in pod "p" not found'


async def test_a_container_that_there_is_not(work: Work) -> None:
    await run(work, "exit 0")
    assert await refusal(work, container="other") == "container other is not valid for pod p"


async def test_of_several_containers_one_must_be_named(work: Work) -> None:
    containers = [container("echo one", work.image), container("echo two", work.image, "other")]
    await run(work, "", containers=containers)
    said = await refusal(work)
    assert said == "a container name must be specified for pod p, choose one of: [main other]"
    assert await log(work, container="other") == "two\n"


async def test_init_containers_have_logs_and_are_named_among_the_choices(work: Work) -> None:
    containers = [container("echo one", work.image), container("echo two", work.image, "other")]
    await run(work, "", containers=containers, initContainers=[container("echo init", work.image, "first")])
    assert await log(work, container="first") == "init\n"
    said = await refusal(work)
    assert said == "a container name must be specified for pod p, choose one of: [first main other]"


async def test_a_container_that_has_not_started_says_what_it_waits_for(work: Work) -> None:
    await work.make("v1/pods", work.pod("p", initContainers=[container(FOR_EVER, work.image, "first")]))
    await work.until("v1/pods/p", lambda p: "running" in p["status"]["initContainerStatuses"][0]["state"])
    said = await refusal(work, container="main")
    assert said == 'container "main" in pod "p" is waiting to start: PodInitializing'


async def test_a_container_whose_image_cannot_be_pulled_says_so(work: Work) -> None:
    await work.make("v1/pods", work.pod("p", container={"image": "127.0.0.1:1/does-not-exist:1"}))

    def is_told(pod: Json) -> bool:
        return bool(pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "ImagePullBackOff")

    await work.until("v1/pods/p", is_told)
    said = await refusal(work)
    assert said == 'container "main" in pod "p" is waiting to start: trying and failing to pull image'


async def test_a_pod_without_a_node_has_no_log_yet(work: Work) -> None:
    await work.make("v1/pods", work.pod("p", schedulerName="nobody"))
    answer = await ask(work)
    assert (answer.code, answer.body) == (204, "")


async def test_a_pod_that_there_is_not_has_no_log(work: Work) -> None:
    answer = await ask(work)
    assert (answer.code, answer.message) == (404, 'pods "p" not found')


async def test_a_log_is_asked_for_sensibly(work: Work) -> None:
    await work.make("v1/pods", work.pod("p", schedulerName="nobody"))
    for field, query in (
        ("tailLines", {"tailLines": -1}),
        ("sinceSeconds", {"sinceSeconds": 0}),
        ("limitBytes", {"limitBytes": 0}),
        ("[]", {"sinceSeconds": 1, "sinceTime": "2020-01-01T00:00:00Z"}),
    ):
        answer = await ask(work, **query)
        assert (answer.code, answer.body["reason"]) == (422, "Invalid")
        assert answer.causes[0][0] == field
