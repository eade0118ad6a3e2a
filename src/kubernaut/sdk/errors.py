"""What an action may raise to end, and what each of them promises."""


class ActionError(Exception):
    """An end that is not success. `reason` is one CamelCase word for machines, the message is for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    @property
    def message(self) -> str:
        """What is told to people."""
        return str(self.args[0])


class Refused(ActionError):
    """The action will not be done as things stand: a paused Deployment, an autoscaler in charge.

    To be raised before the first change; in the dry-run pass this is certain.
    """


class Failed(ActionError):
    """The action was begun and did not succeed: the effect did not come about in time."""


class InputsInvalid(Exception):
    """The inputs break the contract; one line for each fault, with its path. Nothing was done."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class DryRunRefused(ActionError):
    """The API server refused a change in the dry run. Nothing was done."""


class FenceHeld(Exception):
    """Another start of this attempt holds the fence, or it was voided. This process changed nothing."""
