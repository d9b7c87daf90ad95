"""Errors that the domain raises. Only :mod:`webapp.http.problems` maps them to HTTP statuses."""


class Refused(Exception):
    """A request that the domain refuses.

    Attributes:
        code: a code for programs, one of the keys of :data:`webapp.http.codes.STATUSES`.
        detail: a sentence that tells a person what to do.
        retry_after: seconds until the same request may be accepted, if waiting helps.
    """

    def __init__(self, code: str, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.retry_after = retry_after
