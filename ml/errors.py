"""Errors that carry a code for programs and a sentence for people."""


class ImageError(Exception):
    """An image that cannot be read by the model.

    Attributes:
        code: a stable identifier, such as ``image_truncated``.
        detail: a sentence that tells a person what is wrong and what to do.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail

    def __reduce__(self) -> tuple[type["ImageError"], tuple[str, str]]:
        return (type(self), (self.code, self.detail))


class BundleError(Exception):
    """A model bundle that is missing or damaged, or that does not fit its use."""


class ExportError(Exception):
    """A network that cannot be written in the requested format or to the requested path."""


class EngineError(Exception):
    """An engine that is unknown or not installed, cannot run a network, or computes wrong outputs from its weights."""
