"""A program of its own: runs a command inside another process's namespaces, as `kubectl exec` would.

`python inside.py PID FOLDER ERRORS PROGRAM ARGUMENT...`, with ERRORS the number of an open descriptor that is told
why the command could not be started. The exit code is the command's. Source: setns(2), ioctl_ns(2),
user_namespaces(7).

It imports nothing of kubernaut, and everything before it enters: inside there may be no Python.
"""

import ctypes
import errno
import fcntl
import os
import sys

_NS_GET_USERNS = 0xB701
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_CAPABILITIES = 64
_NO_ACCESS, _NOT_FOUND = 126, 127

_libc = ctypes.CDLL(None, use_errno=True)


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot enter the container: {os.strerror(number)}")


def _is_ours(namespace: int, name: str) -> bool:
    return os.fstat(namespace).st_ino == os.stat(f"/proc/self/ns/{name}").st_ino


def enter(pid: int) -> None:
    """Become a member of a process's namespaces, with no more rights than it has."""
    of = {name: os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY) for name in ("user", "mnt", "pid", "ipc", "uts")}
    # A sandbox may be two user namespaces deep: the outer one owns its mounts, the inner one has its user.
    owner = fcntl.ioctl(of["mnt"], _NS_GET_USERNS)
    if not _is_ours(owner, "user"):
        _enter(owner)
    user_differs = not _is_ours(of["user"], "user")
    for name in ("ipc", "uts", "pid", "mnt"):
        _enter(of[name])
    if user_differs:
        _enter(of["user"])
    for capability in range(_CAPABILITIES):
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def main(arguments: list[str]) -> int:
    pid, folder, errors, command = int(arguments[0]), arguments[1], int(arguments[2]), arguments[3:]
    os.set_inheritable(errors, False)
    try:
        enter(pid)
        os.chdir(folder)
        # Only children are in the new process namespace.
        child = os.fork()
        if child == 0:
            _become(command, errors)
    except OSError as error:
        os.write(errors, str(error.strerror).encode())
        return _NO_ACCESS
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) & 0xFF if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _become(command: list[str], errors: int) -> None:
    try:
        os.execvp(command[0], command)
    except OSError as error:
        missing = error.errno in {errno.ENOENT, errno.ENOTDIR}
        why = "executable file not found in $PATH" if missing and "/" not in command[0] else error.strerror
        os.write(errors, f'exec: "{command[0]}": {why}'.encode())
        os._exit(_NOT_FOUND)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
