"""OCI image layouts made on the spot, from a few files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kubernaut.oci import ImageLayout, ImageRecipe, LayerFile, build_image, build_layer
from peers import peer

BUSYBOX = "/bin/busybox"
HOST_PYTHON = {"ai.kubernaut.runtime": "host-python"}


def make_layout(folder: Path, name: str, files: Sequence[LayerFile], **config: Any) -> str:
    """Write an image of one layer under a name; returns its digest. `config` as of ImageRecipe."""
    layout = ImageLayout.create(folder)
    image = build_image(layout, [build_layer(layout, files)], ImageRecipe(**{"entrypoint": (), **config}))
    layout.name(name, image)
    return image.digest


def busybox_image(folder: Path, name: str = "local/busybox:1", **config: Any) -> str:
    """A tiny static image, of Debian's busybox-static."""
    program = peer("busybox")
    files = [LayerFile(BUSYBOX, 0o755, source=Path(program))]
    files += [
        LayerFile(f"/bin/{applet}", link="busybox") for applet in ("sh", "sleep", "cat", "id", "ls", "touch")
    ]
    return make_layout(folder, name, files, **{"env": {"PATH": "/bin"}, **config})


def python_image(folder: Path, script: str, name: str = "local/action:1", **config: Any) -> str:
    """An image without an interpreter: one script that the host's Python runs."""
    settings = {"entrypoint": ("python3", "/app/main.py"), "labels": HOST_PYTHON, **config}
    return make_layout(folder, name, [LayerFile("/app/main.py", content=script.encode())], **settings)
