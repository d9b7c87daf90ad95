"""A case of the table, and its expected result."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.inputs.containers import Pixels

#: Codes of warnings.
IGNORED, END = "metadata_ignored", "end_missing"


@dataclass(frozen=True)
class Expected:
    """The expected result: the plain picture's answer with these warnings, or a refusal with one of these codes.

    Attributes:
        within: largest mean difference in greys between the model's input and the plain picture's.
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
