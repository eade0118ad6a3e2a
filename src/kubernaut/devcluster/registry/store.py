"""What has been pushed, as files: blobs by digest, shared by all repositories; manifests and tags by repository.

`blobs/sha256/<hex>`, `repositories/<quoted name>/manifests/<digest>` (its media type), `.../tags/<tag>` (a
digest), `.../layers/<digest>` (empty: this repository may serve that blob), `uploads/<id>` (what is on its way).
Files appear whole, so a reader never sees half of one, whatever ends the process.
"""

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

import msgspec

from kubernaut.oci.media import Descriptor, sha256
from kubernaut.oci.reference import is_digest

_CHUNK = 1 << 20
_IMAGE_INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest as it was pushed."""

    digest: str
    media_type: str
    content: bytes


class _Content(msgspec.Struct, frozen=True, rename="camel"):
    """What a manifest or an index points to."""

    media_type: str = ""
    artifact_type: str = ""
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    annotations: dict[str, str] = {}


class ManifestInvalid(Exception):
    """What was pushed as a manifest is none; `code` is the specification's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class FolderStore:
    """Everything that a registry holds. Nothing here waits for anybody but the disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("blobs/sha256", "repositories", "uploads"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    # -- blobs -------------------------------------------------------------------------------------

    def blob(self, repository: str, digest: str) -> Path | None:
        """The file of a blob that was pushed to, or mounted into, the repository."""
        if not (is_digest(digest) and (self._part(repository, "layers") / digest).exists()):
            return None
        path = self._blob_path(digest)
        return path if path.exists() else None

    def mount(self, repository: str, digest: str, source: str) -> bool:
        """Let the repository have a blob of another one; False when that has none."""
        if self.blob(source, digest) is None:
            return False
        self._link(repository, digest)
        return True

    def forget_blob(self, repository: str, digest: str) -> bool:
        """Take a blob from a repository; its bytes stay for others."""
        if self.blob(repository, digest) is None:
            return False
        (self._part(repository, "layers") / digest).unlink()
        return True

    # -- uploads -----------------------------------------------------------------------------------

    def begin_upload(self) -> str:
        """A new upload's id."""
        name = secrets.token_hex(16)
        (self.folder / "uploads" / name).touch()
        return name

    def upload(self, name: str) -> Path | None:
        """The file of an upload under way."""
        path = self.folder / "uploads" / name
        return path if name.isalnum() and path.exists() else None

    def finish_upload(self, repository: str, upload: Path, digest: str) -> bool:
        """Make an upload a blob of the repository; False, and it is forgotten, when its digest is another."""
        algorithm = digest.partition(":")[0]
        if _digest_of(upload, algorithm) != digest:
            upload.unlink()
            return False
        target = self._blob_path(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        upload.replace(target)
        self._link(repository, digest)
        return True

    # -- manifests ---------------------------------------------------------------------------------

    def manifest(self, repository: str, target: str) -> StoredManifest | None:
        """By digest or tag."""
        digest = target
        if not is_digest(target):
            try:
                digest = (self._part(repository, "tags") / quote(target, safe="")).read_text()
            except OSError:
                return None
        try:
            media_type = (self._part(repository, "manifests") / digest).read_text()
            return StoredManifest(digest, media_type, self._blob_path(digest).read_bytes())
        except OSError:
            return None

    def put_manifest(self, repository: str, target: str, media_type: str, content: bytes) -> tuple[str, str]:
        """Store it under a tag or its digest; returns its digest and that of its subject, "" when it has none.

        Raises ManifestInvalid: not JSON, another digest than named, or something that it points to is not here.
        """
        try:
            held = msgspec.json.decode(content, type=_Content)
        except msgspec.DecodeError as error:
            raise ManifestInvalid("MANIFEST_INVALID", f"not a manifest: {error}") from error
        digest = sha256(content)
        if is_digest(target):
            if not target.startswith("sha256:"):
                raise ManifestInvalid("DIGEST_INVALID", "manifests are stored by sha256 here")
            if target != digest:
                raise ManifestInvalid("DIGEST_INVALID", f"the manifest's digest is {digest}")
        for blob in (*held.layers, *([held.config] if held.config else ())):
            if self.blob(repository, blob.digest) is None:
                raise ManifestInvalid("MANIFEST_BLOB_UNKNOWN", f"blob unknown to registry: {blob.digest}")
        for entry in held.manifests:
            if self.manifest(repository, entry.digest) is None:
                raise ManifestInvalid("MANIFEST_BLOB_UNKNOWN", f"manifest unknown to registry: {entry.digest}")
        _write(self._blob_path(digest), content)
        _write(self._part(repository, "manifests") / digest, media_type.encode())
        if not is_digest(target):
            _write(self._part(repository, "tags") / quote(target, safe=""), digest.encode())
        return digest, held.subject.digest if held.subject else ""

    def forget_manifest(self, repository: str, target: str) -> bool:
        """A tag alone, or a manifest with all of its tags."""
        found = self.manifest(repository, target)
        if found is None:
            return False
        tags = self._part(repository, "tags")
        if not is_digest(target):
            (tags / quote(target, safe="")).unlink()
            return True
        (self._part(repository, "manifests") / found.digest).unlink()
        for tag in self.tags(repository) or ():
            path = tags / quote(tag, safe="")
            if path.read_text() == found.digest:
                path.unlink()
        return True

    def tags(self, repository: str) -> list[str] | None:
        """In order; None when there is no such repository."""
        if not self._repository(repository).is_dir():
            return None
        tags = self._part(repository, "tags")
        return sorted(unquote(path.name) for path in tags.iterdir()) if tags.is_dir() else []

    def repositories(self) -> list[str]:
        return sorted(unquote(path.name) for path in (self.folder / "repositories").iterdir())

    def referrers(self, repository: str, digest: str, artifact_type: str = "") -> bytes:
        """The index of the manifests whose subject has this digest."""
        found: list[dict[str, object]] = []
        manifests = self._part(repository, "manifests")
        for path in sorted(manifests.iterdir()) if manifests.is_dir() else ():
            stored = self.manifest(repository, path.name)
            held = msgspec.json.decode(stored.content, type=_Content) if stored else None
            if stored is None or held is None or held.subject is None or held.subject.digest != digest:
                continue
            kind = held.artifact_type or (held.config.media_type if held.config else "")
            if artifact_type and kind != artifact_type:
                continue
            entry: dict[str, object] = {
                "mediaType": stored.media_type,
                "digest": stored.digest,
                "size": len(stored.content),
                "artifactType": kind,
            }
            found.append({**entry, **({"annotations": held.annotations} if held.annotations else {})})
        return msgspec.json.encode({"schemaVersion": 2, "mediaType": _IMAGE_INDEX, "manifests": found})

    # -- places ------------------------------------------------------------------------------------

    def _repository(self, repository: str) -> Path:
        # One folder for a name with slashes: `a` and `a/b` are both repositories.
        return self.folder / "repositories" / quote(repository, safe="")

    def _part(self, repository: str, part: str) -> Path:
        return self._repository(repository) / part

    def _blob_path(self, digest: str) -> Path:
        algorithm, _, hexadecimal = digest.partition(":")
        return self.folder / "blobs" / algorithm / hexadecimal

    def _link(self, repository: str, digest: str) -> None:
        path = self._part(repository, "layers") / digest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _digest_of(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}")
    beside.write_bytes(content)
    os.replace(beside, path)
