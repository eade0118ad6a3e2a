"""The folder in which somebody writes an action: with the sdk, or in another language beside a contract.

With the sdk it holds a `pyproject.toml` and `src/MODULE`; the module is named by `[tool.kubernaut] module`, else
by the project. In another language it holds `action-contract.yaml`, the program `action-entrypoint` and, if the
program needs more than itself, `action-image.yaml` and a folder `root` with further files of the image.
"""

import sys
import tempfile
import tomllib
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from kubernaut.api import names
from kubernaut.api.contract import ActionContract
from kubernaut.cli import images
from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.oci import LayerFile, files_below
from kubernaut.sdk.declare import AnyAction
from kubernaut.sdk.entrypoint import find_action

CONTRACT_FILE = names.CONTRACT_PATH.removeprefix("/")
PROGRAM_FILE = names.ENTRYPOINT_PATH.removeprefix("/")
IMAGE_FILE = "action-image.yaml"
PROJECT_FILE = "pyproject.toml"


class AuthorsFault(Exception):
    """The author's own code cannot be loaded, or declares what no contract can say."""

    def __init__(self, message: str, file: Path | None = None, line: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.line = line


class _Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`action-image.yaml`."""

    entrypoint: tuple[str, ...] = (names.ENTRYPOINT_PATH,)
    packages: tuple[str, ...] = ()
    """Debian packages whose files go into the image; without what they depend on."""


@dataclass(frozen=True)
class SdkPackage:
    """An action written with the sdk."""

    folder: Path
    module: str
    libraries: tuple[str, ...]

    @property
    def sources(self) -> Path:
        """What belongs on the path of modules."""
        return self.folder / "src"

    @property
    def file(self) -> Path:
        """Where the module stands."""
        path = self.sources.joinpath(*self.module.split("."))
        return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")

    def load(self) -> AnyAction:
        """The action, its module imported anew. Raises AuthorsFault."""
        if not self.file.is_file():
            raise AuthorsFault(f"there is no module {self.module}", self.file)
        top = self.module.partition(".")[0]
        # Another folder may have had a module of this name.
        for name in [name for name in sys.modules if name == top or name.startswith(f"{top}.")]:
            del sys.modules[name]
        with _on_path(self.sources):
            try:
                return find_action(self.module)
            except LookupError as error:
                raise AuthorsFault(str(error), self.file) from error
            except (Exception, SystemExit) as error:  # somebody else's code: anything can happen
                raise AuthorsFault(f"{type(error).__name__}: {error}", *self._place_of(error)) from error

    def _place_of(self, error: BaseException) -> tuple[Path, int]:
        """The last line of the author's on the way to an error."""
        if isinstance(error, SyntaxError) and error.filename:
            return Path(error.filename), error.lineno or 1
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if Path(frame.filename).is_relative_to(self.sources)]
        return (Path(own[-1].filename), own[-1].lineno or 1) if own else (self.file, 1)

    def contract(self) -> ActionContract:
        """Raises AuthorsFault."""
        return self.load().contract

    def build(self, layout: Path, cache: Path, base: images.Base, say: images.Say) -> images.BuiltImage:
        """Its image, in the layout. Raises AuthorsFault, CommandFailed, ContentInvalid, NoBase."""
        for library in self.libraries:
            try:
                metadata.distribution(library)
            except metadata.PackageNotFoundError as error:
                raise CommandFailed(
                    f"{self.folder / PROJECT_FILE} asks for {library}, which is not installed beside kubernaut",
                    mend=f"Install it: pip install {library}. Images hold what is installed here.",
                ) from error
        author = images.AuthorsAction(self.load(), self.module, self.sources, self.libraries)
        return images.build_authors_image(layout, author, cache=cache, base=base, say=say)


@dataclass(frozen=True)
class PlainPackage:
    """An action in another language."""

    folder: Path

    @property
    def file(self) -> Path:
        """Where the contract stands."""
        return self.folder / CONTRACT_FILE

    @property
    def program(self) -> Path:
        """What the image runs."""
        return self.folder / PROGRAM_FILE

    def contract(self) -> ActionContract:
        """Raises CommandFailed with every fault."""
        from kubernaut.cli.contracts import contract_in_file

        return contract_in_file(self.file)

    def recipe(self) -> _Recipe:
        """What `action-image.yaml` says. Raises CommandFailed."""
        from kubernaut.cli.manifests import read_manifests

        path = self.folder / IMAGE_FILE
        if not path.exists():
            return _Recipe()
        documents = [manifest.document for manifest in read_manifests((str(path),))]
        try:
            return msgspec.convert(documents[0] if documents else {}, _Recipe)
        except msgspec.ValidationError as error:
            mend = "It holds `entrypoint` and `packages`, both lists of texts."
            raise CommandFailed(f"{path}: {error}", mend=mend, code=Exit.REFUSED) from error

    def build(self, layout: Path, cache: Path, base: images.Base, say: images.Say) -> images.BuiltImage:
        """Its image, in the layout. Raises CommandFailed, ContentInvalid."""
        from kubernaut.cli.fetching import package_files

        recipe = self.recipe()
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="staging-") as staging:
            files: list[LayerFile] = []
            if recipe.packages:
                say(f"taking the files of {', '.join(recipe.packages)} from Debian")
                files += package_files(recipe.packages, Path(staging))
            if (self.folder / "root").is_dir():
                files += files_below(self.folder / "root")
            if self.program.is_file():
                files.append(LayerFile(PROGRAM_FILE, 0o755, source=self.program))
            elif recipe.entrypoint == (names.ENTRYPOINT_PATH,):
                made = "Make it first: make" if (self.folder / "Makefile").exists() else "Write it."
                raise CommandFailed(f"{self.program} is missing: it is what the image runs", mend=made)
            return images.build_plain_image(layout, self.contract(), files, recipe.entrypoint)


Package = SdkPackage | PlainPackage


def open_package(folder: Path) -> Package:
    """What kind of action a folder holds. Raises CommandFailed."""
    folder = folder.resolve()
    if (folder / CONTRACT_FILE).is_file():
        return PlainPackage(folder)
    project = folder / PROJECT_FILE
    if not project.is_file():
        raise CommandFailed(
            f"{folder} holds no action: neither {PROJECT_FILE} nor {CONTRACT_FILE}",
            mend="Begin one with: kubernaut action init NAME",
            code=Exit.USAGE,
        )
    try:
        settings = tomllib.loads(project.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeError) as error:
        raise CommandFailed(f"{project}: {error}", code=Exit.REFUSED) from error
    about: dict[str, Any] = settings.get("project", {})
    own: dict[str, Any] = settings.get("tool", {}).get("kubernaut", {})
    module = str(own.get("module") or str(about.get("name", "")).replace("-", "_"))
    if not all(part.isidentifier() for part in module.split(".")):
        raise CommandFailed(
            f"{project} names no module", mend='Write [tool.kubernaut] module = "...".', code=Exit.REFUSED
        )
    needed = [str(one) for one in about.get("dependencies", [])]
    return SdkPackage(folder, module, tuple(_distribution(one) for one in needed if _distribution(one)))


def _distribution(requirement: str) -> str:
    """The name in a requirement; empty for kubernaut itself, whose parts an image has anyway."""
    from kubernaut.cli.layers import REQUIREMENT

    named = REQUIREMENT.match(requirement)
    return named[1] if named is not None and named[1].lower() != "kubernaut" else ""


@contextmanager
def _on_path(folder: Path) -> Generator[None]:
    before, keeps = list(sys.path), sys.dont_write_bytecode
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True  # the folder is the author's
    try:
        yield
    finally:
        sys.path[:], sys.dont_write_bytecode = before, keeps
