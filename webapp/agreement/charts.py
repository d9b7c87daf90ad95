"""The drawings of the page, which need no script: what is where, in the drawing's units."""

from collections.abc import Sequence
from dataclasses import dataclass

from webapp.agreement.figures import Agreement, Tenth
from webapp.agreement.incoming import Comparison, Drift
from webapp.statistics import Estimate

WIDTH, HEIGHT = 320.0, 140.0
#: As many months are drawn at most, the last ones.
MONTHS = 24
#: A square, and bars beside each other.
SIDE, BAR_WIDTH, BAR_HEIGHT = 200.0, 150.0, 44.0


@dataclass(frozen=True)
class Point:
    """A value with its interval."""

    x: float
    y: float
    low: float
    high: float
    name: str
    estimate: Estimate


@dataclass(frozen=True)
class Bar:
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Bars:
    """A feature now, and the outline of what it is compared with."""

    bars: list[Bar]
    outline: str


def by_month(months: Sequence[Agreement], figure: str) -> list[Point]:
    """One figure of each month, as far as it is known."""
    shown = list(months)[-MONTHS:]
    step = WIDTH / max(1, len(shown))
    return [
        _point((place + 0.5) * step, estimate, HEIGHT, month.name)
        for place, month in enumerate(shown)
        if (estimate := getattr(month, figure))
    ]


def reliability(tenths: Sequence[Tenth]) -> list[Point]:
    """The share of pneumonias by the readers over the mean score, of each tenth of the scale with enough images."""
    return [
        _point(tenth.predicted * SIDE, tenth.observed, SIDE, f"{tenth.predicted:.0%}")
        for tenth in tenths
        if tenth.observed
    ]


def curve(points: Sequence[tuple[float, float]]) -> str:
    """The corners of a line through points of a square."""
    return " ".join(f"{x * SIDE:.1f},{(1 - y) * SIDE:.1f}" for x, y in points)


def _point(x: float, estimate: Estimate, height: float, name: str) -> Point:
    y, low, high = (round(height * (1 - value), 1) for value in (estimate.value, estimate.low, estimate.high))
    return Point(round(x, 1), y, low, high, name, estimate)


def bars(drift: Drift) -> Bars:
    """A feature's distribution; the outline is that of the first images here or, without those, of the training."""
    now = _shares(drift.parts)
    other = _shares(_beside(drift).parts)
    highest = max([*now, *other, 0.01])
    step = BAR_WIDTH / len(now)
    found = [
        Bar(round(place * step + 1, 1), round(BAR_HEIGHT * (1 - share / highest), 1), round(step - 2, 1),
            round(BAR_HEIGHT * share / highest, 1))
        for place, share in enumerate(now)
    ]  # fmt: skip
    corners = []
    for place, share in enumerate(other):
        y = BAR_HEIGHT * (1 - share / highest)
        corners += [f"{place * step:.1f},{y:.1f}", f"{(place + 1) * step:.1f},{y:.1f}"]
    return Bars(found, " ".join(corners))


def _beside(drift: Drift) -> Comparison:
    return drift.first if drift.first.parts else drift.training


def _shares(parts: Sequence[float]) -> list[float]:
    total = sum(parts)
    return [part / total for part in parts] if total else [0.0] * len(parts)
