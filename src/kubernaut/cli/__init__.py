"""The command line: parse, call a room, print, choose the exit code.

Belongs here: commands, how they print, and the words of an error. Does not belong here: anything that a
program without a terminal could use too. Nothing but click may be imported before a command is known
(`app`), so that `--help` answers at once.
"""


def main() -> None:
    """Entry point of `kubernaut` and of `kubectl kubernaut`."""
    import sys

    called = sys.argv[0].rpartition("/")[2]
    try:
        from kubernaut.cli.app import run

        code = run(sys.argv[1:], name="kubectl kubernaut" if called.startswith("kubectl-") else "kubernaut")
    except KeyboardInterrupt:  # while commands were loaded, or a second time
        sys.stderr.write("interrupted\n")
        code = 130
    sys.exit(code)


def complete_for_kubectl() -> None:
    """Entry point of `kubectl_complete-kubernaut`, which kubectl asks what may come next."""
    import sys

    from kubernaut.cli.completing import answer_kubectl

    sys.exit(answer_kubectl(sys.argv[1:]))
