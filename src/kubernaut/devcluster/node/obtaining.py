"""Gets a container's image, as its pull policy wants it.

Source of the rules and words: k8s.io/kubernetes pkg/kubelet/images/image_manager.go.
"""

from collections.abc import Callable

from kubernaut.devcluster.node.host import Host
from kubernaut.devcluster.node.images import Image, PullFailed
from kubernaut.devcluster.node.runtime import Runtime
from kubernaut.devcluster.objects import Object
from kubernaut.oci import Reference, ReferenceInvalid

INVALID_NAME = "InvalidImageName"
NEVER_PULL = "ErrImageNeverPull"

Tell = Callable[[str, str, str], None]
"""(type, reason, message) of an Event."""


async def obtain(host: Host, pod: Object, container: Object, runtime: Runtime | None, tell: Tell) -> Image | None:
    """The image, unpacked; None where nothing of it is run. Raises PullFailed."""
    name = str(container["image"])
    try:
        Reference.parse(name)
    except ReferenceInvalid as error:
        raise PullFailed(str(error), INVALID_NAME) from error
    if runtime is host.simulated and host.simulated.cannot_be_pulled(pod, name):
        raise PullFailed(f'failed to resolve reference "{name}": {name}: not found')
    if runtime is None:
        raise PullFailed(f'"{name}": not found: no image of this cluster has this name or digest')
    is_meant = runtime is host.processes and host.puller is not None and host.puller.is_meant(name)
    if is_meant and await _pull(host, pod, container, tell):
        return await host.images.pull(name)
    tell("Normal", "Pulled", f'Container image "{name}" already present on machine')
    return await host.images.pull(name) if runtime is host.processes else None


async def _pull(host: Host, pod: Object, container: Object, tell: Tell) -> bool:
    """Whether it had to be brought. Images that were on the machine from the start are never brought."""
    assert host.puller is not None
    name, policy = str(container["image"]), container.get("imagePullPolicy") or "IfNotPresent"
    is_here = host.images.find(name) is not None
    if is_here and (policy != "Always" or not host.images.has_pulled(name)):
        return False
    if policy == "Never":
        raise PullFailed(f'Container image "{name}" is not present with pull policy of Never', NEVER_PULL)
    secrets, missing = host.pull_secrets_of(pod)
    if missing:
        said = f"Unable to retrieve some image pull secrets ({', '.join(missing)}); attempting to pull the image"
        tell("Warning", "FailedToRetrieveImagePullSecret", f"{said} may not succeed.")
    tell("Normal", "Pulling", f'Pulling image "{name}"')
    pulled = await host.puller.pull(name, host.puller.credentials_for(secrets))
    took = f"{round(pulled.seconds * 1000)}ms"
    said = f'Successfully pulled image "{name}" in {took} ({took} including waiting).'
    tell("Normal", "Pulled", f"{said} Image size: {pulled.size} bytes.")
    return True
