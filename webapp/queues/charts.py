"""The history of the queues as small SVG charts, which need no script."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from webapp.queues.models import Sample
from webapp.studies.choices import Priority

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

SPAN = timedelta(hours=24)
#: Number of points of a line.
POINTS = 96
WIDTH, HEIGHT = 300, 70
COLUMNS = ("at", "priority", "queued", "ready", "oldest_seconds", "received", "finished")


@dataclass(frozen=True)
class Line:
    """A line of a chart, in units of the drawing.

    Attributes:
        points: the corners of each stretch; there are several stretches if samples are missing in between.
        last: the latest value.
    """

    name: str
    points: list[str]
    last: float


@dataclass(frozen=True)
class Chart:
    """A chart. ``top`` is the value at its upper edge, ``begins`` the time at its left edge."""

    title: "StrOrPromise"
    unit: "StrOrPromise"
    top: float
    begins: datetime
    lines: list[Line]


#: Title and unit of each chart, and the function that combines the samples of a point, in the order of the values.
KINDS: tuple[tuple["StrOrPromise", "StrOrPromise", Callable[[list[float]], float]], ...] = (
    (_("Waiting"), _("images"), max),
    (_("Received"), _("a minute"), lambda values: sum(values) / len(values)),
    (_("Finished"), _("a minute"), lambda values: sum(values) / len(values)),
    (_("Oldest"), _("minutes"), max),
)


def history() -> list[Chart]:
    """The charts of the last day."""
    begins = timezone.now() - SPAN
    samples: dict[str, dict[int, list[tuple[float, ...]]]] = {str(priority): defaultdict(list) for priority in Priority}
    # There are thousands of samples; as model instances they would take several times as long.
    rows = Sample.objects.filter(at__gt=begins).order_by("at").values_list(*COLUMNS)
    for at, priority, queued, ready, oldest, received, finished in rows:
        place = int((at - begins) / SPAN * POINTS)
        samples[priority][place].append((queued + ready, received, finished, oldest / 60))
    charts = []
    for number, (title, unit, combine) in enumerate(KINDS):
        points_by_priority = {
            priority: {place: combine([values[number] for values in at_place]) for place, at_place in places.items()}
            for priority, places in samples.items()
        }
        highest = max((height for points in points_by_priority.values() for height in points.values()), default=0)
        top = _round_up(highest)
        lines = [
            Line(name, _corners(points, top), next(reversed(points.values()), 0.0))
            for name, points in points_by_priority.items()
        ]
        charts.append(Chart(title, unit, top, begins, lines))
    return charts


def _corners(points: dict[int, float], top: float) -> list[str]:
    """The corners of each stretch without a gap, as an SVG ``points`` attribute."""
    stretches: list[list[str]] = []
    previous = None
    for place, height in points.items():
        if previous is None or place > previous + 1:
            stretches.append([])
        x, y = place / (POINTS - 1) * WIDTH, HEIGHT - height / top * HEIGHT
        stretches[-1].append(f"{x:.1f},{y:.1f}")
        previous = place
    # A single point is drawn as a short line.
    return [" ".join(corners if len(corners) > 1 else [corners[0], _beside(corners[0])]) for corners in stretches]


def _beside(corner: str) -> str:
    x, y = corner.split(",")
    return f"{float(x) + 1:.1f},{y}"


def _round_up(value: float) -> float:
    """Round up to a number that is easy to read: 1, 2 or 5 times a power of ten."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if value <= factor * step:
                return float(factor * step)
        step *= 10
