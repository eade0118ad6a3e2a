"""What is wrong with something a user wrote: where, what, and how to mend it."""

from kubernaut.api.meta import Frozen


class Fault(Frozen, frozen=True, kw_only=False):
    """One refusal. `path` is a JSON path such as `spec.steps[2].inputs.replicas`; never holds a value."""

    path: str
    message: str
    mend: str = ""

    def __str__(self) -> str:
        text = f"{self.path}: {self.message}"
        return f"{text}. {self.mend}" if self.mend else text
