"""How a command fails: one line that says what is wrong, one that says how to mend it, an exit code."""

import errno
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from kubernaut.cli.exits import Exit

if TYPE_CHECKING:
    from kubernaut.cluster.errors import ClusterError


class CommandFailed(Exception):
    """Ends a command. `mend` is what the user can do about it, best a command to type."""

    def __init__(self, message: str, *, mend: str = "", code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend
        self.code = code


def failure_from(error: BaseException) -> CommandFailed | None:
    """The failure that a foreign exception stands for; None for one that nobody foresaw (a bug)."""
    if isinstance(error, CommandFailed):
        return error
    # Only a command that spoke to a cluster has loaded that room; nobody else pays for it here.
    if "kubernaut.cluster.errors" in sys.modules:
        from kubernaut.cluster.errors import ClusterError

        if isinstance(error, ClusterError):
            return _from_cluster(error)
    if "kubernaut.cli.manifests" in sys.modules:
        from kubernaut.cli.manifests import UnreadableManifest

        if isinstance(error, UnreadableManifest):
            return CommandFailed(str(error), code=Exit.REFUSED)
    if isinstance(error, OSError) and error.filename is not None:
        # Of a copy that finds no room, the second name is where it was to go.
        named = error.filename2 if error.errno in _MENDS and error.filename2 else error.filename
        return CommandFailed(f"{named}: {error.strerror}", mend=_MENDS.get(error.errno or 0, ""))
    if isinstance(error, OSError) and error.errno in _MENDS:
        return CommandFailed(str(error.strerror), mend=_MENDS[error.errno])
    return None


_MENDS = {
    errno.ENOSPC: "Make room on the disk that it writes to, then try again.",
    errno.EDQUOT: "Make room in your quota on the disk that it writes to, then try again.",
    errno.EROFS: "Name a folder that can be written to.",
    errno.EMFILE: "Let the shell open more files: ulimit -n 4096",
}
"""Those that have nothing to do with the file at hand."""


def only_error(error: BaseException) -> BaseException:
    """The one error inside an exception group of one, which is what a task group raises."""
    inside = cast("Sequence[BaseException]", getattr(error, "exceptions", ()))
    return only_error(inside[0]) if len(inside) == 1 else error


def _from_cluster(error: "ClusterError") -> CommandFailed:
    from kubernaut.cluster import errors

    match error:
        case errors.NoClusterKnown():
            mend = "Name one with --kubeconfig, or start one of your own: kubernaut dev up"
            return CommandFailed(error.message, mend=mend, code=Exit.UNREACHABLE)
        case errors.CannotConnect():
            return CommandFailed(error.message, code=Exit.UNREACHABLE)
        case errors.Unreachable(untrusted=True):
            mend = (
                "Give the kubeconfig its certificate-authority-data, or take a newer kubeconfig of this cluster."
            )
            return CommandFailed(error.message, mend=mend, code=Exit.UNREACHABLE)
        case errors.Unreachable():
            mend = "Is it running? A cluster of your own: kubernaut dev up. Look further with: kubernaut doctor"
            return CommandFailed(error.message, mend=mend, code=Exit.UNREACHABLE)
        case errors.Unauthorized():
            mend = "Log in again, or name other credentials with --kubeconfig or --context."
            told = f"the cluster does not know you; your credentials are wrong or have run out ({error.message})"
            return CommandFailed(told, mend=mend, code=Exit.UNREACHABLE)
        case errors.Forbidden():
            mend = "Ask for the permission, or use other credentials with --context."
            # As RBAC says it (k8s.io/apiserver, responsewriters.Forbidden): the words before it say the same.
            by_rbac = re.match(r'(.*?): [^:]* is forbidden: User "([^"]*)" cannot ', error.message)
            told = f'you, "{by_rbac[2]}", may not {by_rbac[1]}' if by_rbac else error.message
            return CommandFailed(told, mend=mend, code=Exit.UNREACHABLE)
        case errors.Invalid():
            details = "; ".join(f"{cause.field}: {cause.message}" for cause in error.causes)
            return CommandFailed(details or error.message, code=Exit.REFUSED)
        case _:
            return CommandFailed(error.message)
