"""`kubernaut completion`."""

import click

from kubernaut.cli.options import verbose
from kubernaut.cli.terminal import current_terminal


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@verbose
def command(shell: str) -> None:
    """Print the script that lets a shell complete commands.

    \b
    bash:  source <(kubernaut completion bash)       into ~/.bashrc
    zsh:   source <(kubernaut completion zsh)        into ~/.zshrc
    fish:  kubernaut completion fish | source        into ~/.config/fish/config.fish

    Names of executions, steps and actions come from the cluster, within a second or not at all.
    `kubectl kubernaut` is completed by kubectl's own script.
    """
    from click.shell_completion import BashComplete, FishComplete, ZshComplete

    from kubernaut.cli.app import COMPLETION_VARIABLE, app

    class _Bash(BashComplete):
        @staticmethod
        def _check_version() -> None:
            """The script is for the shell that reads it, which need not be the one found here."""

    maker = {"bash": _Bash, "zsh": ZshComplete, "fish": FishComplete}[shell]
    current_terminal().say(maker(app, {}, "kubernaut", COMPLETION_VARIABLE).source().rstrip())
