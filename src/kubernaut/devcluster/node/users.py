"""As whom a container runs, and with which capabilities.

Source of the rules and words: k8s.io/kubernetes pkg/kubelet/kuberuntime (verifyRunAsNonRoot); capabilities that
containers have by default: containerd pkg/oci (defaultUnixCaps).
"""

from pathlib import Path

from kubernaut.devcluster.node.environment import ConfigMissing
from kubernaut.devcluster.node.images import Image
from kubernaut.devcluster.objects import Object
from kubernaut.devcluster.workloads.reading import items, part


def user_of(pod: Object, container: Object, image: Image | None) -> tuple[int, int]:
    """User and group number: the container's wish, the pod's, the image's, root.

    Raises ConfigMissing, in the kubelet's words, when `runAsNonRoot` would be broken.
    """
    asked = {**part(pod, "spec", "securityContext"), **part(container, "securityContext")}
    named = image.config.user if image is not None else ""
    user, group = _numbers(named, image.rootfs if image is not None else None)
    if asked.get("runAsUser") is not None:
        user = int(asked["runAsUser"])
    if asked.get("runAsGroup") is not None:
        group = int(asked["runAsGroup"])
    if asked.get("runAsNonRoot"):
        _check_not_root(pod, container, asked, (named, user) if image is not None else None)
    return user or 0, group or 0


def _check_not_root(pod: Object, container: Object, asked: Object, by_image: tuple[str, int] | None) -> None:
    """`by_image`: the image's user as written and as a number; None where there is no image to look at."""
    meta = pod["metadata"]
    where = f'(pod: "{meta["name"]}_{meta["namespace"]}({meta["uid"]})", container: {container["name"]})'
    if asked.get("runAsUser") is not None:
        if int(asked["runAsUser"]) == 0:
            raise ConfigMissing(f"container's runAsUser breaks non-root policy {where}")
        return
    if by_image is None:
        return
    written, number = by_image
    name = written.partition(":")[0]
    if name and not name.isdigit():
        said = f"container has runAsNonRoot and image has non-numeric user ({name})"
        raise ConfigMissing(f"{said}, cannot verify user is non-root {where}")
    if number == 0:
        raise ConfigMissing(f"container has runAsNonRoot and image will run as root {where}")


def capabilities_of(container: Object, user: int) -> tuple[str, ...]:
    """The capabilities that a container has when it starts, in order; none for users other than root.

    Raises ConfigMissing for one that does not exist.
    """
    asked = part(container, "securityContext", "capabilities")
    added, dropped = ([_capability(name) for name in items(asked, what)] for what in ("add", "drop"))
    if user != 0:
        return ()
    if "ALL" in added:
        return tuple(sorted(_KNOWN.difference(dropped)))
    kept: set[str] = set() if "ALL" in dropped else set(_DEFAULT.difference(dropped))
    return tuple(sorted(kept.union(added)))


def _capability(name: object) -> str:
    text = str(name).upper().removeprefix("CAP_")
    if text != "ALL" and text not in _KNOWN:
        raise ConfigMissing(f'unknown capability "CAP_{text}"')
    return text


_DEFAULT: frozenset[str] = frozenset(
    (
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"),
        *("NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    )
)
# Source: capabilities(7), without the newest, which an older bubblewrap would not know.
_KNOWN: frozenset[str] = _DEFAULT | frozenset(
    (
        *("AUDIT_CONTROL", "AUDIT_READ", "BLOCK_SUSPEND", "DAC_READ_SEARCH", "IPC_LOCK", "IPC_OWNER", "LEASE"),
        *("LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "NET_ADMIN", "NET_BROADCAST", "SYSLOG", "SYS_ADMIN"),
        *("SYS_BOOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE"),
        *("SYS_TIME", "SYS_TTY_CONFIG", "WAKE_ALARM"),
    )
)


def _numbers(text: str, rootfs: Path | None) -> tuple[int, int]:
    user, _, group = text.partition(":")
    number, own_group = _look_up(user, rootfs, "passwd")
    if group:
        own_group, _ = _look_up(group, rootfs, "group")
    return number, own_group


def _look_up(name: str, rootfs: Path | None, file: str) -> tuple[int, int]:
    """The number of a name, and for users the number of their group; 0 when unknown."""
    if not name:
        return 0, 0
    if name.isdigit():
        return int(name), 0
    path = (rootfs or Path("/nonexistent")) / "etc" / file
    if path.is_symlink() or not path.is_file():
        return 0, 0
    for line in path.read_text(errors="replace").splitlines():
        fields = line.split(":")
        if fields[0] == name and len(fields) > 3:
            is_user = file == "passwd"
            return int(fields[2]), int(fields[3]) if is_user else 0
    return 0, 0
