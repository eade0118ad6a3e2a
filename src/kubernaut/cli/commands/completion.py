"""`kubernaut completion`."""

import click

from kubernaut.cli.options import verbose
from kubernaut.cli.terminal import current_terminal

# Click's own splits its answers at every comma, and shows half of a description.
_FISH = r"""function %(complete_func)s
    set -l asked %(complete_var)s=fish_complete COMP_WORDS=(commandline -cp) COMP_CWORD=(commandline -t)
    for line in (env $asked %(prog_name)s)
        set -l found (string split -m 1 "," -- $line)
        switch $found[1]
            case dir
                __fish_complete_directories $found[2]
            case file
                __fish_complete_path $found[2]
            case plain
                printf '%%s\n' $found[2]
        end
    end
end

complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""
# Without a word of their own in ~/.zshrc, shells have no completion at all, and would answer "compdef not found".
_ZSH_BEGIN = """if [[ $zsh_eval_context[-1] != loadautofunc ]] && (( ! $+functions[compdef] )); then
    autoload -Uz compinit && compinit
fi
"""


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

    class _Fish(FishComplete):
        source_template = _FISH

    class _Zsh(ZshComplete):
        # The first line tells zsh what the file completes, should somebody put it into $fpath.
        source_template = ZshComplete.source_template.replace("\n\n", f"\n\n{_ZSH_BEGIN}\n", 1)

    maker = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}[shell]
    current_terminal().say(maker(app, {}, "kubernaut", COMPLETION_VARIABLE).source().rstrip())
