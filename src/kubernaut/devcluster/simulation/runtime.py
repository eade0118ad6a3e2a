"""Plays a model in a container: looks at the world when it changes, or when the model says that it will."""

import asyncio
from collections.abc import Callable

from kubernaut.concurrency import Clock, wait_for_event
from kubernaut.devcluster.node.logs import ContainerLog
from kubernaut.devcluster.node.runtime import SIGTERM, ContainerSpec
from kubernaut.devcluster.simulation.model import Facts, Model, show, written
from kubernaut.devcluster.simulation.surroundings import facts_of, volume_key, watched
from kubernaut.devcluster.store import Change, Store


class RunningModel:
    """One container that follows its model until that ends it, or a signal does."""

    is_probed = False

    def __init__(
        self,
        store: Store,
        clock: Clock,
        disks: dict[str, int],
        model: Model,
        spec: ContainerSpec,
        log: ContainerLog,
    ) -> None:
        """`disks` remembers what lies on each volume, beyond the container."""
        self.out_of_memory = False
        self._store = store
        self._clock = clock
        self._disks = disks
        self._model = model
        self._spec = spec
        self._log = log
        self._began = clock.monotonic()
        self._disk = volume_key(store, model, spec.pod)
        self._before = disks.get(self._disk, 0)
        self._changed = asyncio.Event()
        self._signal = 0
        resources = watched(model)
        self._stop: Callable[[], None] | None = store.subscribe(self._note, resources) if resources else None

    async def wait(self) -> int:
        try:
            return await self._run()
        finally:
            if self._stop is not None:
                self._stop()
            if self._disk:
                self._disks[self._disk] = written(self._model, self._facts())

    async def execute(self, argv: tuple[str, ...]) -> tuple[int, bytes]:
        raise OSError("the container is simulated")

    def signal(self, number: int) -> None:
        self._signal = number
        self._changed.set()

    def _note(self, _change: Change) -> None:
        self._changed.set()

    def _facts(self) -> Facts:
        age = self._clock.monotonic() - self._began
        return facts_of(self._store, self._model, self._spec, age, self._before)

    async def _run(self) -> int:
        while not self._signal:
            self._changed.clear()
            shown = show(self._model, self._facts())
            if shown.state == "ended":
                self.out_of_memory = shown.is_out_of_memory
                if shown.says:
                    self._log.write(f"{shown.says}\n".encode())
                return shown.exit_code
            self._spec.on_ready(shown.is_ready)
            if shown.changes_in is None:
                await self._changed.wait()
            else:
                await wait_for_event(self._changed, self._clock, max(shown.changes_in, 0.001))
        self._log.write(f"Simulated end by signal {self._signal}.\n".encode())
        return 0 if self._signal == SIGTERM else 128 + self._signal
