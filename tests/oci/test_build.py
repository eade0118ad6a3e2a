import os
from pathlib import Path

import pytest

from kubernaut.oci import (
    ContentInvalid,
    Descriptor,
    ImageLayout,
    ImageRecipe,
    LayerFile,
    NotInRegistry,
    build_image,
    build_layer,
    files_below,
)


def tree(folder: Path) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "tool").write_bytes(b"#!/bin/sh\n")
    (folder / "bin" / "tool").chmod(0o755)
    (folder / "etc").mkdir()
    (folder / "etc" / "text").write_text("hello\n")
    (folder / "link").symlink_to("etc/text")
    return folder


def image_of(folder: Path, layout: ImageLayout) -> Descriptor:
    layer = build_layer(layout, files_below(folder))
    return build_image(layout, [layer], ImageRecipe(entrypoint=("/bin/tool",), labels={"a": "b"}))


def test_the_same_files_give_the_same_digest_whatever_their_times_owners_and_umask(tmp_path: Path) -> None:
    first = image_of(tree(tmp_path / "one"), ImageLayout.create(tmp_path / "l1"))
    other = tree(tmp_path / "two")
    for number, path in enumerate(sorted(other.rglob("*"))):
        os.utime(path, (number * 1e6, number * 1e6), follow_symlinks=False)
    (other / "etc" / "text").chmod(0o600)
    assert image_of(other, ImageLayout.create(tmp_path / "l2")).digest == first.digest


def test_other_content_gives_another_digest(tmp_path: Path, layout: ImageLayout) -> None:
    folder = tree(tmp_path / "one")
    first = image_of(folder, layout)
    (folder / "etc" / "text").write_text("other\n")
    assert image_of(folder, layout).digest != first.digest


def test_the_order_of_files_does_not_matter(layout: ImageLayout) -> None:
    files = [LayerFile("/b", content=b"1"), LayerFile("a/c", content=b"2")]
    assert build_layer(layout, files) == build_layer(layout, reversed(files))


@pytest.mark.parametrize("path", ["../x", "a/../../x", "", "/"])
def test_a_layer_takes_no_path_outside_of_itself(layout: ImageLayout, path: str) -> None:
    with pytest.raises(ContentInvalid):
        build_layer(layout, [LayerFile(path, content=b"")])


def test_a_path_cannot_be_folder_and_file(layout: ImageLayout) -> None:
    with pytest.raises(ContentInvalid, match="both a folder and a file"):
        build_layer(layout, [LayerFile("a", content=b""), LayerFile("a/b", content=b"")])


def test_names_in_a_layout_are_moved_to_the_newest_image(layout: ImageLayout) -> None:
    first = build_image(layout, [], ImageRecipe(entrypoint=("/a",)))
    second = build_image(layout, [], ImageRecipe(entrypoint=("/b",)))
    layout.name("x:v1", first)
    layout.name("x:v1", second)
    layout.name("y:v1", first)
    assert {name: d.digest for name, d in layout.images().items()} == {
        "x:v1": second.digest,
        "y:v1": first.digest,
    }


def test_a_damaged_blob_is_never_handed_out(layout: ImageLayout) -> None:
    blob = layout.write(b"good", "text/plain")
    layout.path(blob.digest).write_bytes(b"evil")
    with pytest.raises(ContentInvalid, match="digest"):
        layout.read(blob.digest)
    with pytest.raises(NotInRegistry):
        layout.read("sha256:" + "0" * 64)


def test_a_digest_cannot_name_a_file_outside_of_the_layout(layout: ImageLayout) -> None:
    with pytest.raises(ContentInvalid):
        layout.read("sha256:../../../../etc/passwd")


async def test_a_stream_is_kept_only_when_it_is_what_was_described(layout: ImageLayout) -> None:
    async def parts(*content: bytes):
        for part in content:
            yield part

    blob = layout.write(b"abcdef", "text/plain")
    layout.path(blob.digest).unlink()
    for wrong in ([b"abc"], [b"abcdeX"], [b"abcdef", b"g"]):
        with pytest.raises(ContentInvalid):
            await layout.receive(blob, parts(*wrong))
    assert [p for p in layout.path(blob.digest).parent.iterdir() if p.name.startswith(".incoming")] == []
    await layout.receive(blob, parts(b"abc", b"def"))
    assert layout.read(blob.digest) == b"abcdef"
