"""The JSON of images as frozen data: descriptor, manifest, index, configuration.

Source of the formats: OCI image specification 1.1 (image-spec/descriptor.md, manifest.md, config.md).
"""

import hashlib
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from kubernaut.oci.errors import ContentInvalid

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_TAR = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"

INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_INDEX})
MANIFEST_TYPES = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX)
REF_NAME = "org.opencontainers.image.ref.name"

_T = TypeVar("_T")


class Platform(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which machines an entry of an index is for."""

    architecture: str = ""
    os: str = ""
    variant: str = ""


class Descriptor(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Names exact bytes: their digest, size in bytes and kind."""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = {}
    platform: Platform | None = None
    artifact_type: str = ""


class Manifest(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One image: its configuration and its layers, lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...] = ()
    schema_version: int = msgspec.field(default=0)
    media_type: str = ""
    artifact_type: str = ""
    subject: Descriptor | None = None
    annotations: Mapping[str, str] = {}


class Index(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Several manifests under one name, as for several platforms."""

    manifests: tuple[Descriptor, ...]
    schema_version: int = msgspec.field(default=0)
    media_type: str = ""
    annotations: Mapping[str, str] = {}


class RunConfig(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """How a container of the image starts. The format's keys are capitalised."""

    user: str = ""
    env: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    working_dir: str = ""
    labels: Mapping[str, str] | None = None


class RootFs(msgspec.Struct, frozen=True, omit_defaults=True):
    """Digests of the uncompressed layers, lowest first."""

    diff_ids: tuple[str, ...] = ()
    type: str = msgspec.field(default="")


class ImageConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """The configuration blob of an image."""

    architecture: str = ""
    os: str = ""
    created: str | None = None
    config: RunConfig | None = None
    rootfs: RootFs | None = None

    @property
    def labels(self) -> Mapping[str, str]:
        """The image's labels; empty when it has none."""
        return (self.config.labels if self.config else None) or {}


def sha256(content: bytes) -> str:
    """The digest of these bytes, as registries write it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def to_json(value: object) -> bytes:
    """The one way we write JSON that is hashed: sorted keys, no spaces."""
    return msgspec.json.encode(value, order="sorted")


def describe(content: bytes, media_type: str) -> Descriptor:
    """The descriptor of these bytes."""
    return Descriptor(media_type=media_type, digest=sha256(content), size=len(content))


def from_json(content: bytes | str, as_type: type[_T], what: str) -> _T:
    """Decode, or raise ContentInvalid naming `what` was expected."""
    try:
        return msgspec.json.decode(content, type=as_type)
    except msgspec.DecodeError as error:
        raise ContentInvalid(f"not {what}: {error}") from error
    except RecursionError:
        raise ContentInvalid(f"not {what}: nested too deeply") from None


def check_digest(content: bytes, digest: str) -> None:
    """Raise ContentInvalid unless `content` has this digest."""
    algorithm, _, expected = digest.partition(":")
    if algorithm not in {"sha256", "sha512"}:
        raise ContentInvalid(f"digest algorithm {algorithm!r} is not supported")
    actual = hashlib.new(algorithm, content).hexdigest()
    if actual != expected:
        raise ContentInvalid(f"content has digest {algorithm}:{actual}, expected {digest}")
