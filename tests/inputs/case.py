"""What a case is."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.inputs.containers import Pixels

#: Codes of warnings.
IGNORED, END = "metadata_ignored", "end_missing"


@dataclass(frozen=True)
class Expected:
    """What is right: the plain picture's answer with these warnings, or one of these codes.

    Attributes:
        within: greys that the model's input may differ by from the plain picture's, on average.
    """

    codes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    within: float = 1.5


@dataclass(frozen=True)
class Case:
    name: str
    build: Callable[[Pixels], bytes]
    expected: Expected = field(default_factory=Expected)
    source: str = "export"


def same(*warnings: str, within: float = 1.5) -> Expected:
    return Expected(warnings=warnings, within=within)


def refused(*codes: str) -> Expected:
    return Expected(codes=codes)
