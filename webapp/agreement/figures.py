"""How well a model's answers agree with readers, from monthly counts."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from webapp.agreement.counts import AWAITED, COMPARED, DISAGREED, UNREAD, Counts
from webapp.agreement.features import ANSWERS
from webapp.agreement.incoming import Incoming, incoming
from webapp.agreement.models import Alert, Month
from webapp.departments.models import Department
from webapp.statistics import Estimate, kappa, share
from webapp.studies.choices import ResultGroup, Verdict

NOT_COMPARED = (Verdict.UNSURE, Verdict.UNUSABLE, DISAGREED, AWAITED)


@dataclass(frozen=True)
class Calibration:
    """The scores of images with a verdict, compared with what readers say.

    Attributes:
        predicted: the mean score.
        observed: the share that readers call pneumonia.
        tenths: the same for each tenth of the scale that has images.
    """

    predicted: float
    observed: Estimate
    tenths: list["Tenth"]


@dataclass(frozen=True)
class Tenth:
    """Images with scores in one tenth of the scale; ``observed`` is None if there are too few."""

    images: int
    predicted: float
    observed: Estimate | None


@dataclass(frozen=True)
class Agreement:
    """A model's answers compared with readers' verdicts. A figure based on too few images is None.

    Attributes:
        name: the month or model; empty for the total.
        images: the number of images that the model has read.
        verdicts: the number of those with an answer and with a final verdict of pneumonia or normal.
        sensitivity: the share of the readers' pneumonias in which the model found signs.
        specificity: the share of the readers' normal images in which it found no signs or was unclear.
        missed: the share of the readers' pneumonias for which it answered that it found no signs.
        kappa: Cohen's kappa between the model's signs and the readers' pneumonias.
    """

    name: str
    images: int
    verdicts: int
    sensitivity: Estimate | None
    specificity: Estimate | None
    missed: Estimate | None
    kappa: Estimate | None
    calibration: Calibration | None


@dataclass(frozen=True)
class Group:
    """The images with one answer.

    Attributes:
        read: the number of images with a verdict to compare with.
        pneumonias: the share of those that readers call pneumonia.
    """

    group: ResultGroup
    images: int
    read: int
    pneumonias: Estimate | None


def measure(counts: Counts, name: str = "") -> Agreement:
    positive, others = (ResultGroup.POSITIVE,), ANSWERS[1:]
    hits, misses = counts.number_of(positive, (Verdict.PNEUMONIA,)), counts.number_of(others, (Verdict.PNEUMONIA,))
    false_alarms, correct_negatives = (
        counts.number_of(positive, (Verdict.NORMAL,)),
        counts.number_of(others, (Verdict.NORMAL,)),
    )
    negative = counts.number_of((ResultGroup.NEGATIVE,), (Verdict.PNEUMONIA,))
    return Agreement(
        name, counts.images, hits + misses + false_alarms + correct_negatives,
        sensitivity=share(hits, hits + misses),
        specificity=share(correct_negatives, correct_negatives + false_alarms),
        missed=share(negative, hits + misses),
        kappa=kappa(hits, false_alarms, misses, correct_negatives),
        calibration=_calibration(counts),
    )  # fmt: skip


def _calibration(counts: Counts) -> Calibration | None:
    n, sick, total = (sum(tenth[column] for tenth in counts.scores) for column in range(3))
    observed = share(round(sick), round(n))
    if observed is None:
        return None
    tenths = [
        Tenth(round(images), scores / images, share(round(pneumonias), round(images)))
        for images, pneumonias, scores in counts.scores
        if images
    ]
    return Calibration(total / n, observed, tenths)


def groups(counts: Counts) -> list[Group]:
    """The images with each answer."""
    groups_of_images = []
    for group in ANSWERS:
        read = counts.number_of((group,), COMPARED)
        pneumonias = share(counts.number_of((group,), (Verdict.PNEUMONIA,)), read)
        groups_of_images.append(Group(group, counts.number_of((group,)), read, pneumonias))
    return groups_of_images


def left_out(counts: Counts) -> dict[str, int]:
    """The number of images that are not compared, by reason."""
    by_verdict = {name: counts.number_of(ANSWERS, (name,)) for name in (UNREAD, *NOT_COMPARED)}
    return {
        "no_answer": counts.number_of((ResultGroup.UNUSABLE,)),
        **{str(name).lower(): n for name, n in by_verdict.items()},
    }


@dataclass(frozen=True)
class Report:
    """Everything that the page, the table and the API show.

    Attributes:
        departments: the departments whose images count; None for all images.
        counted_at: when the oldest of the counts was made.
        together: the total over the models that count, without second models.
    """

    departments: list[Department] | None
    counted_at: datetime | None
    together: Agreement
    months: list[Agreement]
    models: list[Agreement]
    groups: list[Group]
    left_out: dict[str, int]
    incoming: Incoming | None
    alerts: list[Alert]


def report(
    rows: Sequence[Month],
    all_rows: Sequence[Month],
    departments: list[Department] | None,
    alerts: list[Alert],
) -> Report:
    """The report for some months.

    Args:
        rows: the counts of the selected months.
        all_rows: the counts of all months, for the same departments and models.
        departments: these departments; None for all images.
        alerts: their alerts.
    """
    counting = [row for row in rows if not row.shadow]
    total = Counts.total(row.figures for row in counting)
    return Report(
        departments=departments,
        counted_at=min((row.counted_at for row in rows), default=None),
        together=measure(total),
        months=_measure_each(counting, lambda row: f"{row.month:%Y-%m}"),
        models=_measure_each(rows, lambda row: f"{row.bundle} (second model)" if row.shadow else row.bundle),
        groups=groups(total),
        left_out=left_out(total),
        incoming=incoming(counting, [row for row in all_rows if not row.shadow]),
        alerts=alerts,
    )


def _measure_each(rows: Iterable[Month], name: Callable[[Month], str]) -> list[Agreement]:
    figures_by_name: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        figures_by_name.setdefault(name(row), []).append(row.figures)
    return [measure(Counts.total(figures), key) for key, figures in sorted(figures_by_name.items())]
