"""Container images: their names, registries, folders and bytes.

Belongs here: references, the registry client, image layouts, the deterministic builder, unpacking, and the
action contract that an image carries. Does not belong here: whether an image may be trusted (trust), what goes
into kubernaut's own images (cli.images), and running one (devcluster).

Reads come in only after their digest is checked. Errors are all `ImageError`.
"""

from kubernaut.oci.build import (
    ImageRecipe,
    Layer,
    LayerFile,
    build_image,
    build_layer,
    files_below,
    host_architecture,
)
from kubernaut.oci.client import Fetched, RegistryClient
from kubernaut.oci.credentials import Anonymous, Credential, Credentials, DockerCredentials, StaticCredentials
from kubernaut.oci.errors import (
    ContentInvalid,
    ContractMissing,
    ContractTooNew,
    ImageError,
    NotInRegistry,
    ReferenceInvalid,
    RegistryError,
    RegistryRefused,
    RegistryUnauthorised,
    RegistryUnreachable,
)
from kubernaut.oci.layout import ImageLayout
from kubernaut.oci.media import Descriptor, ImageConfig, Manifest, sha256
from kubernaut.oci.reference import Reference, is_digest
from kubernaut.oci.transfer import (
    ImageSource,
    RegistryImages,
    pull_image,
    push_image,
    read_config,
    read_contract,
)
from kubernaut.oci.unpack import unpack_image

__all__ = [
    "Anonymous",
    "ContentInvalid",
    "ContractMissing",
    "ContractTooNew",
    "Credential",
    "Credentials",
    "Descriptor",
    "DockerCredentials",
    "Fetched",
    "ImageConfig",
    "ImageError",
    "ImageLayout",
    "ImageRecipe",
    "ImageSource",
    "Layer",
    "LayerFile",
    "Manifest",
    "NotInRegistry",
    "Reference",
    "ReferenceInvalid",
    "RegistryClient",
    "RegistryError",
    "RegistryImages",
    "RegistryRefused",
    "RegistryUnauthorised",
    "RegistryUnreachable",
    "StaticCredentials",
    "build_image",
    "build_layer",
    "files_below",
    "host_architecture",
    "is_digest",
    "pull_image",
    "push_image",
    "read_config",
    "read_contract",
    "sha256",
    "unpack_image",
]
