import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from kubernaut.oci import (
    ContentInvalid,
    ImageLayout,
    ImageRecipe,
    Layer,
    LayerFile,
    build_image,
    build_layer,
    sha256,
    unpack_image,
)
from kubernaut.oci.media import OCI_LAYER_GZIP


def entry(name: str, content: bytes = b"", **attributes: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, content


def raw_layer(layout: ImageLayout, *entries: tuple[tarfile.TarInfo, bytes]) -> Layer:
    """A layer as someone else, perhaps with bad intentions, would make it."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return Layer(layout.write(gzip.compress(plain.getvalue()), OCI_LAYER_GZIP), sha256(plain.getvalue()))


def unpack(layout: ImageLayout, folder: Path, *layers: Layer, limit_bytes: int = 1 << 24) -> Path:
    image = build_image(layout, layers, ImageRecipe(entrypoint=("/x",), user="65532"))
    config = unpack_image(layout, image.digest, folder, limit_bytes=limit_bytes)
    assert config.config is not None
    assert config.config.user == "65532"
    return folder


def names(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*")}


def test_layers_lie_over_each_other_and_whiteouts_hide(layout: ImageLayout, tmp_path: Path) -> None:
    lower = build_layer(
        layout,
        [LayerFile(f"{d}/{f}", content=b"1") for d in ("keep", "opaque") for f in ("a", "b")]
        + [LayerFile("gone/deep/c", content=b"1")],
    )
    upper = build_layer(
        layout,
        [
            LayerFile("keep/a", mode=0o755, content=b"2"),
            LayerFile("opaque/new", content=b"2"),
            LayerFile("opaque/.wh..wh..opq", content=b""),
            LayerFile(".wh.gone", content=b""),
        ],
    )
    root = unpack(layout, tmp_path / "root", lower, upper)
    assert names(root) == {"keep", "keep/a", "keep/b", "opaque", "opaque/new"}
    assert (root / "keep/a").read_bytes() == b"2"
    assert os.access(root / "keep/a", os.X_OK)


def test_a_layer_may_write_through_a_link_that_stays_inside(layout: ImageLayout, tmp_path: Path) -> None:
    lower = build_layer(layout, [LayerFile("usr/lib/a", content=b"1"), LayerFile("lib", link="/usr/lib")])
    upper = raw_layer(layout, entry("lib/b", b"2"))
    root = unpack(layout, tmp_path / "root", lower, upper)
    assert (root / "usr/lib/b").read_bytes() == b"2"
    assert (root / "lib").is_symlink()


@pytest.mark.parametrize("target", ["{outside}", "../../../../../..{outside}", "up"])
def test_no_link_leads_a_layer_out_of_the_folder(layout: ImageLayout, tmp_path: Path, target: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = target.format(outside=outside)
    layer = raw_layer(
        layout,
        entry("up", type=tarfile.SYMTYPE, linkname=str(outside)),
        entry("trap", type=tarfile.SYMTYPE, linkname=link),
        entry("trap/file", b"evil"),
        entry("trap2", type=tarfile.SYMTYPE, linkname=f"{outside}/file2"),
        entry("trap2", b"evil"),
    )
    unpack(layout, tmp_path / "root", layer)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    "bad",
    [
        entry("../file", b"evil"),
        entry("a/../../file", b"evil"),
        entry("hard", type=tarfile.LNKTYPE, linkname="absent"),
        entry(".wh..", b""),
        entry(".wh...", b""),
    ],
    ids=lambda e: f"{e[0].name} {e[0].linkname}",
)
def test_a_layer_that_leads_upwards_is_refused(
    layout: ImageLayout, tmp_path: Path, bad: tuple[tarfile.TarInfo, bytes]
) -> None:
    with pytest.raises(ContentInvalid):
        unpack(layout, tmp_path / "inner" / "root", raw_layer(layout, bad))
    assert not (tmp_path / "inner" / "file").exists()


def test_a_circle_of_links_ends(layout: ImageLayout, tmp_path: Path) -> None:
    layer = raw_layer(
        layout,
        entry("a", type=tarfile.SYMTYPE, linkname="b"),
        entry("b", type=tarfile.SYMTYPE, linkname="a"),
        entry("a/file", b""),
    )
    with pytest.raises(ContentInvalid, match="too many symbolic links"):
        unpack(layout, tmp_path / "root", layer)


def test_devices_are_left_out_and_set_id_bits_dropped(layout: ImageLayout, tmp_path: Path) -> None:
    layer = raw_layer(
        layout,
        entry("dev/sda", type=tarfile.BLKTYPE),
        entry("fifo", type=tarfile.FIFOTYPE),
        entry("su", b"#!", mode=0o4755),
    )
    root = unpack(layout, tmp_path / "root", layer)
    assert names(root) == {"dev", "su"}
    assert (root / "su").stat().st_mode & 0o7777 == 0o755


def test_hard_links_hold(layout: ImageLayout, tmp_path: Path) -> None:
    layer = raw_layer(layout, entry("a/b", b"1"), entry("c", type=tarfile.LNKTYPE, linkname="a/b"))
    root = unpack(layout, tmp_path / "root", layer)
    assert (root / "c").samefile(root / "a/b")


def test_a_small_layer_cannot_fill_the_disk(layout: ImageLayout, tmp_path: Path) -> None:
    bomb = build_layer(layout, [LayerFile("zeros", content=bytes(1 << 20))])
    assert bomb.descriptor.size < 1 << 12
    with pytest.raises(ContentInvalid, match="more bytes than are allowed"):
        unpack(layout, tmp_path / "root", bomb, limit_bytes=1 << 19)


def test_a_layer_other_than_its_diff_id_is_refused(layout: ImageLayout, tmp_path: Path) -> None:
    layer = build_layer(layout, [LayerFile("a", content=b"1")])
    other = build_layer(layout, [LayerFile("a", content=b"2")])
    with pytest.raises(ContentInvalid, match="unpacks to"):
        unpack(layout, tmp_path / "root", Layer(layer.descriptor, other.diff_id))


def test_damaged_bytes_are_refused(layout: ImageLayout, tmp_path: Path) -> None:
    layer = build_layer(layout, [LayerFile("a", content=bytes(range(256)) * 100)])
    path = layout.path(layer.descriptor.digest)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ContentInvalid):
        unpack(layout, tmp_path / "root", layer)


def test_images_with_a_common_base_share_its_files_and_keep_their_own(layout: ImageLayout, tmp_path: Path) -> None:
    base = [
        build_layer(layout, [LayerFile("usr/bin/tool", 0o755, content=b"1"), LayerFile("bin", link="usr/bin")]),
        build_layer(layout, [LayerFile("etc/text", content=b"base")]),
    ]
    tops = [build_layer(layout, [LayerFile("etc/text", content=content)]) for content in (b"one", b"two")]
    roots: list[Path] = []
    for number, top in enumerate(tops):
        image = build_image(layout, [*base, top], ImageRecipe(entrypoint=("/x",)))
        roots.append(tmp_path / f"root{number}")
        unpack_image(layout, image.digest, roots[-1], shared=tmp_path / "shared")
    assert [(root / "etc/text").read_bytes() for root in roots] == [b"one", b"two"]
    assert (roots[0] / "usr/bin/tool").samefile(roots[1] / "usr/bin/tool")
    assert all((root / "bin").is_symlink() and os.access(root / "bin/tool", os.X_OK) for root in roots)
    assert [p for p in (tmp_path / "shared").iterdir() if p.name.startswith(".")] == []
