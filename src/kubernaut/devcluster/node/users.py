"""As whom a container runs."""

from pathlib import Path

from kubernaut.devcluster.node.environment import ConfigMissing
from kubernaut.devcluster.node.images import Image
from kubernaut.devcluster.objects import Object
from kubernaut.devcluster.workloads.reading import part


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
    if asked.get("runAsNonRoot") and image is not None and not user:
        raise ConfigMissing(f"container has runAsNonRoot and image will run as root ({container['name']})")
    return user or 0, group or 0


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
