"""What can go wrong between us and an image, told by whose it is."""


class ImageError(Exception):
    """Anything about an image, its reference or its registry that is not as it must be."""


class ReferenceInvalid(ImageError, ValueError):
    """The text is not an image reference."""


class ContentInvalid(ImageError):
    """Bytes that do not match their digest, are larger than allowed, or are not the format they claim."""


class ContractMissing(ImageError):
    """The image carries no action contract where one is looked for."""


class ContractTooNew(ImageError):
    """The image's contract is written in a version of the format that this program does not know."""


class RegistryError(ImageError):
    """The registry did not do what was asked."""


class RegistryUnreachable(RegistryError):
    """No answer: name, network, TLS or timeout. Trying later may help."""


class RegistryUnauthorised(RegistryError):
    """The registry wants other credentials than it was given (401 or 403)."""


class NotInRegistry(RegistryError):
    """The registry answered, and it has no such manifest, blob or repository."""


class RegistryRefused(RegistryError):
    """Any other refusal, with the registry's own code and words.

    `status` is the HTTP status; `retry_after` seconds when the registry named them.
    """

    def __init__(self, message: str, status: int, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
