"""Why a file is left out."""


class NotCleanedError(Exception):
    """A file from which not everything could be removed, so that nothing of it is written.

    Attributes:
        code: for programs.
        detail: a sentence that says why. It holds nothing of the file.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail)  # both, so that it passes from one process to another
        self.code = code
        self.detail = detail
