"""A small Debian root file system with Python, made from packages that apt downloads and checks.

Needs apt-get, apt-cache and dpkg-deb, and no root: packages are taken apart, none of their scripts runs (of their
programs only `openssl rehash`).
Where any of that is missing there is no such base, and images are made without one (`images`).
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from kubernaut.cli.layers import compile_folder
from kubernaut.oci import LayerFile, files_below

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
_PACKAGES = (
    *(f"{PYTHON}-minimal", f"lib{PYTHON}-minimal", f"lib{PYTHON}-stdlib"),
    *("libc6", "libgcc-s1", "libstdc++6", "libcrypt1", "zlib1g", "libssl3", "libexpat1", "libffi8"),
    *("libbz2-1.0", "liblzma5", "libuuid1", "ca-certificates"),
)
# Used while building, and not part of the base.
_TOOLS = ("openssl",)
_MERGED = ("bin", "sbin", "lib", "lib64")
# Documentation, and parts of the standard library that only serve development.
_USELESS = (
    *("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian", "usr/share/bug"),
    *("usr/share/binfmts", "usr/share/python3", "usr/share/perl5", "usr/share/applications", "usr/share/pixmaps"),
    *("usr/sbin", "etc/python3.11", "etc/ca-certificates", "usr/share/gcc", "usr/share/gdb"),
    *(
        f"usr/lib/{PYTHON}/{name}"
        for name in ("lib2to3", "idlelib", "tkinter", "ensurepip", "pydoc_data", "turtledemo", "test", "distutils")
    ),
)
_PASSWD = b"root:x:0:0:root:/root:/usr/sbin/nologin\nnonroot:x:65532:65532:nonroot:/tmp:/usr/sbin/nologin\n"
_GROUP = b"root:x:0:\nnonroot:x:65532:\n"
_SECONDS = 300


class NoBase(Exception):
    """This machine cannot make the base; the text says why."""


def find_packages() -> list[str]:
    """`package=version` of all that the base is made of, as apt would install them. Raises NoBase."""
    missing = [tool for tool in ("apt-get", "apt-cache", "dpkg-deb") if shutil.which(tool) is None]
    if missing:
        raise NoBase(f"{', '.join(missing)} is not on this machine")
    wanted = (*_PACKAGES, *_TOOLS)
    candidates = _candidates()
    if any(not candidates.get(name) for name in wanted) and os.geteuid() == 0:
        _run(["apt-get", "update", "-qq"], Path("/"))
        candidates = _candidates()
    unknown = [name for name in wanted if not candidates.get(name)]
    if unknown:
        raise NoBase(f"apt knows no package {', '.join(unknown)} (this is Python {PYTHON.removeprefix('python')})")
    return [f"{name}={candidates[name]}" for name in wanted]


def base_files(packages: list[str], staging: Path) -> list[LayerFile]:
    """The files of the base. Raises NoBase when the packages cannot be had."""
    root = staging / "root"
    with tempfile.TemporaryDirectory(dir=staging) as downloads:
        # As root, apt would otherwise drop to a user who cannot write here.
        _run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", *packages], Path(downloads))
        for package in sorted(Path(downloads).glob("*.deb")):
            is_tool = package.name.partition("_")[0] in _TOOLS
            _run(["dpkg-deb", "-x", str(package), str(staging / "tools" if is_tool else root)], staging)
    _merge_usr(root)
    for useless in _USELESS:
        shutil.rmtree(root / useless, ignore_errors=True)
    _trust_authorities(root, staging / "tools/usr/bin/openssl")
    standard = root / "usr/lib" / PYTHON
    compile_folder(standard, f"/usr/lib/{PYTHON}")
    return files_below(root) + _made()


def _made() -> list[LayerFile]:
    links = [LayerFile(name, 0o777, link=f"usr/{name}") for name in _MERGED]
    # Searchable by everybody: runtimes mount over these and keep the mode.
    folders = [LayerFile(name, 0o755) for name in ("dev", "proc", "root", "run", "sys")]
    files = {
        "etc/passwd": _PASSWD,
        "etc/group": _GROUP,
        "etc/nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files dns\n",
    }
    return [
        *links,
        *folders,
        LayerFile("tmp", 0o1777),
        *(LayerFile(name, 0o644, content=content) for name, content in files.items()),
    ]


def _merge_usr(root: Path) -> None:
    """/lib is a link to /usr/lib (and so on), as on an installed Debian; packages still bring both."""
    for name in _MERGED:
        source = root / name
        if not source.is_dir():
            (root / "usr" / name).mkdir(parents=True, exist_ok=True)
            continue
        shutil.copytree(source, root / "usr" / name, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(source)


def _trust_authorities(root: Path, openssl: Path) -> None:
    """What update-ca-certificates would do: a folder in which OpenSSL finds a certificate by its hash.

    The one file with all of them is there, too, for other tools. OpenSSL is not pointed to it: it would be parsed
    whole by every program that makes a TLS context, which is a quarter of what starting an action costs.
    """
    source = root / "usr/share/ca-certificates"
    certificates = sorted(source.rglob("*.crt"))
    target = root / "etc/ssl/certs"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for certificate in certificates:
        shutil.copyfile(certificate, target / f"{certificate.stem}.pem")
    libraries = ":".join(str(path) for path in sorted((root / "usr/lib").glob("*-linux-gnu*")))
    _run([str(openssl), "rehash", str(target)], target, {"LD_LIBRARY_PATH": libraries})
    _number_links(target)
    content = b"".join(path.read_bytes().rstrip() + b"\n" for path in certificates)
    (target / "ca-certificates.crt").write_bytes(content)
    default = root / "usr/lib/ssl"
    default.mkdir(parents=True, exist_ok=True)
    (default / "cert.pem").unlink(missing_ok=True)
    (default / "certs").unlink(missing_ok=True)
    (default / "certs").symlink_to("/etc/ssl/certs")
    shutil.rmtree(source)


def _number_links(folder: Path) -> None:
    """Number certificates of one hash by name: `openssl rehash` takes them as the file system lists them."""
    by_hash: dict[str, list[str]] = {}
    for link in folder.iterdir():
        if link.is_symlink():
            by_hash.setdefault(link.stem, []).append(str(link.readlink()))
            link.unlink()
    for name, targets in by_hash.items():
        for number, target in enumerate(sorted(targets)):
            (folder / f"{name}.{number}").symlink_to(target)


def _candidates() -> dict[str, str]:
    text = _run(["apt-cache", "policy", *_PACKAGES, *_TOOLS], Path("/"))
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line and not line.startswith(" "):
            name = line.rstrip(":").partition(":")[0]
        elif line.strip().startswith("Candidate:"):
            version = line.partition(":")[2].strip()
            found[name] = "" if version == "(none)" else version
    return found


def _run(command: list[str], folder: Path, more: Mapping[str, str] | None = None) -> str:
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    environment = {"PATH": path, "LC_ALL": "C", **(more or {})}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoBase(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        raise NoBase(f"{' '.join(command[:2])} failed: {done.stderr.strip()[:500]}")
    return done.stdout
