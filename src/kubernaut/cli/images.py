"""Kubernaut's own images: one for each shipped action, and one for the controller.

Layers, lowest first: Debian with Python, the libraries, kubernaut's rooms, and per action its contract and
entrypoint; all but the last are the same for all actions. On a machine where the Debian base cannot be made the
images are slim: they carry no interpreter, say so in the label `ai.kubernaut.runtime: host-python`, and only the
embedded cluster runs them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec
import yaml

import kubernaut
from kubernaut.actions import SHIPPED
from kubernaut.api.contract import ActionContract
from kubernaut.api.meta import to_object
from kubernaut.api.names import (
    CONFIG_MAP_DEPENDENCIES_PATH,
    CONTRACT_PATH,
    ENTRYPOINT_PATH,
    IMAGE_LABEL_CONTRACT,
    INPUTS_PATH,
    SECRET_DEPENDENCIES_PATH,
    SECRETS_PATH,
    WORKSPACE_PATH,
    short_type,
)
from kubernaut.cli import debian, layers
from kubernaut.oci import (
    ContentInvalid,
    Descriptor,
    ImageLayout,
    ImageRecipe,
    Layer,
    LayerFile,
    Reference,
    build_image,
    build_layer,
)
from kubernaut.sdk.declare import AnyAction
from kubernaut.sdk.entrypoint import find_action

RUNTIME_LABEL = "ai.kubernaut.runtime"
HOST_PYTHON = "host-python"
OTHER_LANGUAGE = "other"
AUTHORS_FOLDER = "opt/action/src"
REPOSITORY = "ghcr.io/kubernaut/actions"
"""Where images are said to be unless they are pushed elsewhere."""

SDK_ROOMS = ("api", "concurrency", "cluster", "telemetry", "sdk", "actions")
# PyYAML reads a kubeconfig where an image is run by hand; in a pod it is not even imported.
SDK_LIBRARIES = ("aiohttp", "msgspec", "pyyaml")
_USER = "65532"
_SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"

Base = Literal["auto", "debian", "slim"]
Say = Callable[[str], None]

_ENTRYPOINT = """\
#!{interpreter}
import os, sys
# Where this file lies is the image's root, also where it runs without a container around it.
root = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(root, folder) for folder in {folders!r}]
from kubernaut.sdk.entrypoint import main
main({module!r})
"""


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image that lies in a layout."""

    name: str
    """Without registry and tag: `scale-deployment`."""
    tag: str
    image: Descriptor
    size_bytes: int
    """Of all its packed layers; layers shared with other images are counted in each."""
    contract: ActionContract | None
    runtime: str
    """`bundled`, or `host-python` for a slim image."""

    def reference(self, repository: str = REPOSITORY) -> Reference:
        """The image by digest, in a repository such as `ghcr.io/kubernaut/actions`."""
        return Reference.parse(f"{repository}/{self.name}:{self.tag}").with_digest(self.image.digest)


@dataclass(frozen=True, slots=True)
class AuthorsAction:
    """An action that somebody else has written with the sdk."""

    action: AnyAction
    module: str
    sources: Path
    """What belongs on the path of modules."""
    libraries: Sequence[str] = ()
    """Installed distributions that it needs besides the sdk's."""


@dataclass(frozen=True, slots=True)
class _Ground:
    """The layers that several images share."""

    layers: tuple[Layer, ...]
    runtime: str
    interpreter: str
    folders: tuple[str, ...]


def build_action_images(
    layout_folder: Path,
    *,
    cache: Path,
    base: Base = "auto",
    modules: Sequence[str] = SHIPPED,
    say: Callable[[str], None] | None = None,
) -> list[BuiltImage]:
    """Build the images of these action modules into an OCI layout, named `<name>:<tag>` in it.

    cache: a folder that is kept between runs (packed layers, about 40 MB).
    base: `auto` takes Debian where it can be made and says so where not; `debian` raises NoBase instead.

    Raises ContentInvalid when an action cannot be packed.
    """
    layout = ImageLayout.create(layout_folder)
    kept = layers.LayerCache(cache)
    ground = _ground(layout, kept, base, SDK_LIBRARIES, SDK_ROOMS, say or _silent)
    return [_build_action(layout, ground, find_action(module), module) for module in modules]


def build_authors_image(
    layout_folder: Path, author: AuthorsAction, *, cache: Path, base: Base = "auto", say: Say | None = None
) -> BuiltImage:
    """Build the image of an action that is not kubernaut's own; arguments and errors as above."""
    layout = ImageLayout.create(layout_folder)
    kept = layers.LayerCache(cache)
    say = say or _silent
    ground = _ground(layout, kept, base, (*SDK_LIBRARIES, *author.libraries), SDK_ROOMS, say)
    with layers.staging_folder(kept) as staging:
        code = build_layer(layout, layers.folder_files(author.sources, Path(staging), AUTHORS_FOLDER))
    ground = replace(ground, layers=(*ground.layers, code), folders=(AUTHORS_FOLDER, *ground.folders))
    return _build_action(layout, ground, author.action, author.module)


def build_plain_image(
    layout_folder: Path, contract: ActionContract, files: Sequence[LayerFile], entrypoint: Sequence[str]
) -> BuiltImage:
    """Build an image from files alone: an action in any language, without our runner.

    Raises ContentInvalid when the files cannot be packed.
    """
    layout = ImageLayout.create(layout_folder)
    document, label = _contract_texts(contract)
    ground = _Ground((build_layer(layout, files),), OTHER_LANGUAGE, "", ())
    top = build_layer(layout, [LayerFile(CONTRACT_PATH, content=document), *_mount_points()])
    recipe = replace(_recipe(ground, "", {IMAGE_LABEL_CONTRACT: label}), entrypoint=tuple(entrypoint))
    return _finish(layout, ground, top, recipe, short_type(contract.metadata.name), _tag(contract), contract)


def build_controller_image(
    layout_folder: Path, *, cache: Path, base: Base = "auto", say: Callable[[str], None] | None = None
) -> BuiltImage:
    """Build the image whose entrypoint is `kubernaut` (run it with `controller`); errors as above."""
    layout = ImageLayout.create(layout_folder)
    kept = layers.LayerCache(cache)
    ground = _ground(layout, kept, base, ("kubernaut",), (), say or _silent)
    start = _entrypoint(ground, "kubernaut.cli").replace(
        "from kubernaut.sdk.entrypoint import main\nmain('kubernaut.cli')",
        "from kubernaut.cli import main\nmain()",
    )
    top = build_layer(layout, [LayerFile("kubernaut", 0o755, content=start.encode())])
    recipe = _recipe(ground, "/kubernaut", {})
    return _finish(layout, ground, top, recipe, "controller", kubernaut.__version__, None)


def _build_action(layout: ImageLayout, ground: _Ground, action: AnyAction, module: str) -> BuiltImage:
    document, label = _contract_texts(action.contract)
    top = build_layer(
        layout,
        [
            LayerFile(CONTRACT_PATH, content=document),
            LayerFile(ENTRYPOINT_PATH, 0o755, content=_entrypoint(ground, module).encode()),
            *_mount_points(),
        ],
    )
    recipe = _recipe(ground, ENTRYPOINT_PATH, {IMAGE_LABEL_CONTRACT: label})
    return _finish(layout, ground, top, recipe, short_type(action.name), _tag(action.contract), action.contract)


def _contract_texts(contract: ActionContract) -> tuple[bytes, str]:
    """The contract as the file and as the label of an image."""
    label = msgspec.json.encode(to_object(contract), order="sorted")
    document = yaml.safe_dump(to_object(contract), sort_keys=False, allow_unicode=True, width=110).encode()
    check_contract(document, label)
    return document, label.decode()


def _mount_points() -> list[LayerFile]:
    folders = (
        *(WORKSPACE_PATH, INPUTS_PATH, SECRETS_PATH, _SERVICE_ACCOUNT),
        *(SECRET_DEPENDENCIES_PATH, CONFIG_MAP_DEPENDENCIES_PATH),
    )
    return [LayerFile(folder, 0o755) for folder in folders]


def _tag(contract: ActionContract) -> str:
    return f"v{contract.metadata.version.lstrip('v')}"


def check_contract(document: bytes, label: bytes) -> None:
    """Raise ContentInvalid unless the file and the label of an image say the same."""
    if msgspec.json.decode(label) != yaml.safe_load(document):
        raise ContentInvalid(f"{CONTRACT_PATH} and the label {IMAGE_LABEL_CONTRACT} differ")
    try:
        msgspec.json.decode(label, type=ActionContract)
    except msgspec.DecodeError as error:
        raise ContentInvalid(f"the label {IMAGE_LABEL_CONTRACT} is no ActionContract: {error}") from error


def _finish(
    layout: ImageLayout,
    ground: _Ground,
    top: Layer,
    recipe: ImageRecipe,
    name: str,
    tag: str,
    contract: ActionContract | None,
) -> BuiltImage:
    stack = (*ground.layers, top)
    image = build_image(layout, stack, recipe)
    layout.name(f"{name}:{tag}", image)
    size = sum(layer.descriptor.size for layer in stack)
    return BuiltImage(name, tag, image, size, contract, ground.runtime)


def _recipe(ground: _Ground, entrypoint: str, labels: Mapping[str, str]) -> ImageRecipe:
    slim = ground.runtime == HOST_PYTHON
    return ImageRecipe(
        # The embedded cluster puts its own interpreter in the place of a bare `python3`.
        entrypoint=("python3", entrypoint) if slim else (entrypoint,),
        user=_USER,
        env={"HOME": "/tmp", "LANG": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin", "TMPDIR": "/tmp"},
        labels={
            **labels,
            RUNTIME_LABEL: ground.runtime,
            "org.opencontainers.image.version": kubernaut.__version__,
            "org.opencontainers.image.licenses": "Apache-2.0",
        },
    )


def _ground(
    layout: ImageLayout,
    cache: layers.LayerCache,
    base: Base,
    libraries: Sequence[str],
    rooms: Sequence[str],
    say: Callable[[str], None],
) -> _Ground:
    code = _code_layer(layout, cache, rooms)
    if base != "slim":
        try:
            packages = debian.find_packages()
            lower = _base_layer(layout, cache, packages, say)
        except debian.NoBase as error:
            if base == "debian":
                raise
            say(f"no Debian base can be made here: {error}")
            say("the images are slim: they carry no Python, and only `kubernaut dev` runs them")
        else:
            folders = (layers.CODE_FOLDER, layers.LIBRARY_FOLDER)
            stack = (lower, _library_layer(layout, cache, libraries, say), code)
            return _Ground(stack, "bundled", f"/usr/bin/{debian.PYTHON} -IS", folders)
    return _Ground((code,), HOST_PYTHON, "/usr/bin/env python3", (layers.CODE_FOLDER,))


def _base_layer(
    layout: ImageLayout, cache: layers.LayerCache, packages: list[str], say: Callable[[str], None]
) -> Layer:
    with layers.staging_folder(cache) as staging:

        def files() -> list[LayerFile]:
            say(f"making the Debian base from {len(packages)} packages")
            return debian.base_files(packages, Path(staging))

        return cache.layer(f"debian {' '.join(packages)}", files, layout)


def _library_layer(
    layout: ImageLayout, cache: layers.LayerCache, roots: Sequence[str], say: Callable[[str], None]
) -> Layer:
    needed = [d for d in layers.required_distributions(roots) if d.name != "kubernaut"]
    with layers.staging_folder(cache) as staging:

        def files() -> list[LayerFile]:
            say(f"packing {len(needed)} libraries")
            return layers.library_files(needed, Path(staging))

        return cache.layer(layers.library_key(needed), files, layout)


def _code_layer(layout: ImageLayout, cache: layers.LayerCache, rooms: Sequence[str]) -> Layer:
    package = Path(kubernaut.__file__).parent
    with layers.staging_folder(cache) as staging:
        return cache.layer(
            layers.code_key(package, rooms), lambda: layers.code_files(package, rooms, Path(staging)), layout
        )


def _entrypoint(ground: _Ground, module: str) -> str:
    return _ENTRYPOINT.format(interpreter=ground.interpreter, folders=ground.folders, module=module)


def _silent(_: str) -> None:
    return None
