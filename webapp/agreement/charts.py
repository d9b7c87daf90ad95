"""Coordinates for the page's SVG charts, which need no script."""

from collections.abc import Sequence
from dataclasses import dataclass

from webapp.agreement.figures import Agreement, Tenth
from webapp.agreement.incoming import Comparison, Drift
from webapp.statistics import Estimate

WIDTH, HEIGHT = 320.0, 140.0
#: The largest number of months in a chart; the last ones are drawn.
MONTHS = 24
#: The side of the square charts, and the size of the bar charts.
SIDE, BAR_WIDTH, BAR_HEIGHT = 200.0, 150.0, 44.0


@dataclass(frozen=True)
class Point:
    """A value with its interval, as a point of a chart."""

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
    """The bars of a feature's current distribution, and the outline of the distribution that it is compared with."""

    bars: list[Bar]
    outline: str


def by_month(months: Sequence[Agreement], figure: str) -> list[Point]:
    """A point for each month in which the figure is known."""
    shown = list(months)[-MONTHS:]
    step = WIDTH / max(1, len(shown))
    return [
        _point((index + 0.5) * step, estimate, HEIGHT, month.name)
        for index, month in enumerate(shown)
        if (estimate := getattr(month, figure))
    ]


def reliability(tenths: Sequence[Tenth]) -> list[Point]:
    """Points with the share that readers call pneumonia over the mean score, for each tenth with enough images."""
    return [
        _point(tenth.predicted * SIDE, tenth.observed, SIDE, f"{tenth.predicted:.0%}")
        for tenth in tenths
        if tenth.observed
    ]


def curve(points: Sequence[tuple[float, float]]) -> str:
    """The SVG coordinates of a line through points of the unit square."""
    return " ".join(f"{x * SIDE:.1f},{(1 - y) * SIDE:.1f}" for x, y in points)


def _point(x: float, estimate: Estimate, height: float, name: str) -> Point:
    y, low, high = (round(height * (1 - value), 1) for value in (estimate.value, estimate.low, estimate.high))
    return Point(round(x, 1), y, low, high, name, estimate)


def bars(drift: Drift) -> Bars:
    """A feature's distribution, with that of the first images or, without those, of the training images as outline."""
    now = _shares(drift.parts)
    reference = _shares(_reference(drift).parts)
    highest = max([*now, *reference, 0.01])
    step = BAR_WIDTH / len(now)
    drawn = [
        Bar(round(index * step + 1, 1), round(BAR_HEIGHT * (1 - share / highest), 1), round(step - 2, 1),
            round(BAR_HEIGHT * share / highest, 1))
        for index, share in enumerate(now)
    ]  # fmt: skip
    corners = []
    for index, share in enumerate(reference):
        y = BAR_HEIGHT * (1 - share / highest)
        corners += [f"{index * step:.1f},{y:.1f}", f"{(index + 1) * step:.1f},{y:.1f}"]
    return Bars(drawn, " ".join(corners))


def _reference(drift: Drift) -> Comparison:
    return drift.first if drift.first.parts else drift.training


def _shares(parts: Sequence[float]) -> list[float]:
    total = sum(parts)
    return [part / total for part in parts] if total else [0.0] * len(parts)
