"""Every exit code of every command, with its meaning. Scripts rely on them: none ever changes its meaning."""

from enum import IntEnum


class Exit(IntEnum):
    """What the process's exit code says; `MEANINGS` is its documentation."""

    SUCCEEDED = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    WAITING = 4
    TIMED_OUT = 5
    UNREACHABLE = 6
    CANCELLED = 7
    INDETERMINATE = 8
    DIFFERENT = 9
    INCONCLUSIVE = 10
    INTERRUPTED = 130


MEANINGS = {
    Exit.SUCCEEDED: "it worked; with --wait: every critical step succeeded",
    Exit.FAILED: "the execution failed or was rolled back, or the command could not do its work",
    Exit.USAGE: "the command line is wrong",
    Exit.REFUSED: "refused at the door: nothing was started",
    Exit.WAITING: "the execution waits for a person",
    Exit.TIMED_OUT: "time ran out: the execution's own, or that of --timeout",
    Exit.UNREACHABLE: "the cluster cannot be reached, does not know you, or lacks what is needed",
    Exit.CANCELLED: "the execution was cancelled or aborted",
    Exit.INDETERMINATE: "something may have run and nobody knows: a person must look",
    Exit.DIFFERENT: "a comparison found a difference: changed decisions (replay), permissions (action prove)",
    Exit.INCONCLUSIVE: "no probe failed, but one could not be answered (probe)",
    Exit.INTERRUPTED: "interrupted from the keyboard",
}
