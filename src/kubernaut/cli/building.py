"""Kubernaut's own images in a folder: making them, listing them, pushing them to a registry."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from kubernaut.api.contract import ActionContract
from kubernaut.api.names import IMAGE_LABEL_CONTRACT
from kubernaut.cli import images
from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.terminal import Terminal
from kubernaut.oci import DockerCredentials, ImageError, ImageLayout, Reference, RegistryClient, push_image

CONTROLLER = "controller"
_PUSHED_TO = ".pushed-to"
"""A file in the layout that names the registry it was last pushed to, so that nobody has to say it again."""


class StoredImage(NamedTuple):
    """One of our images in a layout."""

    name: str
    tag: str
    digest: str
    size_bytes: int
    runtime: str
    contract: ActionContract | None
    """None: the controller's."""

    def reference(self, repository: str) -> Reference:
        """By digest, in a repository such as `ghcr.io/kubernaut/actions`."""
        return Reference.parse(f"{repository}/{self.name}:{self.tag}").with_digest(self.digest)


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Where things are kept that can be made again (XDG base directories)."""
    root = environment.get("XDG_CACHE_HOME") or str(Path(environment.get("HOME") or "/tmp") / ".cache")
    return Path(root) / "kubernaut"


def build_all(terminal: Terminal, layout: Path, base: images.Base, *, with_controller: bool = True) -> None:
    """Builds every image into the layout; layers that did not change are taken from the cache."""
    cache = cache_folder(terminal.environment) / "layers"
    images.build_action_images(layout, cache=cache, base=base, say=terminal.remark)
    if with_controller:
        images.build_controller_image(layout, cache=cache, base=base, say=terminal.remark)


def images_in(folder: Path) -> list[StoredImage]:
    """All images of a layout, actions first. Raises CommandFailed where none have been built."""
    layout = ImageLayout(folder)
    try:
        named = layout.images()
    except (ImageError, FileNotFoundError):
        named = {}
    if not named:
        raise CommandFailed(
            f"no images have been built in {folder}", mend="Build them with: kubernaut images build"
        )
    stored = [_stored(layout, name, descriptor.digest) for name, descriptor in named.items()]
    return sorted(stored, key=lambda image: (image.contract is None, image.name))


def named_in(folder: Path, repository: str) -> dict[str, ActionContract | None]:
    """The images of a layout as `installing.installation` takes them: contracts by reference."""
    return {str(image.reference(repository)): image.contract for image in images_in(folder)}


def pushed_to(folder: Path) -> str | None:
    """The registry that the layout was last pushed to."""
    try:
        return (folder / _PUSHED_TO).read_text().strip() or None
    except FileNotFoundError:
        return None


async def push_all(terminal: Terminal, folder: Path, registry: str, insecure: bool) -> None:
    """Pushes every image of the layout. Raises CommandFailed."""
    registry = registry.rstrip("/")
    stored = images_in(folder)
    slim = [image.name for image in stored if image.runtime == images.HOST_PYTHON]
    if slim:
        raise CommandFailed(
            f"these images hold no interpreter, so only `kubernaut dev` could run them: {', '.join(slim)}",
            mend="Build whole ones on Debian with: kubernaut images build --base debian",
        )
    layout = ImageLayout(folder)
    host = registry.partition("/")[0]
    previous: str | None = None
    try:
        async with RegistryClient(credentials_of(terminal), plain_http=[host] if insecure else ()) as client:
            for image in stored:
                target = Reference.parse(f"{registry}/{image.name}:{image.tag}")
                await push_image(client, layout, image.digest, target, mount_from=previous)
                previous = target.repository
                terminal.say(f"pushed {target}@{image.digest}")
    except ImageError as error:
        raise CommandFailed(
            str(error), mend="Is the registry right, and are you logged in to it?", code=Exit.UNREACHABLE
        ) from error
    (folder / _PUSHED_TO).write_text(f"{registry}\n")
    terminal.remark("next: kubernaut install --apply")


def _stored(layout: ImageLayout, full_name: str, digest: str) -> StoredImage:
    manifest = layout.manifest(digest)
    labels = layout.config(manifest).labels
    name, _, tag = full_name.rpartition(":")
    label = labels.get(IMAGE_LABEL_CONTRACT)
    return StoredImage(
        name,
        tag,
        digest,
        sum(layer.size for layer in manifest.layers),
        labels.get(images.RUNTIME_LABEL, ""),
        msgspec.json.decode(label, type=ActionContract) if label else None,
    )


def credentials_of(terminal: Terminal) -> DockerCredentials:
    """What `docker login` and `podman login` were told."""
    return DockerCredentials(login_files(terminal))


def login_files(terminal: Terminal) -> tuple[Path, ...]:
    """The files in which they keep it; there or not."""
    variables = terminal.environment
    home = variables.get("HOME") or "/"
    files = [
        variables.get("REGISTRY_AUTH_FILE"),
        f"{variables['XDG_RUNTIME_DIR']}/containers/auth.json" if variables.get("XDG_RUNTIME_DIR") else None,
        f"{variables.get('DOCKER_CONFIG') or home + '/.docker'}/config.json",
    ]
    return tuple(Path(file) for file in files if file)
