"""What one invocation knows of its surroundings: the environment, colour, how much to tell.

With `app`, the only file of this room that reads the environment.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

import click


@dataclass
class Terminal:
    """Lives as long as the process; click hands it to every command as `ctx.obj`."""

    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    verbose: bool = False
    """Also print what helps only those who look for a fault: debug lines, tracebacks."""

    @property
    def is_live(self) -> bool:
        """Whether a person watches the output, so that lines may be drawn over."""
        # Where standard output was closed (`>&-`), there is none.
        return bool(sys.stdout and sys.stdout.isatty()) and self.environment.get("TERM") != "dumb"

    @property
    def has_colour(self) -> bool:
        """No colour in pipes, nor where NO_COLOR is set (no-color.org)."""
        return self.is_live and not self.environment.get("NO_COLOR")

    @property
    def has_unicode(self) -> bool:
        """Whether drawn branches and marks come through."""
        return str(getattr(sys.stdout, "encoding", "")).lower().replace("-", "").startswith("utf")

    def paint(self, text: str, colour: str) -> str:
        """The text in a colour of the terminal's palette, or as it is."""
        return click.style(text, fg=colour) if self.has_colour and colour else text

    def say(self, text: str = "") -> None:
        """A line of the command's result."""
        click.echo(text, color=self.has_colour)

    def remark(self, text: str) -> None:
        """A line that is not part of the result: goes to standard error, so pipes stay clean."""
        click.echo(text, err=True, color=self.has_colour and sys.stderr.isatty())


def current_terminal() -> Terminal:
    """The terminal of the running command."""
    terminal = click.get_current_context().find_object(Terminal)
    assert terminal is not None, "run() hands it to every command"
    return terminal
