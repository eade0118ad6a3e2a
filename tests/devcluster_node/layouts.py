"""OCI image layouts made on the spot, from a few files."""

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kubernaut.oci.layout import ImageLayout
from kubernaut.oci.media import OCI_CONFIG, OCI_LAYER_TAR, OCI_MANIFEST, to_json
from peers import peer

BUSYBOX = "/bin/busybox"
HOST_PYTHON = {"ai.kubernaut.runtime": "host-python"}


def layer(files: Mapping[str, bytes | str], *, links: Mapping[str, str] | None = None) -> bytes:
    """A tar archive; text becomes an executable script."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            raw = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(name.lstrip("/"))
            entry.size, entry.mode = len(raw), 0o755
            archive.addfile(entry, io.BytesIO(raw))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return buffer.getvalue()


def make_layout(folder: Path, name: str, layers: Sequence[bytes], **config: Any) -> str:
    """Write an image under a name; returns its digest. `config` has the format's own keys."""
    layout = ImageLayout.create(folder)
    blobs = [layout.write(content, OCI_LAYER_TAR) for content in layers]
    settings = layout.write(to_json({"architecture": "amd64", "os": "linux", "config": config}), OCI_CONFIG)
    manifest = layout.write(
        to_json(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": settings,
                "layers": blobs,
            }
        ),
        OCI_MANIFEST,
    )
    layout.name(name, manifest)
    return manifest.digest


def busybox_image(folder: Path, name: str = "local/busybox:1", **config: Any) -> str:
    """A tiny static image, of Debian's busybox-static."""
    program = peer("busybox")
    links = dict.fromkeys(("bin/sh", "bin/sleep", "bin/cat", "bin/id", "bin/ls", "bin/touch"), "busybox")
    content = layer({BUSYBOX: Path(program).read_bytes()}, links=links)
    return make_layout(folder, name, [content], **{"Env": ["PATH=/bin"], **config})


def python_image(folder: Path, script: str, name: str = "local/action:1", **config: Any) -> str:
    """An image without an interpreter: one script that the host's Python runs."""
    settings = {"Entrypoint": ["python3", "/app/main.py"], "Labels": HOST_PYTHON, **config}
    return make_layout(folder, name, [layer({"/app/main.py": script})], **settings)
