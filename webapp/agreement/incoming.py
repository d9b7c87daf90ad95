"""What has changed of what comes in, beside what the model learnt from and beside what came first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from webapp.agreement.counts import Counts
from webapp.agreement.features import ANSWERS, FEATURES, Feature
from webapp.agreement.models import Month
from webapp.statistics import Estimate, Shift, share, shift
from webapp.studies.models import Bundle

#: What comes in is judged over so many months, the last ones that are looked at.
RECENT = 3
#: A department's first images, by which later ones are judged.
FIRST = 500
#: From these indices on, something has changed somewhat, or much; the usual bounds of the population stability index.
SOMEWHAT, CHANGED = 0.1, 0.25


class State(models.TextChoices):
    """How far what comes in lies from something else, in words."""

    SAME = "same", _("the same")
    SOMEWHAT = "somewhat", _("somewhat different")
    DIFFERENT = "different", _("different")
    TOO_FEW = "too_few", _("too few to say")
    NOT_KNOWN = "not_known", _("not known")


@dataclass(frozen=True)
class Comparison:
    """How far what comes in lies from something else.

    Attributes:
        parts: the other's images in each part of the range.
        months: whose images these are; none where they are those that the model learnt from.
    """

    shift: Shift | None
    state: State
    parts: list[float]
    months: list[date]


@dataclass(frozen=True)
class Drift:
    """What has become of one feature.

    Attributes:
        known: images of which it is known.
        median: about.
        parts: how many images lie in each part of its range.
        training: beside what the model learnt from.
        first: beside the first images here.
    """

    feature: Feature
    known: int
    median: float | None
    parts: list[int]
    training: Comparison
    first: Comparison


@dataclass(frozen=True)
class Incoming:
    """What comes in lately.

    Attributes:
        months: those that are looked at.
        images: how many there were.
        model: whose training they are compared with.
        positives: the share of those with an answer in which it found signs of pneumonia.
        answers: beside those of the same model to the first images here.
        answers_measured: beside those that it gave when it was measured, to X-rays of which more or fewer were
            pneumonias than here.
    """

    months: list[date]
    images: int
    model: str
    features: list[Drift]
    positives: Estimate | None
    answers: Comparison
    answers_measured: Comparison


def latest(month: date) -> list[date]:
    """A month and those before it that are judged together, the latest first."""
    months = [month]
    while len(months) < RECENT:
        months.append((months[-1] - timedelta(days=1)).replace(day=1))
    return months


def incoming(rows: Sequence[Month], earlier: Sequence[Month]) -> Incoming | None:
    """What comes in lately; None where nothing does.

    Args:
        rows: the months that are looked at, of the models that count.
        earlier: all months there are, of the same departments and models.
    """
    if not rows:
        return None
    begin = latest(max(row.month for row in rows))[-1]
    recent = sorted((row for row in rows if row.month >= begin), key=lambda row: (row.month, row.counted_at))
    months = sorted({row.month for row in recent})
    now, model = Counts.total(row.figures for row in recent), recent[-1].bundle
    before = sorted((row for row in earlier if row.month < begin), key=lambda row: row.month)
    bundle = Bundle.objects.filter(name=model).first()
    learnt = bundle.inputs if bundle else {}

    def drift(feature: Feature) -> Drift:
        parts = now.features[feature.name]
        return Drift(
            feature, sum(parts), feature.median(parts), parts,
            training=_compared(parts, _learnt(learnt, feature)),
            first=_compared(parts, *_first(before, lambda counts: counts.features[feature.name])),
        )  # fmt: skip

    # Another model gives other answers.
    same = [row for row in before if row.bundle == model]
    return Incoming(
        months,
        now.images,
        model,
        [drift(feature) for feature in FEATURES],
        share(now.by_answer[0], sum(now.by_answer)),
        _compared(now.by_answer, *_first(same, lambda counts: counts.by_answer)),
        _compared(now.by_answer, _measured(bundle.answers if bundle else {})),
    )


def _compared(now: Sequence[float], before: Sequence[float], months: Sequence[date] = ()) -> Comparison:
    found = shift(now, before) if before else None
    return Comparison(found, _state(found), list(before), list(months))


def _state(found: Shift | None) -> State:
    if found is None:
        return State.NOT_KNOWN
    if found.by_chance > CHANGED:
        return State.TOO_FEW
    if found.index < max(SOMEWHAT, found.by_chance):
        return State.SAME
    return State.SOMEWHAT if found.index < CHANGED else State.DIFFERENT


def _first(rows: Sequence[Month], parts: Callable[[Counts], list[int]]) -> tuple[list[int], list[date]]:
    """The first months that together have enough images of which something is known; nothing where there are none."""
    figures: list[dict[str, Any]] = []
    months: list[date] = []
    for month in dict.fromkeys(row.month for row in rows):
        these = [row.figures for row in rows if row.month == month]
        if not sum(parts(Counts.total(these))):
            continue
        figures += these
        months.append(month)
        if sum(found := parts(Counts.total(figures))) >= FIRST:
            return found, months
    return [], []


def _learnt(inputs: dict[str, Any], feature: Feature) -> list[float]:
    """The figures of a bundle, if it has them in the same parts."""
    found = inputs.get(feature.name, {})
    return list(found["counts"]) if tuple(found.get("edges", ())) == feature.edges else []


def _measured(answers: dict[str, Any]) -> list[float]:
    """How many of the X-rays that a model was measured on got each answer."""
    try:
        return [sum(one["images"] * one[group] for one in answers.values()) for group in ANSWERS] if answers else []
    except KeyError:
        return []
