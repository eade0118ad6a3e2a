"""The command line: parse, call a room, print, choose the exit code.

Belongs here: commands, how they print, and the words of an error. Does not belong here: anything that a
program without a terminal could use too. Nothing but click may be imported before a command is known
(`app`), so that `--help` answers at once.
"""


def main() -> None:
    """Entry point of `kubernaut` and of `kubectl kubernaut`."""
    import sys

    from kubernaut.cli.app import run

    sys.exit(run(sys.argv[1:]))
