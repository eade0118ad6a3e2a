"""Containers that only pretend: everything that is no action image.

The model is small on purpose: ready after a moment, running until told to stop, or ending with an
exit code. What a pod's annotations may change:

- `devcluster.kubernaut.ai/start-seconds`: until it runs and is ready (0.2)
- `devcluster.kubernaut.ai/exit-code`: it ends at once with this code instead of running on
- `devcluster.kubernaut.ai/never-ready: "true"`: it runs and never becomes ready
- `devcluster.kubernaut.ai/model`: YAML, what it does in the flight simulator (docs/simulator.md); takes the place
  of the first three
- `devcluster.kubernaut.ai/pull-error: "true"`: its image cannot be pulled; so with images whose name
  contains `/does-not-exist`
"""

import asyncio

from kubernaut.concurrency import Clock
from kubernaut.devcluster.node.logs import ContainerLog
from kubernaut.devcluster.node.runtime import SIGTERM, ContainerSpec, Running, StartRefused
from kubernaut.devcluster.objects import Object
from kubernaut.devcluster.simulation import model as models
from kubernaut.devcluster.simulation.runtime import RunningModel
from kubernaut.devcluster.simulation.surroundings import pull_facts
from kubernaut.devcluster.store import Store
from kubernaut.devcluster.workloads.reading import annotations_of

PREFIX = "devcluster.kubernaut.ai/"
DEFAULT_START_SECONDS = 0.2


def annotation(pod: Object, name: str) -> str:
    """One of our annotations; empty when it is not there."""
    return str(annotations_of(pod).get(f"{PREFIX}{name}", ""))


def is_ready_at_once(pod: Object) -> bool:
    """Whether its containers are ready as soon as they run; a model says for itself when they are."""
    return annotation(pod, "never-ready") != "true" and not annotation(pod, "model")


class Simulated:
    """The runtime of everything that cannot or need not run here."""

    name = "simulated"
    notice = ""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._disks: dict[str, int] = {}
        """Bytes on simulated volumes, by what they belong to."""

    def cannot_be_pulled(self, pod: Object, image: str) -> bool:
        if annotation(pod, "pull-error") == "true" or "/does-not-exist" in image:
            return True
        text = annotation(pod, "model")
        if not text:
            return False
        try:
            model = models.parse_model(text)
        except models.ModelInvalid:
            return False  # told at the start
        return models.cannot_be_pulled(model, pull_facts(self._store, model, pod, image))

    def start_delay(self, pod: Object) -> float:
        if annotation(pod, "model"):
            return 0.0
        try:
            return float(annotation(pod, "start-seconds") or DEFAULT_START_SECONDS)
        except ValueError:
            return DEFAULT_START_SECONDS

    async def start(self, spec: ContainerSpec, log: ContainerLog) -> Running:
        log.write(f"This container is simulated: nothing of {spec.image_name} runs here.\n".encode())
        if text := annotation(spec.pod, "model"):
            try:
                model = models.parse_model(text)
            except models.ModelInvalid as error:
                raise StartRefused(str(error)) from error
            return RunningModel(self._store, self._clock, self._disks, model, spec, log)
        code = annotation(spec.pod, "exit-code")
        return RunningSimulation(int(code) if code.isdigit() else None, log)


class RunningSimulation:
    """Runs until a signal comes, or not at all when it is to end with a code."""

    out_of_memory = False
    is_probed = False

    def __init__(self, code: int | None, log: ContainerLog) -> None:
        self._ended = asyncio.Event()
        self._code = code
        self._log = log
        if code is not None:
            self._ended.set()

    async def wait(self) -> int:
        await self._ended.wait()
        return self._code or 0

    async def execute(self, argv: tuple[str, ...]) -> tuple[int, bytes]:
        raise OSError("the container is simulated")

    def signal(self, number: int) -> None:
        if not self._ended.is_set():
            # Well-behaved servers end with 0 when asked to.
            self._code = 0 if number == SIGTERM else 128 + number
            self._log.write(f"Simulated end by signal {number}.\n".encode())
            self._ended.set()
