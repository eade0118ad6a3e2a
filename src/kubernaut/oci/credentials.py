"""Who we are to a registry: Docker's configuration file and its credential helpers.

Source of the format: docs.docker.com/reference/cli/docker/login (config.json: `auths`, `credHelpers`,
`credsStore`) and github.com/docker/docker-credential-helpers (the `get` protocol).
"""

import asyncio
import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from kubernaut.oci.errors import RegistryUnauthorised
from kubernaut.oci.reference import DOCKER_HUB

_HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", DOCKER_HUB, "registry-1.docker.io")
_HELPER_SECONDS = 20.0
# docker-credential-helpers say that a user name of "<token>" marks the secret as an identity token.
_TOKEN_USER = "<token>"


@dataclass(frozen=True, slots=True)
class Credential:
    """A user and password, or an identity token that a token server exchanges."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    def to_basic(self) -> str:
        """The value of an `Authorization: Basic` header."""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


class Credentials(Protocol):
    """Where credentials come from."""

    async def find(self, registry: str) -> Credential | None:
        """The credential for a registry's name (`docker.io`, `ghcr.io`, `localhost:5000`)."""
        ...


class Anonymous:
    """No credentials at all."""

    async def find(self, registry: str) -> Credential | None:
        return None


@dataclass(frozen=True)
class StaticCredentials:
    """Credentials that the caller already has, by registry name."""

    by_registry: Mapping[str, Credential]

    async def find(self, registry: str) -> Credential | None:
        return self.by_registry.get(registry)


class _Auth(msgspec.Struct, frozen=True):
    auth: str = ""
    username: str = ""
    password: str = ""
    identitytoken: str = ""


class _DockerConfig(msgspec.Struct, frozen=True, rename="camel"):
    auths: dict[str, _Auth] = {}
    cred_helpers: dict[str, str] = {}
    creds_store: str = ""


class _HelperAnswer(msgspec.Struct, frozen=True, rename="pascal"):
    username: str
    secret: str


class DockerCredentials:
    """Credentials from config.json files; the first file that knows the registry wins.

    Files that are absent are passed over. Raises RegistryUnauthorised for a file or a helper that is
    there but cannot be used: going on anonymously would end in a puzzling "not found".
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files

    async def find(self, registry: str) -> Credential | None:
        for path in self._files:
            config = _read(path)
            if config is not None and (found := await _find_in(config, registry)) is not None:
                return found
        return None


def read_credentials(content: bytes) -> StaticCredentials:
    """Those of a Secret of type kubernetes.io/dockerconfigjson, or of the older dockercfg.

    Helpers that it names are not run: it may come from anybody. Raises RegistryUnauthorised.
    """
    try:
        plain = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        auths = msgspec.json.decode(plain.get("auths", content), type=dict[str, _Auth])
    except msgspec.DecodeError as error:
        raise RegistryUnauthorised(f"it holds no credentials for registries: {error}") from error
    found = {_registry_of(key): _from_auth(auth, key) for key, auth in auths.items()}
    return StaticCredentials({key: credential for key, credential in found.items() if credential is not None})


def _registry_of(key: str) -> str:
    host = key.partition("://")[2] or key
    host = host.partition("/")[0]
    return DOCKER_HUB if key in _HUB_KEYS or host in _HUB_KEYS else host


def _read(path: Path) -> _DockerConfig | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_DockerConfig)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise RegistryUnauthorised(f"cannot read registry credentials from {path}: {error}") from error


async def _find_in(config: _DockerConfig, registry: str) -> Credential | None:
    keys = _HUB_KEYS if registry == DOCKER_HUB else (registry, f"https://{registry}", f"https://{registry}/v2/")
    for key in keys:
        if (helper := config.cred_helpers.get(key)) is not None:
            return await _ask_helper(helper, key)
    for key in keys:
        if (auth := config.auths.get(key)) is not None and (found := _from_auth(auth, key)) is not None:
            return found
    return await _ask_helper(config.creds_store, keys[0]) if config.creds_store else None


def _from_auth(auth: _Auth, key: str) -> Credential | None:
    username, password = auth.username, auth.password
    if auth.auth:
        try:
            username, _, password = base64.b64decode(auth.auth, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise RegistryUnauthorised(f"the `auth` entry of {key} is not base64 text") from error
    if not username and not auth.identitytoken:
        return None
    return Credential(username, password.rstrip("\x00"), auth.identitytoken)


async def _ask_helper(name: str, registry: str) -> Credential | None:
    program = f"docker-credential-{name}"
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            "get",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise RegistryUnauthorised(f"cannot run credential helper {program}: {error}") from error
    try:
        async with asyncio.timeout(_HELPER_SECONDS):
            out, _ = await process.communicate(registry.encode())
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise RegistryUnauthorised(f"{program} gave no answer in {_HELPER_SECONDS:g} s") from error
    if process.returncode != 0:
        # Helpers report "not found" on standard output with exit code 1; it may quote nothing secret.
        if b"credentials not found" in out:
            return None
        raise RegistryUnauthorised(f"{program} failed for {registry} (exit code {process.returncode})")
    try:
        answer = msgspec.json.decode(out, type=_HelperAnswer)
    except msgspec.DecodeError as error:
        raise RegistryUnauthorised(f"{program} gave an answer that is not its protocol") from error
    if answer.username == _TOKEN_USER:
        return Credential(identity_token=answer.secret)
    return Credential(answer.username, answer.secret)
