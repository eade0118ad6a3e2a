"""Contracts of images that files name beside the catalogue, read from this machine as the controller does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kubernaut.admission import images_to_read, read_document
from kubernaut.api.action import ActionExecution
from kubernaut.api.contract import ActionContract
from kubernaut.api.definition import ActionDefinition
from kubernaut.api.faults import Fault
from kubernaut.api.workflow import WorkflowExecution
from kubernaut.cli.manifests import Manifest
from kubernaut.cli.terminal import Terminal


@dataclass(frozen=True)
class Foreign:
    """What is known of such images, by image."""

    contracts: Mapping[str, ActionContract] = field(default_factory=dict[str, ActionContract])
    unreadable: Mapping[str, Fault] = field(default_factory=dict[str, Fault])


async def read_foreign(
    terminal: Terminal, manifests: Sequence[Manifest], catalogue: Mapping[str, ActionDefinition]
) -> Foreign:
    """Reads the contract of each image once. Logins are those of `docker login` and `podman login`."""
    documents = [read_document(manifest.document)[0] for manifest in manifests]
    there = dict(catalogue) | {d.spec.action_type: d for d in documents if isinstance(d, ActionDefinition)}
    images = dict.fromkeys(
        image
        for d in documents
        if isinstance(d, WorkflowExecution | ActionExecution)
        for image in images_to_read(d, there)
    )
    return await read_images(terminal, list(images)) if images else Foreign()


async def read_images(terminal: Terminal, images: Sequence[str]) -> Foreign:
    """The contracts of these images by digest."""
    # Late: hardly any file names an image, and no command shall take longer to start for it.
    from kubernaut.cli.building import login_files
    from kubernaut.concurrency import SystemClock, within
    from kubernaut.controllers.contracts import READ_SECONDS, fault_of
    from kubernaut.controllers.registries import RegistrySettings, registry_reader
    from kubernaut.oci import ImageError

    contracts: dict[str, ActionContract] = {}
    unreadable: dict[str, Fault] = {}
    async with registry_reader(RegistrySettings(docker_configs=login_files(terminal)))() as read:
        for image in images:

            async def asked(image: str = image) -> ActionContract:
                return await read(image)

            try:
                contracts[image] = await within(SystemClock(), READ_SECONDS, asked())
            except (ImageError, OSError) as error:
                unreadable[image] = fault_of(error)
    return Foreign(contracts, unreadable)
