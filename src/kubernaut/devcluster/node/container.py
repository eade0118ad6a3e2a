"""One container of a pod, from the wish to its last end: prepared, started, waited for, restarted."""

import asyncio
import contextlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from kubernaut.concurrency import wait_for_event, within
from kubernaut.devcluster.node.acting import ActionBroken, Answer, Target, act
from kubernaut.devcluster.node.environment import ConfigMissing, environment_of
from kubernaut.devcluster.node.health import Health, Watched
from kubernaut.devcluster.node.host import Host
from kubernaut.devcluster.node.images import Image, PullFailed
from kubernaut.devcluster.node.logs import ContainerLog
from kubernaut.devcluster.node.mounts import Mount
from kubernaut.devcluster.node.obtaining import INVALID_NAME, NEVER_PULL, obtain
from kubernaut.devcluster.node.pod_status import (
    MESSAGE_LIMIT,
    ContainerView,
    Ended,
    Started,
    State,
    Waiting,
)
from kubernaut.devcluster.node.probing import Probe, unsupported_probe
from kubernaut.devcluster.node.programs import expand
from kubernaut.devcluster.node.runtime import (
    SIGKILL,
    SIGTERM,
    ContainerSpec,
    Running,
    Runtime,
    StartRefused,
)
from kubernaut.devcluster.node.simulated import is_ready_at_once
from kubernaut.devcluster.node.users import capabilities_of, user_of
from kubernaut.devcluster.objects import Object
from kubernaut.devcluster.quantities import parse_quantity
from kubernaut.devcluster.workloads.reading import items, part, parts
from kubernaut.oci.media import RunConfig

_CRASH_DELAY = 10.0
_CRASH_CAP = 300.0
_CALM_SECONDS = 600.0
_PULL_DELAY = 10.0
_CONFIG_DELAY = 5.0
_START_ERROR = 128
_FALLBACK_LINES = 80
_FALLBACK_BYTES = 2048
_DEFAULT_GRACE = 30.0
LEAST_GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL, whatever a hook has taken of the grace period."""
_HOOK_AGENT = "kube-lifecycle/1.32"


class PodScope(Protocol):
    """What a container needs of the pod around it."""

    @property
    def pod(self) -> Object: ...
    @property
    def stopping(self) -> asyncio.Event: ...
    @property
    def changed(self) -> asyncio.Event:
        """Set when a ConfigMap, Secret or the like has changed; replaced by a fresh one."""
        ...

    def pod_ip(self) -> str: ...
    def show(self) -> None:
        """Write the pod's status."""
        ...

    def mounts_of(self, container: Object) -> tuple[Mount, ...]: ...


@dataclass(frozen=True, slots=True)
class _Prepared:
    runtime: Runtime
    spec: ContainerSpec


class ContainerLife:
    """Runs one container as its pod's restart policy wants it."""

    def __init__(self, host: Host, scope: PodScope, container: Object, *, is_init: bool = False) -> None:
        self._host = host
        self._scope = scope
        self._container = container
        self._running: Running | None = None
        self._over = asyncio.Event()
        """The present start has ended; replaced with each start."""
        self._crashes = 0
        self._condemned = False
        """A probe has ended the present start: that it may have ended well does not count."""
        self.was_asked = False
        """SIGTERM was sent to the present start."""
        self.up = asyncio.Event()
        """It has started once, as its startup probe and hook say."""
        self.logs: list[ContainerLog] = []
        """Of every start, the last one last."""
        image, name = str(container["image"]), str(container["name"])
        self.is_sidecar = is_init and container.get("restartPolicy") == "Always"
        # As long as others come first, a kubelet says so.
        first = Waiting("PodInitializing") if parts(scope.pod, "spec", "initContainers") else Waiting()
        self.view = ContainerView(name=name, image=image, state=first, is_init=is_init, is_sidecar=self.is_sidecar)

    async def ask_to_end(self, grace: float) -> None:
        """Run its preStop hook, for as long as the grace period allows, then send SIGTERM."""
        running = self._running
        hook = part(self._container, "lifecycle").get("preStop")
        if running is not None and running.is_probed and hook and grace > 0:
            with contextlib.suppress(TimeoutError):  # what it says no longer matters
                await within(self._host.clock, grace, self._run_hook("PreStop", hook, running))
        if running is not None:
            self.was_asked = True
            running.signal(SIGTERM)

    async def stop(self, grace: float) -> None:
        """End the present start as `ask_to_end` does, and by force when the grace period is over."""
        running, over, begun = self._running, self._over, self._host.clock.monotonic()
        if running is None:
            return
        await self.ask_to_end(grace)
        left = grace - (self._host.clock.monotonic() - begun)
        if not await wait_for_event(over, self._host.clock, max(left, LEAST_GRACE)):
            running.signal(SIGKILL)
        await over.wait()

    async def until_over(self) -> None:
        """Until the present start has ended; at once when there is none."""
        if self._running is not None:
            await self._over.wait()

    def signal(self, number: int) -> None:
        """To the running container, if there is one."""
        if self._running is not None:
            self._running.signal(number)

    @property
    def is_running(self) -> bool:
        return self._running is not None

    def end_unseen(self) -> None:
        """The pod ends and this container never ran, or ran before the node was started."""
        if not isinstance(self.view.state, Ended):
            said = "The container could not be located when the pod was terminated"
            ended = Ended(137, "ContainerStatusUnknown", None, None, said)
            self.view = replace(self.view, state=ended)

    async def run(self) -> None:
        """Until it has ended for good, or the pod stops."""
        while not self._scope.stopping.is_set():
            prepared = await self._prepare()
            if prepared is None:
                return
            ended = await self._run_once(prepared)
            # Not shown yet: where this ends the pod, its status is written once, with the phase.
            self.view = replace(self.view, state=ended)
            if self._scope.stopping.is_set() or not self._restarts_after(ended.code):
                return
            self._scope.show()
            await self._back_off(ended)

    # -- before the start --------------------------------------------------------------------------

    async def _prepare(self) -> _Prepared | None:
        """Wait until all that the container refers to is there; None when the pod stops first."""
        pull_delay = _PULL_DELAY
        while not self._scope.stopping.is_set():
            runtime = self._host.runtime_of(self._scope.pod, self._container)
            try:
                image = await obtain(self._host, self._scope.pod, self._container, runtime, self._tell_first)
            except PullFailed as error:
                await self._pull_back_off(error, pull_delay)
                pull_delay = min(pull_delay * 2, _CRASH_CAP)
                continue
            assert runtime is not None
            digest = image.digest if image is not None else self.view.image.partition("@")[2]
            self.view = replace(self.view, image_id=digest)
            try:
                spec = self._spec(image)
                if runtime is self._host.processes and (why := unsupported_probe(self._container)):
                    raise ConfigMissing(why)
            except ConfigMissing as error:
                self._wait_for("CreateContainerConfigError", str(error))
                self._tell("Warning", "Failed", f"Error: {error}")
                await self._pause(_CONFIG_DELAY)
                continue
            if not await self._stopped_within(runtime.start_delay(self._scope.pod)):
                return _Prepared(runtime, spec)
        return None

    def _tell_first(self, type_: str, reason: str, message: str) -> None:
        """Restarts find what the first start has found: that is told once, pulls always."""
        present = reason == "Pulled" and message.endswith("already present on machine")
        if not present or (self.view.restarts == 0 and isinstance(self.view.state, Waiting)):
            self._tell(type_, reason, message)

    async def _pull_back_off(self, error: PullFailed, delay: float) -> None:
        if error.reason == INVALID_NAME:
            said = f'Failed to apply default image tag "{self.view.image}": {error}'
            self._wait_for(error.reason, said)
            self._tell("Warning", "InspectFailed", said)
        elif error.reason == NEVER_PULL:
            self._wait_for(error.reason, str(error))
            self._tell("Warning", error.reason, str(error))
        else:
            self._wait_for(error.reason, str(error))
            self._tell("Warning", "Failed", f'Failed to pull image "{self.view.image}": {error}')
        self._tell("Warning", "Failed", f"Error: {error.reason}")
        if error.reason in {INVALID_NAME, NEVER_PULL}:
            # No pull was tried, so there is nothing to back off from.
            await self._pause(delay)
            return
        # The kubelet shows the error first and the back-off from its next look on.
        if await self._stopped_within(min(1.0, delay)):
            return
        back_off = f'Back-off pulling image "{self.view.image}"'
        self._wait_for("ImagePullBackOff", f"{back_off}: {error.reason}: {error}")
        self._tell("Normal", "BackOff", back_off)
        self._tell("Warning", "Failed", "Error: ImagePullBackOff")
        await self._stopped_within(delay)

    def _spec(self, image: Image | None) -> ContainerSpec:
        """Raises ConfigMissing."""
        pod, container = self._scope.pod, self._container
        around = self._host.surroundings(pod, self._scope.pod_ip())
        config = image.config if image is not None else RunConfig()
        environment = environment_of(container, image.environment if image else {}, around)
        start = self._host.pod_folder(pod) / self.view.name / str(len(self.logs))
        return ContainerSpec(
            pod=pod,
            name=self.view.name,
            image_name=self.view.image,
            image=image,
            argv=_command(container, config, environment),
            environment=environment,
            working_dir=str(container.get("workingDir") or config.working_dir or "/"),
            mounts=self._scope.mounts_of(container),
            folder=start,
            termination_path=str(container.get("terminationMessagePath") or "/dev/termination-log"),
            termination_file=start / "termination-log",
            user=(user := user_of(pod, container, image)),
            capabilities=capabilities_of(container, user[0]),
            privileged=bool(part(container, "securityContext").get("privileged")),
            read_only_root=bool(part(container, "securityContext").get("readOnlyRootFilesystem")),
            hostname=str(pod["metadata"]["name"])[:63],
            memory_limit=_memory_limit(container),
            on_ready=self._become_ready,
        )

    # -- from start to end -------------------------------------------------------------------------

    async def _run_once(self, prepared: _Prepared) -> Ended:
        spec = prepared.spec
        _make_folder(spec)
        log = ContainerLog(spec.folder / "log", self._host.clock.now)
        self.logs.append(log)
        self.view = replace(self.view, container_id=self._host.new_container_id(prepared.runtime))
        started_at = self._host.clock.now()
        try:
            self._running = running = await prepared.runtime.start(spec, log)
        except StartRefused as error:
            log.close()
            self._tell("Warning", "Failed", f"Error: failed to create containerd task: {error}")
            return Ended(_START_ERROR, "StartError", None, self._host.clock.now(), str(error))
        self._tell("Normal", "Created", f"Created container: {self.view.name}")
        self._tell("Normal", "Started", f"Started container {self.view.name}")
        self._over, self._condemned, self.was_asked = asyncio.Event(), False, False
        try:
            code = await self._attended(running, started_at)
        finally:
            self._running = None
            self._over.set()
            log.close()
        if _has_own_root(spec):
            await asyncio.to_thread(shutil.rmtree, spec.folder / "root", ignore_errors=True)
        message = _termination_message(self._container, spec, log, code)
        reason = "OOMKilled" if running.out_of_memory else "Completed" if code == 0 else "Error"
        return Ended(code, reason, started_at, self._host.clock.now(), message)

    async def _attended(self, running: Running, started_at: datetime) -> int:
        """The container's exit code; meanwhile its probes and its first hook are looked after."""
        health = Health(self._container, self._watched(running))
        hook = part(self._container, "lifecycle").get("postStart") if running.is_probed else None
        if not hook:
            self._has_started(running, health, started_at)
        if not running.is_probed or not (hook or health.is_watched):
            return await running.wait()
        async with asyncio.TaskGroup() as group:
            attending = group.create_task(self._attend(running, health, hook, started_at))
            code = await running.wait()
            attending.cancel()
        return code

    async def _attend(self, running: Running, health: Health, hook: Object | None, started_at: datetime) -> None:
        if hook:
            if not await self._run_hook("PostStart", hook, running):
                self._tell("Normal", "Killing", "FailedPostStartHook")
                await self.stop(grace_of(self._scope.pod))
                return
            self._has_started(running, health, started_at)
        await health.watch()

    def _has_started(self, running: Running, health: Health, at: datetime) -> None:
        if running.is_probed:
            self._become(Started(at, ready=health.ready, started=health.started))
        else:
            self._become(Started(at, ready=is_ready_at_once(self._scope.pod)))
        self._note_up()

    def _watched(self, running: Running) -> Watched:
        return Watched(
            target=Target(self._container, running, self._host.clock),
            tell=self._tell,
            show=self._show_health,
            fail=self._fail,
            stopping=self._scope.stopping,
        )

    def _show_health(self, started: bool, ready: bool) -> None:
        if isinstance(self.view.state, Started):
            self._become(replace(self.view.state, started=started, ready=ready))
            self._note_up()

    def _note_up(self) -> None:
        if isinstance(self.view.state, Started) and self.view.state.started:
            self.up.set()

    async def _fail(self, probe: Probe) -> None:
        """A probe ends the container; whether it is started again is the pod's policy."""
        self._condemned = self.is_sidecar or self._scope.pod["spec"].get("restartPolicy") != "Never"
        restarted = ", will be restarted" if self._condemned else ""
        said = f"Container {self.view.name} failed {probe.kind} probe{restarted}"
        self._tell("Normal", "Killing", said)
        await self.stop(grace_of(self._scope.pod) if probe.grace is None else probe.grace)

    async def _run_hook(self, name: str, hook: Object, running: Running) -> bool:
        """Whether it went well; when not, that is told."""
        target = Target(self._container, running, self._host.clock)
        try:
            answer = await act(hook, target, None, _HOOK_AGENT)
        except ActionBroken as error:
            answer = Answer("failure", str(error))
        # A request that was answered has been made: its status is not looked at.
        if answer.result != "failure" or answer.said.startswith("HTTP probe failed"):
            return True
        self._tell("Warning", f"Failed{name}Hook", f"{name}Hook failed")
        return False

    def _restarts_after(self, code: int) -> bool:
        policy = self._scope.pod["spec"].get("restartPolicy") or "Always"
        if self.is_sidecar or self._condemned:
            return True
        if self.view.is_init and policy == "Always":
            policy = "OnFailure"
        return policy == "Always" or (policy == "OnFailure" and code != 0)

    async def _back_off(self, ended: Ended) -> None:
        """The first restart comes at once, the next ones after 10, 20 ... 300 seconds."""
        begun, over = ended.started_at, ended.finished_at
        if begun and over and (over - begun).total_seconds() > _CALM_SECONDS:
            self._crashes = 0
        self._crashes += 1
        if self._crashes > 1:
            delay = min(_CRASH_CAP, _CRASH_DELAY * 2.0 ** min(self._crashes - 2, 8))
            meta = self._scope.pod["metadata"]
            pod = f"{meta['name']}_{meta['namespace']}({meta['uid']})"
            self.view = replace(self.view, last=ended)
            said = f"back-off {int(delay)}s restarting failed container={self.view.name} pod={pod}"
            self._wait_for("CrashLoopBackOff", said)
            name = self.view.name
            self._tell("Warning", "BackOff", f"Back-off restarting failed container {name} in pod {pod}")
            if await self._stopped_within(delay):
                return
        self.view = replace(self.view, last=ended, restarts=self.view.restarts + 1)

    # -- small ways --------------------------------------------------------------------------------

    def _wait_for(self, reason: str, message: str) -> None:
        self._become(Waiting(reason, message))

    def _become(self, state: State) -> None:
        if state != self.view.state:
            self.view = replace(self.view, state=state)
            self._scope.show()

    def _become_ready(self, ready: bool) -> None:
        if isinstance(self.view.state, Started):
            self._become(replace(self.view.state, ready=ready))

    def _tell(self, type_: str, reason: str, message: str) -> None:
        self._host.recorder.tell(self._scope.pod, type_, reason, message)

    async def _stopped_within(self, seconds: float) -> bool:
        return await wait_for_event(self._scope.stopping, self._host.clock, seconds)

    async def _pause(self, seconds: float) -> None:
        """Until something that was missing may be there; the pod's stop counts as such."""
        await wait_for_event(self._scope.changed, self._host.clock, seconds)


def grace_of(pod: Object) -> float:
    """Seconds that its containers have to end when nobody says otherwise."""
    seconds = pod["spec"].get("terminationGracePeriodSeconds")
    return _DEFAULT_GRACE if seconds is None else float(seconds)


def _command(container: Object, config: RunConfig, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Kubernetes' command is the image's entrypoint, its args the image's cmd."""
    command, args = items(container, "command"), items(container, "args")
    entry = [expand(str(text), environment) for text in command] or list(config.entrypoint or ())
    rest = [expand(str(text), environment) for text in args]
    if not command and not args:
        rest = list(config.cmd or ())
    return (*entry, *rest)


def _memory_limit(container: Object) -> int | None:
    limit = part(container, "resources", "limits").get("memory")
    return None if limit is None else int(parse_quantity(limit)) or None


def _has_own_root(spec: ContainerSpec) -> bool:
    # Threads only where there is work for one: a virtual clock cannot see them and would run ahead.
    return (spec.folder / "root").exists()


def _make_folder(spec: ContainerSpec) -> None:
    spec.folder.mkdir(parents=True, exist_ok=True)
    spec.termination_file.write_bytes(b"")
    spec.termination_file.chmod(0o666)


def _termination_message(container: Object, spec: ContainerSpec, log: ContainerLog, code: int) -> str:
    with contextlib.suppress(OSError), spec.termination_file.open("rb") as file:
        if content := file.read(MESSAGE_LIMIT):
            return content.decode(errors="replace")
    if code != 0 and container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
        lines = log.tail(_FALLBACK_BYTES).splitlines(keepends=True)[-_FALLBACK_LINES:]
        return b"".join(lines).decode(errors="replace")
    return ""
