"""Files of Debian packages, for images of actions in other languages. None of their scripts runs."""

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from kubernaut.cli.failures import CommandFailed
from kubernaut.oci import LayerFile, files_below

_USELESS = ("usr/share/doc", "usr/share/man", "usr/share/lintian", "usr/share/locale", "usr/share/initramfs-tools")
_MERGED = ("bin", "sbin", "lib", "lib64")
_SECONDS = 300


def package_files(packages: Sequence[str], staging: Path) -> list[LayerFile]:
    """What these packages hold, as apt would download them; not what they depend on. Raises CommandFailed."""
    root = staging / "packages"
    root.mkdir()
    with tempfile.TemporaryDirectory(dir=staging) as downloads:
        # As root, apt would otherwise drop to a user who cannot write here.
        _run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", *packages], Path(downloads))
        for package in sorted(Path(downloads).glob("*.deb")):
            _run(["dpkg-deb", "-x", str(package), str(root)], staging)
    return [file for file in _merged(files_below(root)) if not file.path.startswith(_USELESS)]


def _merged(files: list[LayerFile]) -> list[LayerFile]:
    """/bin is a link to /usr/bin (and so on), as on an installed Debian; packages still bring both."""
    moved: dict[str, LayerFile] = {}
    for file in files:
        top, _, rest = file.path.partition("/")
        path = f"usr/{file.path}" if top in _MERGED and rest else file.path
        if file.path not in _MERGED:
            moved[path] = LayerFile(path, file.mode, file.content, file.source, file.link)
    links = {top: LayerFile(top, 0o777, link=f"usr/{top}") for top in _MERGED}
    return [
        *moved.values(),
        *(link for top, link in links.items() if any(f.startswith(f"usr/{top}/") for f in moved)),
    ]


def _run(command: list[str], folder: Path) -> None:
    mend = "Packages are taken from Debian's own tools: apt-get and dpkg-deb, after apt-get update."
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandFailed(f"{command[0]}: {error}", mend=mend) from error
    if done.returncode:
        raise CommandFailed(f"{' '.join(command[:2])} failed: {done.stderr.strip()[:500]}", mend=mend)
