"""What the doctor's checks find."""

from dataclasses import dataclass


class Wrong(Exception):
    """What a check found, and what to do about it, as sentences."""

    def __init__(self, found: str, todo: str) -> None:
        super().__init__(found)
        self.found, self.todo = found, todo


@dataclass(frozen=True)
class Finding:
    """The outcome of a check.

    Attributes:
        said: what was found.
        todo: what to do; empty where all is well.
    """

    name: str
    ok: bool
    said: str
    todo: str = ""
