"""Where the example files are: beside the sources in a checkout, inside the package where it is installed."""

from pathlib import Path

from kubernaut.cli.failures import CommandFailed

_PACKAGE = Path(__file__).resolve().parent.parent


def example(name: str) -> Path:
    """The file of an example. Raises CommandFailed where it is missing."""
    for folder in (_PACKAGE / "examples", _PACKAGE.parent.parent / "examples"):
        if (folder / name).is_file():
            return folder / name
    raise CommandFailed(f"the example {name} is missing from this installation")
