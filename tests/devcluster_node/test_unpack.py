"""Nothing of a layer reaches outside its folder, and layers hide what they should."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from kubernaut.devcluster.node.unpack import LayerRefused, unpack

from .layouts import layer


def special(name: str, type_: bytes, link: str = "") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = type_, link
        archive.addfile(entry)
    return buffer.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "inner" / "root"
    folder.mkdir(parents=True)
    return folder


def test_layers_lie_over_each_other_compressed_or_not(root: Path) -> None:
    unpack([layer({"a": "1", "b/c": "2"}), gzip.compress(layer({"a": "3"}))], root)
    assert (root / "a").read_text() == "3"
    assert (root / "b/c").read_text() == "2"


def test_a_whiteout_removes_and_an_opaque_one_clears(root: Path) -> None:
    lower = layer({"keep": "1", "gone": "2", "folder/old": "3", "folder/deep/old": "4"})
    upper = layer({".wh.gone": "", "folder/new": "5", "folder/.wh..wh..opq": ""})
    unpack([lower, upper], root)
    assert sorted(p.relative_to(root).as_posix() for p in root.rglob("*")) == ["folder", "folder/new", "keep"]


@pytest.mark.parametrize("name", ["../escape", "a/../../escape"])
def test_a_name_that_climbs_out_is_refused(root: Path, name: str) -> None:
    with pytest.raises(LayerRefused, match="leaves the image"):
        unpack([layer({name: "x"})], root)
    assert not (root.parent / "escape").exists()


def test_an_absolute_name_means_a_place_in_the_image(root: Path) -> None:
    unpack([special("/etc", tarfile.DIRTYPE), layer({"/etc/hosts": "x"})], root)
    assert (root / "etc/hosts").read_text() == "x"


@pytest.mark.parametrize("target", ["../..", "/../..", "../../inner"])
def test_nothing_is_written_through_a_link_that_leads_out(root: Path, target: str) -> None:
    outside = root.parent / "evil"
    layers = [special("way", tarfile.SYMTYPE, target), layer({"way/evil": "x"})]
    with pytest.raises(LayerRefused, match="link that leaves"):
        unpack(layers, root)
    assert not outside.exists()
    assert not (root.parents[1] / "evil").exists()


def test_a_link_to_a_folder_of_the_image_is_followed(root: Path) -> None:
    unpack([layer({"usr/lib/x": "1"}, links={"lib": "usr/lib"}), layer({"lib/y": "2"})], root)
    assert (root / "usr/lib/y").read_text() == "2"
    assert (root / "lib").is_symlink()


def test_a_hard_link_cannot_take_a_file_of_the_host(root: Path) -> None:
    secret = root.parent / "secret"
    secret.write_text("host")
    with pytest.raises(LayerRefused):
        unpack([special("stolen", tarfile.LNKTYPE, "../secret")], root)


def test_devices_are_left_out(root: Path) -> None:
    unpack([special("null", tarfile.CHRTYPE)], root)
    assert not (root / "null").exists()


def test_a_file_replaces_a_link_instead_of_writing_through_it(root: Path) -> None:
    outside = root.parent / "target"
    outside.write_text("untouched")
    unpack([special("f", tarfile.SYMTYPE, str(outside)), layer({"f": "mine"})], root)
    assert outside.read_text() == "untouched"
    assert (root / "f").read_text() == "mine"


def test_what_is_no_archive_is_refused(root: Path) -> None:
    with pytest.raises(LayerRefused):
        unpack([b"\x1f\x8bgarbage"], root)
