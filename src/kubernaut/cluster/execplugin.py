"""Programs that hand out credentials, as kubeconfig names them.

Protocol: client.authentication.k8s.io v1 and v1beta1 ExecCredential.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from kubernaut.cluster.connection import ClientCertificate, Login
from kubernaut.cluster.errors import CannotConnect, shortened
from kubernaut.concurrency import Clock, SystemClock

_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_PLUGIN_SECONDS = 60.0
# A login that ends within this time is renewed before use, so that it does not end on the way.
_EARLY = timedelta(seconds=10)


class _Variable(msgspec.Struct):
    name: str
    value: str


class ExecSpec(msgspec.Struct, rename="camel"):
    """The `exec` part of a kubeconfig user."""

    command: str
    api_version: str
    args: list[str] = []
    env: list[_Variable] = []
    install_hint: str = ""
    provide_cluster_info: bool = False
    interactive_mode: str = ""


class _Status(msgspec.Struct, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: datetime | None = None


class _ExecCredential(msgspec.Struct, rename="camel"):
    kind: str
    api_version: str
    status: _Status


class ExecPlugin:
    """A login from a program, kept until it ends or the server refuses it."""

    def __init__(
        self,
        spec: ExecSpec,
        folder: Path,
        source: str,
        environment: Mapping[str, str],
        cluster: dict[str, Any],
        clock: Clock | None = None,
    ) -> None:
        if spec.api_version not in _VERSIONS:
            raise CannotConnect(
                f"{source}: exec plugin {spec.command} speaks {spec.api_version}; "
                f"only {' and '.join(_VERSIONS)} are known"
            )
        if spec.interactive_mode == "Always":
            raise CannotConnect(
                f"{source}: exec plugin {spec.command} must talk to a person "
                f"(interactiveMode: Always), which cannot be done here"
            )
        self._spec = spec
        # As in client-go: a bare name is sought on PATH, a path is relative to the kubeconfig.
        self._command = str(folder / spec.command) if "/" in spec.command else spec.command
        self._source = source
        self._environment = environment
        self._cluster = cluster
        self._clock = clock or SystemClock()
        self._login: Login | None = None
        self._ends: datetime | None = None
        self._one_at_a_time = asyncio.Lock()

    async def login(self) -> Login:
        if (known := self._known()) is not None:
            return known
        async with self._one_at_a_time:
            if (known := self._known()) is not None:
                return known
            status = await self._run()
            certificate = None
            if status.client_certificate_data and status.client_key_data:
                certificate = ClientCertificate(
                    status.client_certificate_data.encode(), status.client_key_data.encode()
                )
            if not status.token and certificate is None:
                raise self._failed("gave neither a token nor a client certificate")
            self._login = Login(f"Bearer {status.token}" if status.token else "", certificate)
            self._ends = status.expiration_timestamp
            return self._login

    def forget(self) -> bool:
        self._login = None
        return True

    def _known(self) -> Login | None:
        if self._ends is not None and self._ends - _EARLY <= self._clock.now():
            return None
        return self._login

    async def _run(self) -> _Status:
        spec: dict[str, Any] = {"interactive": False}
        if self._spec.provide_cluster_info:
            spec["cluster"] = self._cluster
        asked = {
            "kind": "ExecCredential",
            "apiVersion": self._spec.api_version,
            "spec": spec,
        }
        environment = {
            **self._environment,
            **{variable.name: variable.value for variable in self._spec.env},
            "KUBERNETES_EXEC_INFO": msgspec.json.encode(asked).decode(),
        }
        output = await self._output(environment)
        try:
            said = msgspec.json.decode(output, type=_ExecCredential)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise self._failed(f"gave no ExecCredential: {error}") from error
        if said.api_version != self._spec.api_version:
            raise self._failed(f"answered in {said.api_version}, not {self._spec.api_version}")
        return said.status

    async def _output(self, environment: dict[str, str]) -> bytes:
        try:
            process = await asyncio.create_subprocess_exec(
                self._command,
                *self._spec.args,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            hint = f"; {self._spec.install_hint.strip()}" if self._spec.install_hint else ""
            raise self._failed(f"cannot be started: {error}{hint}") from error
        try:
            async with asyncio.timeout(_PLUGIN_SECONDS):
                output, complaint = await process.communicate()
        except TimeoutError:
            raise self._failed(f"did not end within {_PLUGIN_SECONDS:.0f} s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode != 0:
            text = complaint.decode("utf-8", "replace").strip()
            raise self._failed(f"ended with {process.returncode}: {shortened(text)}")
        return output

    def _failed(self, what: str) -> CannotConnect:
        return CannotConnect(f"{self._source}: exec plugin {self._spec.command} {what}")
