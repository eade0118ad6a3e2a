"""Names that the user may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches

_MOST_COMPARED = 5_000
_MOST_SHOWN = 12


class Nearest:
    """Finds the nearest of known names. Lives within one judgement.

    Comparing texts is slow, and a document can hold thousands of unknown names: after some thousand comparisons no
    more suggestions are made.
    """

    def __init__(self, known: Iterable[str]) -> None:
        self.known = tuple(known)
        self._left = _MOST_COMPARED

    def mend(self, name: str, otherwise: str = "") -> str:
        """ "Did you mean x?", or what there is, or `otherwise`."""
        found = self.find(name)
        if found:
            return f"Did you mean {found}?"
        return otherwise or self.listed()

    def find(self, name: str) -> str:
        """The nearest known name, or an empty text."""
        self._left -= len(self.known)
        if self._left < 0 or not name:
            return ""
        folded = {_folded(known): known for known in self.known}
        matches = get_close_matches(_folded(name)[:100], folded, n=1, cutoff=0.7)
        return folded[matches[0]] if matches else ""

    def listed(self) -> str:
        """What there is, in one sentence."""
        if not self.known:
            return "There is none."
        shown = ", ".join(sorted(self.known)[:_MOST_SHOWN])
        more = len(self.known) - _MOST_SHOWN
        return f"Known: {shown} and {more} more." if more > 0 else f"Known: {shown}."


def _folded(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
