"""The credentials that the kubelet puts into every pod.

Layout as in "Accessing the Kubernetes API from a Pod": `token`, `ca.crt`, `namespace` in one
folder. The kubelet renews the token file, so it is read again.
"""

from collections.abc import Mapping
from pathlib import Path

from kubernaut.cluster.connection import ClientCertificate, Connection, Login
from kubernaut.cluster.errors import CannotConnect
from kubernaut.concurrency import Clock, SystemClock

# The kubelet renews a token when 80 % of its life (one hour by default) is over; client-go also
# reads again every minute.
_READ_AGAIN_SECONDS = 60.0


class TokenFile:
    """A bearer token in a file that somebody else renews."""

    def __init__(
        self,
        path: Path,
        clock: Clock | None = None,
        certificate: ClientCertificate | None = None,
    ) -> None:
        self._path = path
        self._certificate = certificate
        self._clock = clock or SystemClock()
        self._login: Login | None = None
        self._read_at = 0.0

    async def login(self) -> Login:
        now = self._clock.monotonic()
        if self._login is None or now - self._read_at >= _READ_AGAIN_SECONDS:
            self._login = self._read()
            self._read_at = now
        return self._login

    def forget(self) -> bool:
        before, self._login = self._login, None
        try:
            return self._read() != before
        except CannotConnect:
            return False

    def _read(self) -> Login:
        try:
            token = self._path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeError) as error:
            raise CannotConnect(f"the token file {self._path} cannot be read: {error}") from error
        if not token:
            raise CannotConnect(f"the token file {self._path} is empty")
        return Login(f"Bearer {token}", self._certificate)


def in_cluster_connection(
    environment: Mapping[str, str], folder: Path, *, clock: Clock | None = None
) -> Connection:
    """From KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT and the ServiceAccount's folder."""
    host = environment["KUBERNETES_SERVICE_HOST"]
    port = environment.get("KUBERNETES_SERVICE_PORT", "443")
    try:
        authority = (folder / "ca.crt").read_bytes()
        namespace_file = folder / "namespace"
        namespace = namespace_file.read_text().strip() if namespace_file.exists() else ""
    except OSError as error:
        raise CannotConnect(
            f"this is a pod, but its ServiceAccount's files in {folder} cannot be read: {error}; "
            f"does the pod set automountServiceAccountToken: false?"
        ) from error
    return Connection(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        namespace=namespace or "default",
        certificate_authority=authority,
        credentials=TokenFile(folder / "token", clock),
        source=f"the ServiceAccount in {folder}",
    )
