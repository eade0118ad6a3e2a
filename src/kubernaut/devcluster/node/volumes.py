"""A pod's volumes as folders of the host, and where its containers see them.

Written once, when the pod starts: later changes of a ConfigMap or Secret do not reach it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kubernaut.devcluster.errors import ApiError
from kubernaut.devcluster.node.environment import (
    ConfigMissing,
    Surroundings,
    pod_field,
    read_keys,
    resource_field,
)
from kubernaut.devcluster.node.mounts import Mount
from kubernaut.devcluster.objects import Object
from kubernaut.devcluster.resources import (
    CONFIG_MAPS,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    SECRETS,
    SERVICE_ACCOUNTS,
)
from kubernaut.devcluster.workloads.reading import part, parts

SERVICEACCOUNT = PurePosixPath("/var/run/secrets/kubernetes.io/serviceaccount")
_ACCOUNT_VOLUME = "kube-api-access"
_TOKEN_SECONDS = 3607

TokenSigner = Callable[[Object, str, str, int], str]
"""(pod, service account, audience or "", seconds) -> token. Raises ApiError."""


class MountFailed(Exception):
    """A volume cannot be made (yet); the message is told as FailedMount."""


@dataclass(frozen=True, slots=True)
class Account:
    """What the node needs to give pods an identity."""

    sign: TokenSigner
    ca: bytes
    """The API server's certificate authority, PEM."""


@dataclass(frozen=True, slots=True)
class Volumes:
    """The volumes of one pod: made in `folder`, or only looked at when that is None."""

    around: Surroundings
    account: Account
    folder: Path | None

    def make(self) -> dict[str, Path]:
        """Volume name -> folder. Raises MountFailed, in the kubelet's words."""
        made: dict[str, Path] = {}
        volumes = [*parts(self.around.pod, "spec", "volumes"), *self._account_volume()]
        for volume in volumes:
            name = str(volume["name"])
            try:
                made[name] = self._make(volume)
            except (ConfigMissing, ApiError) as error:
                raise MountFailed(f'MountVolume.SetUp failed for volume "{name}" : {error}') from error
        return made

    def mounts_of(self, container: Object, made: Mapping[str, Path]) -> tuple[Mount, ...]:
        """Where a container sees the volumes. Raises MountFailed."""
        mounts: list[Mount] = []
        for wanted in parts(container, "volumeMounts"):
            source = made.get(wanted["name"])
            if source is None:
                raise MountFailed(f'volume "{wanted["name"]}" is not defined')
            if (inner := wanted.get("subPath")) is not None:
                source = _inner_path(source, str(inner))
                if self.folder is not None and not source.exists():
                    source.mkdir(parents=True)
            path = PurePosixPath(wanted["mountPath"])
            mounts.append(Mount(source, path, bool(wanted.get("readOnly"))))
        if _ACCOUNT_VOLUME in made and all(m.path != SERVICEACCOUNT for m in mounts):
            mounts.append(Mount(made[_ACCOUNT_VOLUME], SERVICEACCOUNT, read_only=True))
        return tuple(mounts)

    def _account_volume(self) -> Sequence[Object]:
        """The projected volume that the API server's admission would have added."""
        pod = self.around.pod
        if any(v["name"].startswith(_ACCOUNT_VOLUME) for v in parts(pod, "spec", "volumes")):
            return ()
        wanted = pod["spec"].get("automountServiceAccountToken")
        if wanted is None:
            name = pod["spec"].get("serviceAccountName") or "default"
            account = self.around.lookup(SERVICE_ACCOUNTS, pod["metadata"]["namespace"], name) or {}
            wanted = account.get("automountServiceAccountToken")
        if wanted is False:
            return ()
        sources = [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": _TOKEN_SECONDS}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": _NAMESPACE_FIELD}]}},
        ]
        return ({"name": _ACCOUNT_VOLUME, "projected": {"sources": sources}, "ours": True},)

    def _make(self, volume: Object) -> Path:
        if (claim := volume.get("persistentVolumeClaim")) is not None:
            return self._claimed(str(claim["claimName"]))
        folder = self._new_folder(str(volume["name"]))
        if "emptyDir" in volume:
            return folder
        files = self._files(volume)
        if files is None:
            kinds = ", ".join(sorted(set(volume) - {"name"})) or "none"
            raise ConfigMissing(f"volumes of this kind are not supported here: {kinds}")
        if volume.get("ours"):
            files["ca.crt"] = self.account.ca
        self._write(folder, files)
        return folder

    def _files(self, volume: Object) -> dict[str, bytes] | None:
        if (source := volume.get("configMap")) is not None:
            return self._keys(CONFIG_MAPS, source)
        if (source := volume.get("secret")) is not None:
            return self._keys(SECRETS, source)
        if (source := volume.get("downwardAPI")) is not None:
            return self._downward(source)
        if (source := volume.get("projected")) is not None:
            files: dict[str, bytes] = {}
            for projected in parts(source, "sources"):
                if (token := projected.get("serviceAccountToken")) is not None:
                    files[str(token["path"])] = self._token(token)
                else:
                    files |= self._files(projected) or {}
            return files
        return None

    def _keys(self, resource: str, source: Object) -> dict[str, bytes]:
        values = read_keys(resource, source, self.around) or {}
        wanted = parts(source, "items")
        if not wanted:
            return values
        files: dict[str, bytes] = {}
        for item in wanted:
            if item["key"] in values:
                files[str(item["path"])] = values[item["key"]]
            elif not source.get("optional"):
                raise ConfigMissing(f"references non-existent config key: {item['key']}")
        return files

    def _downward(self, source: Object) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        for item in parts(source, "items"):
            if (field := item.get("fieldRef")) is not None:
                text = pod_field(str(field["fieldPath"]), self.around)
            else:
                text = resource_field(part(item, "resourceFieldRef"), {}, self.around)
            files[str(item["path"])] = text.encode()
        return files

    def _token(self, wanted: Object) -> bytes:
        if self.folder is None:
            return b""
        pod = self.around.pod
        name = str(pod["spec"].get("serviceAccountName") or "default")
        seconds = int(wanted.get("expirationSeconds") or _TOKEN_SECONDS)
        return self.account.sign(pod, name, str(wanted.get("audience") or ""), seconds).encode()

    def _claimed(self, name: str) -> Path:
        namespace = self.around.pod["metadata"]["namespace"]
        claim = self.around.lookup(PERSISTENT_VOLUME_CLAIMS, namespace, name)
        if claim is None:
            raise ConfigMissing(f'persistentvolumeclaim "{name}" not found')
        volume = None
        if part(claim, "status").get("phase") == "Bound":
            volume = self.around.lookup(PERSISTENT_VOLUMES, "", str(claim["spec"].get("volumeName")))
        if volume is None:
            raise ConfigMissing(f'persistentvolumeclaim "{name}" is not bound')
        path = Path(str(part(volume, "spec", "hostPath").get("path", "")))
        if self.folder is not None:
            path.mkdir(parents=True, exist_ok=True)
        return path

    def _new_folder(self, name: str) -> Path:
        if self.folder is None:
            return Path("/nonexistent")
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _write(self, folder: Path, files: Mapping[str, bytes]) -> None:
        if self.folder is None:
            return
        for name, content in files.items():
            path = _inner_path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o644)


_NAMESPACE_FIELD = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}


def _inner_path(folder: Path, inner: str) -> Path:
    if inner.startswith("/") or ".." in PurePosixPath(inner).parts:
        raise MountFailed(f"{inner!r} is not a path inside a volume")
    return folder / inner
