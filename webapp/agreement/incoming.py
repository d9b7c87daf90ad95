"""How incoming images differ from the model's training images and from a department's first images."""

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

#: Incoming images are compared over this many months, the last ones selected.
RECENT = 3
#: The number of first images that later ones are compared with.
FIRST = 500
#: Values of the population stability index from which a change counts as some, or as large; its usual limits.
SOMEWHAT, CHANGED = 0.1, 0.25


class State(models.TextChoices):
    """How different incoming images are from a reference, in words."""

    SAME = "same", _("the same")
    SOMEWHAT = "somewhat", _("somewhat different")
    DIFFERENT = "different", _("different")
    TOO_FEW = "too_few", _("too few to say")
    NOT_KNOWN = "not_known", _("not known")


@dataclass(frozen=True)
class Comparison:
    """How different incoming images are from a reference.

    Attributes:
        parts: the number of reference images in each bin.
        months: the months of the reference images; empty if these are the training images.
    """

    shift: Shift | None
    state: State
    parts: list[float]
    months: list[date]


@dataclass(frozen=True)
class Drift:
    """The distribution of one feature, compared with earlier ones.

    Attributes:
        known: the number of images for which the feature is known.
        median: an estimate of the median.
        parts: the number of images in each bin.
        training: the comparison with the training images.
        first: the comparison with the first images received.
    """

    feature: Feature
    known: int
    median: float | None
    parts: list[int]
    training: Comparison
    first: Comparison


@dataclass(frozen=True)
class Incoming:
    """The images received lately.

    Attributes:
        months: the months that they were received in.
        images: the number of images.
        model: the model whose training images they are compared with.
        positives: the share of images with an answer in which the model found signs of pneumonia.
        answers: the comparison with the same model's answers for the first images received.
        answers_measured: the comparison with its answers when it was evaluated, on X-rays with another share of
            pneumonias.
    """

    months: list[date]
    images: int
    model: str
    features: list[Drift]
    positives: Estimate | None
    answers: Comparison
    answers_measured: Comparison


def latest(month: date) -> list[date]:
    """The :data:`RECENT` months up to this one, the latest first."""
    months = [month]
    while len(months) < RECENT:
        months.append((months[-1] - timedelta(days=1)).replace(day=1))
    return months


def incoming(rows: Sequence[Month], earlier: Sequence[Month]) -> Incoming | None:
    """Compare the images received lately with earlier ones; None if there are no counts.

    Args:
        rows: the counts of the selected months, without second models.
        earlier: the counts of all months, for the same departments and models.
    """
    if not rows:
        return None
    first_recent = latest(max(row.month for row in rows))[-1]
    recent = sorted((row for row in rows if row.month >= first_recent), key=lambda row: (row.month, row.counted_at))
    months = sorted({row.month for row in recent})
    total, model = Counts.total(row.figures for row in recent), recent[-1].bundle
    before_recent = sorted((row for row in earlier if row.month < first_recent), key=lambda row: row.month)
    bundle = Bundle.objects.filter(name=model).first()
    training_inputs = bundle.inputs if bundle else {}

    def drift(feature: Feature) -> Drift:
        parts = total.features[feature.name]
        return Drift(
            feature, sum(parts), feature.median(parts), parts,
            training=_compare(parts, _training_bins(training_inputs, feature)),
            first=_compare(parts, *_first_images(before_recent, lambda counts: counts.features[feature.name])),
        )  # fmt: skip

    # Another model gives other answers.
    same_model = [row for row in before_recent if row.bundle == model]
    return Incoming(
        months,
        total.images,
        model,
        [drift(feature) for feature in FEATURES],
        share(total.by_answer[0], sum(total.by_answer)),
        _compare(total.by_answer, *_first_images(same_model, lambda counts: counts.by_answer)),
        _compare(total.by_answer, _evaluation_answers(bundle.answers if bundle else {})),
    )


def _compare(now: Sequence[float], before: Sequence[float], months: Sequence[date] = ()) -> Comparison:
    difference = shift(now, before) if before else None
    return Comparison(difference, _state(difference), list(before), list(months))


def _state(difference: Shift | None) -> State:
    if difference is None:
        return State.NOT_KNOWN
    if difference.by_chance > CHANGED:
        return State.TOO_FEW
    if difference.index < max(SOMEWHAT, difference.by_chance):
        return State.SAME
    return State.SOMEWHAT if difference.index < CHANGED else State.DIFFERENT


def _first_images(rows: Sequence[Month], parts: Callable[[Counts], list[int]]) -> tuple[list[int], list[date]]:
    """The counts of the first months that together have enough images, and these months; empty if there are too few."""
    figures: list[dict[str, Any]] = []
    months: list[date] = []
    for month in dict.fromkeys(row.month for row in rows):
        month_figures = [row.figures for row in rows if row.month == month]
        if not sum(parts(Counts.total(month_figures))):
            continue
        figures += month_figures
        months.append(month)
        if sum(bins := parts(Counts.total(figures))) >= FIRST:
            return bins, months
    return [], []


def _training_bins(inputs: dict[str, Any], feature: Feature) -> list[float]:
    """A feature's counts for the bundle's training images; empty unless the bundle has them with the same edges."""
    histogram = inputs.get(feature.name, {})
    return list(histogram["counts"]) if tuple(histogram.get("edges", ())) == feature.edges else []


def _evaluation_answers(answers: dict[str, Any]) -> list[float]:
    """The number of X-rays that got each answer when the model was evaluated."""
    try:
        return [sum(row["images"] * row[group] for row in answers.values()) for group in ANSWERS] if answers else []
    except KeyError:
        return []
