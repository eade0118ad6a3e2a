"""A tiny image with a shell, for embedded clusters that run processes."""

from pathlib import Path

from kubernaut.oci import ImageLayout, ImageRecipe, LayerFile, build_image, build_layer
from peers import peer

_APPLETS = ("sh", "sleep", "cat", "echo", "test")


def shell_image(folder: Path) -> tuple[Path, str]:
    """The layout's folder, and the name of the image in it."""
    files = [LayerFile("/bin/busybox", 0o755, source=Path(peer("busybox")))]
    files += [LayerFile(f"/bin/{applet}", link="busybox") for applet in _APPLETS]
    layout = ImageLayout.create(folder)
    image = build_image(layout, [build_layer(layout, files)], ImageRecipe(entrypoint=(), env={"PATH": "/bin"}))
    layout.name("local/shell:1", image)
    return folder, "local/shell:1"
