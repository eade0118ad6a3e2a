"""Kubeconfig files: clusters, users and contexts, merged as kubectl merges them.

Format: client-go `clientcmd/api/v1` Config. Not here: running exec plugins (`execplugin`), finding
the file (`finding`).
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec
import yaml

from kubernaut.cluster.connection import (
    ClientCertificate,
    Connection,
    Credentials,
    FixedLogin,
    Impersonation,
    Login,
)
from kubernaut.cluster.errors import CannotConnect

if TYPE_CHECKING:
    from kubernaut.concurrency import Clock

_T = TypeVar("_T", bound=msgspec.Struct)


class _Cluster(msgspec.Struct, rename="kebab"):
    server: str = ""
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""


class _User(msgspec.Struct, rename="kebab"):
    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    token: str = ""
    token_file: str = msgspec.field(default="", name="tokenFile")
    username: str = ""
    password: str = ""
    exec_: dict[str, Any] | None = msgspec.field(default=None, name="exec")
    auth_provider: dict[str, Any] | None = None
    impersonate: str = msgspec.field(default="", name="as")
    impersonate_groups: tuple[str, ...] = msgspec.field(default=(), name="as-groups")
    impersonate_uid: str = msgspec.field(default="", name="as-uid")


class _Context(msgspec.Struct):
    cluster: str = ""
    user: str = ""
    namespace: str = ""


class _Kubeconfig:
    """Several files as one: the first file to name something wins, as in kubectl."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        self.current_context = ""
        self._entries: dict[tuple[str, str], tuple[dict[str, Any], Path]] = {}
        for path in paths:
            self._add(path)

    @property
    def source(self) -> str:
        return ", ".join(str(path) for path in self.paths)

    def names(self, section: str) -> list[str]:
        return [name for where, name in self._entries if where == section]

    def entry(self, section: str, name: str) -> tuple[dict[str, Any], Path] | None:
        return self._entries.get((section, name))

    def _add(self, path: Path) -> None:
        try:
            loaded: object = yaml.safe_load(path.read_bytes())
        except FileNotFoundError:
            if len(self.paths) > 1:  # kubectl skips missing files of a list
                return
            raise CannotConnect(f"the kubeconfig {path} does not exist") from None
        except OSError as error:
            raise CannotConnect(f"the kubeconfig {path} cannot be read: {error}") from error
        except yaml.YAMLError as error:
            raise CannotConnect(f"the kubeconfig {path} is not valid YAML: {_problem(error)}") from error
        except RecursionError:
            raise CannotConnect(f"the kubeconfig {path} is nested too deeply") from None
        if not isinstance(loaded, dict):
            raise CannotConnect(f"the kubeconfig {path} is empty or no mapping")
        document = cast(dict[str, Any], loaded)
        self.current_context = self.current_context or str(document.get("current-context") or "")
        for section, inner in (("clusters", "cluster"), ("users", "user"), ("contexts", "context")):
            entries: object = document.get(section) or []
            if not isinstance(entries, list):
                raise CannotConnect(f"the kubeconfig {path} has {section} that are no list")
            for entry in cast(list[object], entries):
                name, content = _named(entry, inner)
                if content is None:
                    raise CannotConnect(f"the kubeconfig {path} has an entry of {section} without a {inner} in it")
                self._entries.setdefault((section, name), (content, path))


def _named(entry: object, inner: str) -> tuple[str, dict[str, Any] | None]:
    """An entry's name and content; no content where it is none."""
    if not isinstance(entry, dict):
        return "", None
    fields = cast(dict[str, Any], entry)
    content: object = fields.get(inner) or {}
    return str(fields.get("name")), cast(dict[str, Any], content) if isinstance(content, dict) else None


def _problem(error: yaml.YAMLError) -> str:
    """In one line."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return " ".join(str(error).split())


def load_kubeconfig(
    paths: Sequence[Path],
    context: str | None,
    environment: Mapping[str, str],
    *,
    clock: "Clock | None" = None,
) -> Connection:
    """The connection of this context, or of the files' current one.

    Raises CannotConnect: which file, which context, what is missing, what there is instead.
    """
    config = _Kubeconfig([path.expanduser() for path in paths])
    name = context or config.current_context
    if not name:
        raise CannotConnect(
            f"{config.source} has no current-context; choose one with --context: "
            f"{_offer(config.names('contexts'))}"
        )
    chosen = config.entry("contexts", name)
    if chosen is None:
        raise CannotConnect(
            f"{config.source} has no context {name!r}; there is: {_offer(config.names('contexts'))}"
        )
    source = f"context {name} of {chosen[1]}"
    decoded = _decoded(_Context, *chosen, source)
    found = config.entry("clusters", decoded.cluster)
    if found is None:
        raise CannotConnect(f"{source} refers to cluster {decoded.cluster!r}, which is not in {config.source}")
    cluster, folder = _decoded(_Cluster, *found, source), found[1].parent
    if not cluster.server:
        raise CannotConnect(f"cluster {decoded.cluster!r} of {source} has no server")
    if cluster.proxy_url and not cluster.proxy_url.startswith(("http://", "https://")):
        raise CannotConnect(f"{source}: only http and https proxies work, not {cluster.proxy_url}")
    authority = _content(cluster.certificate_authority_data, cluster.certificate_authority, folder, source)
    return Connection(
        server=cluster.server.rstrip("/"),
        namespace=decoded.namespace or "default",
        certificate_authority=authority,
        insecure_skip_tls_verify=cluster.insecure_skip_tls_verify,
        tls_server_name=cluster.tls_server_name,
        proxy_url=cluster.proxy_url,
        credentials=_credentials(config, decoded.user, cluster, source, environment, clock),
        impersonation=_impersonation(config, decoded.user, source),
        source=source,
    )


def _impersonation(config: _Kubeconfig, name: str, source: str) -> Impersonation | None:
    found = config.entry("users", name)
    user = _decoded(_User, *found, source) if found is not None else _User()
    if not user.impersonate:
        if user.impersonate_groups or user.impersonate_uid:
            raise CannotConnect(f"user {name!r} of {source} has as-groups or as-uid without `as`")
        return None
    return Impersonation(user.impersonate, user.impersonate_groups, user.impersonate_uid)


def _credentials(
    config: _Kubeconfig,
    name: str,
    cluster: _Cluster,
    source: str,
    environment: Mapping[str, str],
    clock: "Clock | None",
) -> Credentials:
    if not name:
        return FixedLogin()
    found = config.entry("users", name)
    if found is None:
        raise CannotConnect(f"{source} refers to user {name!r}, which is not in {config.source}")
    user, folder = _decoded(_User, *found, source), found[1].parent
    if user.auth_provider is not None:
        raise CannotConnect(
            f"user {name!r} of {source} uses auth-provider, which Kubernetes removed in 1.26; "
            f"use an exec plugin instead"
        )
    certificate = _client_certificate(user, folder, name, source)
    if user.token:
        return FixedLogin(Login(f"Bearer {user.token}", certificate))
    if user.token_file:
        from kubernaut.cluster.incluster import TokenFile

        return TokenFile(folder / user.token_file, clock, certificate)
    if user.username:
        pair = base64.b64encode(f"{user.username}:{user.password}".encode()).decode()
        return FixedLogin(Login(f"Basic {pair}", certificate))
    if user.exec_ is not None:
        from kubernaut.cluster.execplugin import ExecPlugin, ExecSpec

        spec = _decoded(ExecSpec, user.exec_, found[1], source)
        info = _exec_cluster(cluster, found[1].parent, source)
        return ExecPlugin(spec, folder, source, environment, info, clock)
    return FixedLogin(Login("", certificate))


def _exec_cluster(cluster: _Cluster, folder: Path, source: str) -> dict[str, Any]:
    """What a plugin may know of the cluster (client.authentication.k8s.io ExecCredential)."""
    authority = _content(cluster.certificate_authority_data, cluster.certificate_authority, folder, source)
    told: dict[str, Any] = {
        "server": cluster.server,
        "tls-server-name": cluster.tls_server_name,
        "insecure-skip-tls-verify": cluster.insecure_skip_tls_verify,
        "certificate-authority-data": base64.b64encode(authority or b"").decode(),
        "proxy-url": cluster.proxy_url,
    }
    return {key: value for key, value in told.items() if value}


def _client_certificate(user: _User, folder: Path, name: str, source: str) -> ClientCertificate | None:
    certificate = _content(user.client_certificate_data, user.client_certificate, folder, source)
    key = _content(user.client_key_data, user.client_key, folder, source)
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        missing = "client-certificate" if certificate is None else "client-key"
        raise CannotConnect(f"user {name!r} of {source} has no {missing}")
    return ClientCertificate(certificate, key)


def _content(inline: str, path: str, folder: Path, source: str) -> bytes | None:
    # Relative paths are meant from the file that says them.
    try:
        if inline:
            return base64.b64decode(inline, validate=True)
        return (folder / path).read_bytes() if path else None
    except binascii.Error as error:
        raise CannotConnect(f"{source}: a -data field is not base64: {error}") from error
    except OSError as error:
        raise CannotConnect(f"{source} refers to {folder / path}: {error}") from error


def _decoded(kind: type[_T], content: dict[str, Any], path: Path, source: str) -> _T:
    given = {key: value for key, value in content.items() if value is not None}
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise CannotConnect(f"{path} ({source}): {error}") from error


def _offer(names: list[str]) -> str:
    return ", ".join(names[:10]) or "(none)"
