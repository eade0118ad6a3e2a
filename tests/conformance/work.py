"""A place for cases about pods and what makes them: time, an image, and ways to wait."""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from .api import Answer, Api, Json
from .programs import FOR_EVER, container

Look = Callable[[Json], Any]


@dataclass(frozen=True)
class Work:
    """One namespace of a cluster that runs pods."""

    api: Api
    image: str
    """With `/bin/sh`."""
    pause: Callable[[], Awaitable[None]]
    """A moment of the cluster's time goes by; real or not."""
    looks: int
    """How often to look before a case has failed."""

    # -- asking ------------------------------------------------------------------------------------

    async def make(self, path: str, body: Json) -> Json:
        made = await self.api.post(path, body)
        assert made.code in {200, 201}, made.body
        found: Json = made.body
        return found

    async def get(self, path: str) -> Json:
        answer = await self.api.get(path)
        assert answer.code == 200, answer.body
        found: Json = answer.body
        return found

    async def patch(self, path: str, **body: Any) -> Json:
        answer = await self.api.patch(path, body)
        assert answer.code == 200, answer.body
        found: Json = answer.body
        return found

    async def all(self, path: str, **labels: str) -> list[Json]:
        chosen = ",".join(f"{key}={value}" for key, value in labels.items())
        found = await self.get(f"{path}?labelSelector={chosen}" if chosen else path)
        items: list[Json] = found["items"]
        return items

    async def live(self, **labels: str) -> list[Json]:
        """Pods that nobody has asked to go."""
        return [pod for pod in await self.all("v1/pods", **labels) if not is_going(pod)]

    # -- waiting -----------------------------------------------------------------------------------

    async def until(self, path: str, holds: Look) -> Json:
        """The object, or list, as soon as this holds of it."""
        answer = Answer(0, None)
        for _ in range(self.looks):
            answer = await self.api.get(path)
            if answer.code == 200:
                with contextlib.suppress(KeyError, IndexError, StopIteration):
                    if holds(answer.body):
                        found: Json = answer.body
                        return found
            await self.pause()
        raise AssertionError(f"{path} never came so far: {_bare(answer.body)}")

    async def until_gone(self, path: str) -> None:
        for _ in range(self.looks):
            if (await self.api.get(path)).code == 404:
                return
            await self.pause()
        raise AssertionError(f"{path} is still there")

    async def until_answer(self, ask: Callable[[], Awaitable[Answer]], code: int) -> Answer:
        answer = await ask()
        for _ in range(self.looks):
            if answer.code == code:
                return answer
            await self.pause()
            answer = await ask()
        raise AssertionError(f"never answered {code}: {answer.body}")

    async def until_phase(self, name: str, *phases: str) -> Json:
        return await self.until(f"v1/pods/{name}", lambda pod: pod["status"]["phase"] in phases)

    async def until_ready(self, name: str) -> Json:
        return await self.until(f"v1/pods/{name}", is_ready)

    async def until_pods(self, count: int, fits: Look = lambda _: True, **labels: str) -> list[Json]:
        """So many pods that nobody has asked to go, of all of which this holds."""

        def enough(found: Json) -> bool:
            live = [pod for pod in found["items"] if not is_going(pod)]
            return len(live) == count and all(fits(pod) for pod in live)

        chosen = ",".join(f"{key}={value}" for key, value in labels.items())
        found = await self.until(f"v1/pods?labelSelector={chosen}", enough)
        return sorted(
            (pod for pod in found["items"] if not is_going(pod)), key=lambda pod: str(pod["metadata"]["name"])
        )

    async def settle(self, seconds: int = 2) -> None:
        """For what must not happen: so much time, in which it would have."""
        for _ in range(seconds * 5):
            await self.pause()

    # -- making ------------------------------------------------------------------------------------

    def pod(self, name: str, program: str = FOR_EVER, **spec: Any) -> Json:
        """Ends quickly when told to, and is not started again, unless the spec says otherwise."""
        more = spec.pop("container", {})
        metadata = {"name": name, **spec.pop("metadata", {})}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 5,
                "containers": [container(program, self.image) | more],
                **spec,
            },
        }

    def template(self, app: str, program: str = FOR_EVER, **spec: Any) -> Json:
        more = spec.pop("container", {})
        return {
            "metadata": {"labels": {"app": app}},
            "spec": {
                "terminationGracePeriodSeconds": 2,
                "containers": [container(program, self.image) | more],
                **spec,
            },
        }

    def workload(self, kind: str, name: str, program: str = FOR_EVER, **spec: Any) -> Json:
        """A Deployment, ReplicaSet, StatefulSet or DaemonSet whose pods carry `app: NAME`."""
        template = self.template(name, program, **spec.pop("template", {}))
        wanted = {"selector": {"matchLabels": {"app": name}}, "template": template, **spec}
        return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": wanted}


def _bare(body: Any) -> Any:
    """Without the fields that drown all others."""
    if isinstance(body, dict):
        return {key: _bare(value) for key, value in body.items() if key not in {"managedFields", "volumes"}}  # pyright: ignore
    return [_bare(item) for item in body] if isinstance(body, list) else body  # pyright: ignore


def is_going(pod: Json) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def condition(obj: Json, type_: str) -> Json:
    """Raises StopIteration when there is none."""
    found: Json = next(c for c in obj["status"].get("conditions", ()) if c["type"] == type_)
    return found


def holds(obj: Json, type_: str, status: str = "True", reason: str | None = None) -> bool:
    try:
        found = condition(obj, type_)
    except StopIteration:
        return False
    return found["status"] == status and reason in {None, found.get("reason")}


def is_ready(pod: Json) -> bool:
    return holds(pod, "Ready") and not is_going(pod)


def owner(obj: Json) -> Json:
    """The controller's reference; empty when it has none."""
    references: list[Json] = obj["metadata"].get("ownerReferences", [])
    return next((r for r in references if r.get("controller")), dict[str, Any]())


def names(objects: list[Json]) -> list[str]:
    return sorted(str(obj["metadata"]["name"]) for obj in objects)


def uids(objects: list[Json]) -> set[str]:
    return {str(obj["metadata"]["uid"]) for obj in objects}


def ended(pod: Json) -> Json:
    """How its first container ended. Raises KeyError before that."""
    found: Json = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    return found
