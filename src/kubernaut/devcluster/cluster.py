"""DevCluster: one whole cluster as an async context manager.

async with DevCluster() as cluster:
    cluster.write_kubeconfig(path)      # for kubectl and any other client
    cluster.store.create(...)           # in process, see `store`
    cluster.requests.writes()           # what was asked of the API server
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

import yaml

from kubernaut.concurrency import Clock, Supervisor, SystemClock

from . import admission, limit_ranges
from .bootstrap import bootstrap
from .faults import Faults, JumpingClock
from .housekeeping.aggregation import Aggregation
from .housekeeping.definitions import Definitions
from .housekeeping.garbage import GarbageCollector
from .housekeeping.namespaces import Namespaces, namespace_lifecycle
from .housekeeping.waking import wake
from .identity.certificates import Authority, KeyPair
from .identity.escalation import Escalation
from .identity.tokens import TokenIssuer
from .identity.users import AUTHENTICATED, MASTERS, User
from .kinds.catalogue import builtin_catalogue
from .ledger import Change, Journal
from .pod_security import pod_security
from .policies.validating import ValidatingPolicies
from .request_log import RequestLog
from .rest.server import ApiServer, Middleware
from .rest.subresources import LogReader
from .store import Attributes, Store

Hook: TypeAlias = Callable[["DevCluster", Supervisor], Awaitable[None]]
"""Started with the cluster, in order, when its API already answers; tasks go to the supervisor."""

ADMIN = User("devcluster-admin", (MASTERS, AUTHENTICATED))


class DevCluster:
    """Not reusable: enter it once."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        port: int = 0,
        clock: Clock | None = None,
        hooks: Sequence[Hook] = (),
        journal: Journal | None = None,
        history: int = 1000,
    ) -> None:
        """`folder` gets the kubeconfig; `port` 0 takes a free one on 127.0.0.1.

        `journal` keeps objects beyond the process; `history` is the number of changes per resource
        that a watch may start from.
        """
        own = JumpingClock(clock or SystemClock())
        self.clock: Clock = own
        self.folder = folder
        self.store = Store(builtin_catalogue(), self.clock.now, journal, history)
        self.store.mutating += [
            namespace_lifecycle,
            limit_ranges.apply_defaults,
            admission.service_account,
            admission.priority,
            admission.default_tolerations,
            admission.default_storage_class,
        ]
        self.store.validating += [_deletion_lifecycle, limit_ranges.refuse_out_of_bounds]
        self._definitions = Definitions(self.store)
        self.tokens = TokenIssuer(self.store, self.clock.now)
        self.server = ApiServer(self.store, self.clock, self.tokens)
        self.faults = Faults(self.server, own)
        self.server.middlewares.append(self.faults)
        self.server.watches.hold = self.faults.hold
        self.store.validating.append(pod_security)
        self.store.validating.append(Escalation(self.server.authorizer))
        self.store.validating.append(ValidatingPolicies(self.store, self.server.authorizer))
        self.store.validating.append(self.server.webhooks)
        self._authority = Authority(self.clock.now())
        self._namespaces = Namespaces(self.store, self._authority.certificate.decode())
        self._aggregation = Aggregation(self.store)
        self._garbage = GarbageCollector(self.store)
        self._admin_token = secrets.token_urlsafe(32)
        self.server.authenticator.static[self._admin_token] = ADMIN
        self._hooks = tuple(hooks)
        self._wanted_port = port
        self._supervisor = Supervisor()
        self._changed = asyncio.Event()

    # -- life --------------------------------------------------------------------------------------

    async def __aenter__(self) -> DevCluster:
        bootstrap(self.store)
        self._tidy()
        if self.store.journal is not None:
            wake(self.store)
        self.store.ledger.begin()
        self.store.subscribe(self._note)
        await self.server.start(self._authority.server(), self._authority.certificate, self._wanted_port)
        if self.folder is not None:
            self.write_kubeconfig(self.folder / "kubeconfig")
        await self._supervisor.__aenter__()
        self._supervisor.start("housekeeping", self._keep_house(), eternal=True)
        try:
            for hook in self._hooks:
                await hook(self, self._supervisor)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._supervisor.stop()
        try:
            await self._supervisor.__aexit__(kind, error, trace)
        finally:
            await self.server.stop()

    def _note(self, _change: Change) -> None:
        self._changed.set()

    async def _keep_house(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._tidy()

    def _tidy(self) -> None:
        keepers = (self._definitions, self._namespaces, self._aggregation)
        while self._garbage.has_work or any(keeper.has_work for keeper in keepers):
            for keeper in keepers:
                keeper.work()
            self._garbage.collect()

    # -- reaching it -------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def certificate_authority(self) -> bytes:
        """PEM."""
        return self._authority.certificate

    @property
    def admin_token(self) -> str:
        """Bearer token of a member of system:masters."""
        return self._admin_token

    @property
    def kubeconfig(self) -> str:
        """YAML, with the administrator's token."""
        return self.kubeconfig_of(self._admin_token)

    def kubeconfig_of(self, token: str, namespace: str = "default") -> str:
        """The same for whoever the token belongs to."""
        name = "devcluster"
        cluster = {
            "server": self.url,
            "certificate-authority-data": base64.b64encode(self.certificate_authority).decode(),
        }
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
            "current-context": name,
        }
        return yaml.safe_dump(config, sort_keys=False)

    def write_kubeconfig(self, path: Path) -> Path:
        """Readable by the owner only, since it holds a token."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_text(self.kubeconfig)
        return path

    def token_of(self, name: str, groups: Sequence[str] = ()) -> str:
        """A static bearer token for any user, for tests of what that user may do."""
        token = secrets.token_urlsafe(32)
        self.server.authenticator.static[token] = User(name, (*groups, AUTHENTICATED))
        return token

    def certificate_of(self, name: str, groups: Sequence[str] = ()) -> KeyPair:
        """A client certificate for any user."""
        return self._authority.client(name, tuple(groups))

    # -- looking inside ----------------------------------------------------------------------------

    @property
    def requests(self) -> RequestLog:
        return self.server.requests

    @property
    def middlewares(self) -> list[Middleware]:
        """Around every request: for faults. See `rest.server.Middleware`."""
        return self.server.middlewares

    def serve_logs(self, reader: LogReader) -> None:
        """Answer pods/log from here."""
        self.server.subresources.read_log = reader


def _deletion_lifecycle(attributes: Attributes) -> None:
    if attributes.operation == "DELETE":
        namespace_lifecycle(attributes)
