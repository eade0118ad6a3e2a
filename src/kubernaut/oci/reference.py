"""Image references: `registry/repository:tag@digest`, read the way Docker's tools read them.

Source of the rules: github.com/distribution/reference (grammar in its reference.go).
"""

import re
from dataclasses import dataclass, replace
from typing import Self

from kubernaut.oci.errors import ReferenceInvalid

DOCKER_HUB = "docker.io"
_DOCKER_HUB_API = "registry-1.docker.io"
_REPOSITORY_LIMIT = 255

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")


def is_digest(text: str) -> bool:
    """Is this a well-formed sha256 or sha512 digest?"""
    return _DIGEST.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Reference:
    """One image's name. `registry` and `repository` are canonical (`docker.io`, `library/busybox`)."""

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reference. Raises ReferenceInvalid, naming the part that is wrong."""
        rest, at, digest = text.partition("@")
        if at and not is_digest(digest):
            raise ReferenceInvalid(f"{text!r}: {digest!r} is not a sha256 or sha512 digest")
        registry, repository_and_tag = _split_registry(rest)
        repository, colon, tag = repository_and_tag.partition(":")
        if colon and not _TAG.fullmatch(tag):
            raise ReferenceInvalid(f"{text!r}: {tag!r} is not a tag")
        if not _REGISTRY.fullmatch(registry):
            raise ReferenceInvalid(f"{text!r}: {registry!r} is not a registry host")
        if registry == DOCKER_HUB and "/" not in repository:
            repository = f"library/{repository}"
        if not _REPOSITORY.fullmatch(repository) or len(repository) > _REPOSITORY_LIMIT:
            raise ReferenceInvalid(
                f"{text!r}: {repository!r} is not a repository name (lower case letters, digits and"
                f" single separators, at most {_REPOSITORY_LIMIT} characters)"
            )
        return cls(registry, repository, tag or None, digest or None)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"

    @property
    def is_pinned(self) -> bool:
        """Does it name exact bytes? A tag may be moved; a digest cannot."""
        return self.digest is not None

    @property
    def target(self) -> str:
        """What to ask a registry for: the digest when there is one, else the tag, else `latest`."""
        return self.digest or self.tag or "latest"

    @property
    def api_host(self) -> str:
        """The host that serves the registry's API; Docker Hub's differs from its name."""
        return _DOCKER_HUB_API if self.registry == DOCKER_HUB else self.registry

    def with_digest(self, digest: str) -> Self:
        """The same repository and tag, pinned. Raises ReferenceInvalid."""
        if not is_digest(digest):
            raise ReferenceInvalid(f"{digest!r} is not a sha256 or sha512 digest")
        return replace(self, digest=digest)


def _split_registry(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    looks_like_host = any(c in first for c in ".:[") or first == "localhost" or first != first.lower()
    if slash and looks_like_host:
        return (DOCKER_HUB if first == "index.docker.io" else first), rest
    return DOCKER_HUB, text
