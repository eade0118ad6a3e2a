import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubernaut.oci import Reference, ReferenceInvalid

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest"),
    [
        ("busybox", "docker.io", "library/busybox", None, None),
        ("busybox:1.36", "docker.io", "library/busybox", "1.36", None),
        ("company/app", "docker.io", "company/app", None, None),
        ("index.docker.io/company/app", "docker.io", "company/app", None, None),
        ("localhost/app", "localhost", "app", None, None),
        ("localhost:5000/a/b/c:v1", "localhost:5000", "a/b/c", "v1", None),
        ("[::1]:5000/app", "[::1]:5000", "app", None, None),
        ("ghcr.io/kubernaut/actions/scale:v1@" + DIGEST, "ghcr.io", "kubernaut/actions/scale", "v1", DIGEST),
        ("ghcr.io/a__b/c-d.e@" + DIGEST, "ghcr.io", "a__b/c-d.e", None, DIGEST),
    ],
)
def test_references_are_read_as_docker_reads_them(
    text: str, registry: str, repository: str, tag: str | None, digest: str | None
) -> None:
    reference = Reference.parse(text)
    assert reference == Reference(registry, repository, tag, digest)
    assert Reference.parse(str(reference)) == reference
    assert reference.is_pinned == (digest is not None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ghcr.io/Upper",
        "a//b",
        "a/b:",
        "a/b:-tag",
        "a@sha256:123",
        "a@",
        "a@md5:" + "a" * 32,
        "http://host/x",
        "host:port/x",
        "a b",
        "ghcr.io/../x",
        "ghcr.io/a:" + "t" * 129,
        "ghcr.io/" + "a" * 256,
        "-bad.host/x",
        "a\nb",
        "ghcr.io/a\n",
    ],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(ReferenceInvalid):
        Reference.parse(text)


def test_docker_hub_is_asked_at_its_own_host() -> None:
    assert Reference.parse("busybox").api_host == "registry-1.docker.io"
    assert Reference.parse("ghcr.io/a/b").api_host == "ghcr.io"


def test_a_digest_is_asked_for_before_a_tag() -> None:
    assert Reference.parse("a/b").target == "latest"
    assert Reference.parse("a/b:v1").target == "v1"
    assert Reference.parse("a/b:v1@" + DIGEST).target == DIGEST


@given(st.text("abzA09.:/@-_[]\n é", max_size=60))
def test_any_text_is_read_or_refused_and_what_is_read_prints_to_itself(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except ReferenceInvalid:
        return
    assert Reference.parse(str(reference)) == reference
