"""Where an API server is and who we are to it, as values.

Not here: where such values come from (`kubeconfig`, `incluster`) and what is sent (`client`).
"""

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from kubernaut.cluster.errors import CannotConnect

if TYPE_CHECKING:
    import ssl


class ClientCertificate(NamedTuple):
    """A TLS client certificate with its key, both PEM."""

    certificate: bytes
    key: bytes


class Login(NamedTuple):
    """What proves who we are: an Authorization header, a client certificate, or both."""

    authorization: str = ""
    certificate: ClientCertificate | None = None


NOBODY = Login()


class Credentials(Protocol):
    """Where logins come from. Asked before every request, so the answer is kept while it is good."""

    async def login(self) -> Login:
        """Raises CannotConnect, saying how to mend it."""
        ...

    def forget(self) -> bool:
        """The server refused the login: drop it. Whether asking again can give another one."""
        ...


class FixedLogin:
    """A login that never changes: nobody, a token, a password, a certificate."""

    def __init__(self, login: Login = NOBODY) -> None:
        self._login = login

    async def login(self) -> Login:
        return self._login

    def forget(self) -> bool:
        return False


@dataclass(frozen=True)
class Impersonation:
    """In whose name requests are made; the server asks whether we may (RBAC verb `impersonate`)."""

    user: str
    groups: tuple[str, ...] = ()
    uid: str = ""

    @property
    def headers(self) -> list[tuple[str, str]]:
        """As the Kubernetes documentation has them, under "User impersonation"."""
        uid = [("Impersonate-Uid", self.uid)] if self.uid else []
        return [("Impersonate-User", self.user), *(("Impersonate-Group", group) for group in self.groups), *uid]


@dataclass(frozen=True)
class Connection:
    """One API server and one user of it."""

    server: str
    """URL without a trailing slash; may have a path (a proxy's prefix)."""
    namespace: str = "default"
    """Where namespaced objects are sought when nobody says where."""
    certificate_authority: bytes | None = None
    """PEM; None trusts what the machine trusts."""
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""
    credentials: Credentials = field(default_factory=FixedLogin)
    impersonation: Impersonation | None = None
    source: str = ""
    """Where all this was read, for error messages: `context dev of /home/me/.kube/config`."""


def tls_context(connection: Connection, certificate: ClientCertificate | None) -> "ssl.SSLContext":
    """Raises CannotConnect when a certificate cannot be used."""
    import ssl  # with tempfile below a seventh of this room's import time

    try:
        if connection.certificate_authority is None:
            context = ssl.create_default_context()
        else:
            context = ssl.create_default_context(cadata=connection.certificate_authority.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise CannotConnect(
            f"the certificate authority in {connection.source} is not valid PEM: {error}"
        ) from error
    # Clusters made by older kubeadm or hand-made scripts leave out extensions that Python 3.13
    # began to demand; kubectl does not.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if connection.insecure_skip_tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        _present(context, certificate, connection.source)
    return context


def _present(context: "ssl.SSLContext", certificate: ClientCertificate, source: str) -> None:
    import ssl
    import tempfile

    # The ssl module takes certificates from files only. The file is the owner's alone and is gone
    # before anything is sent.
    descriptor, path = tempfile.mkstemp(prefix="kubernaut-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(certificate.certificate.rstrip() + b"\n" + certificate.key)
        context.load_cert_chain(path)
    except (ssl.SSLError, ValueError) as error:
        raise CannotConnect(
            f"the client certificate and key in {source} do not fit or are not PEM: {error}"
        ) from error
    finally:
        os.unlink(path)
