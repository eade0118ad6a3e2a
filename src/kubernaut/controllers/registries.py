"""Where contracts of images are read: layouts on this machine first, then the registry that the image names."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from kubernaut.api.contract import ActionContract
from kubernaut.controllers.contracts import ReadContract
from kubernaut.oci import (
    DockerCredentials,
    ImageLayout,
    Reference,
    ReferenceInvalid,
    RegistryClient,
    RegistryImages,
    read_contract,
)

_SILENCE_SECONDS = 10.0


@dataclass(frozen=True)
class RegistrySettings:
    """How registries are spoken to."""

    docker_configs: tuple[Path, ...] = ()
    """Files with logins, as `docker login` writes them; the first that knows the registry counts."""
    plain_http: tuple[str, ...] = ()
    """Registries (`host:port`) that speak HTTP; loopback ones need no saying."""
    layouts: tuple[Path, ...] = ()
    """OCI layouts whose images are known here by digest, whatever registry they are said to be in."""


def registry_reader(settings: RegistrySettings) -> Callable[[], AbstractAsyncContextManager[ReadContract]]:
    """What opens a reader of contracts; it holds connections while it is open."""

    @asynccontextmanager
    async def opened() -> AsyncGenerator[ReadContract]:
        credentials = DockerCredentials(settings.docker_configs)
        layouts = [ImageLayout(folder) for folder in settings.layouts]
        async with RegistryClient(
            credentials, plain_http=settings.plain_http, timeout_seconds=_SILENCE_SECONDS
        ) as client:

            async def read(image: str) -> ActionContract:
                reference = Reference.parse(image)
                if reference.digest is None:
                    raise ReferenceInvalid(f"{image!r} names no digest")
                for layout in layouts:
                    if layout.has(reference.digest):
                        return await read_contract(layout, reference.digest)
                return await read_contract(RegistryImages(client, reference), reference.digest)

            yield read

    return opened
