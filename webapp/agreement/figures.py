"""How a model's answers agree with readers, from the counts of months."""

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
    """What the scores say of the images with a verdict, beside what readers say.

    Attributes:
        predicted: the mean score.
        observed: the share of pneumonias by the readers.
        tenths: the same of each tenth of the scale that has images.
    """

    predicted: float
    observed: Estimate
    tenths: list["Tenth"]


@dataclass(frozen=True)
class Tenth:
    """Images with scores of one tenth of the scale; ``observed`` is None where they are too few."""

    images: int
    predicted: float
    observed: Estimate | None


@dataclass(frozen=True)
class Agreement:
    """A model's answers beside the verdicts of readers. What rests on too few images is None.

    Attributes:
        name: of the month or model; empty for all together.
        images: what the model has read.
        verdicts: those of them that it gave an answer to, and on which a verdict of pneumonia or normal stands.
        sensitivity: of the pneumonias by the readers, the share that it found signs in.
        specificity: of the normal ones, the share that it found no signs in, unclear ones among them.
        missed: of the pneumonias, the share of which it said that it found no signs.
        kappa: Cohen's, of the model's signs and the readers' pneumonias.
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
        pneumonias: of those with a verdict, the share that readers call pneumonia.
        read: how many of the images have a verdict to compare with.
    """

    group: ResultGroup
    images: int
    read: int
    pneumonias: Estimate | None


def of(counts: Counts, name: str = "") -> Agreement:
    positive, others = (ResultGroup.POSITIVE,), ANSWERS[1:]
    found, missed = counts.of(positive, (Verdict.PNEUMONIA,)), counts.of(others, (Verdict.PNEUMONIA,))
    false, right = counts.of(positive, (Verdict.NORMAL,)), counts.of(others, (Verdict.NORMAL,))
    negative = counts.of((ResultGroup.NEGATIVE,), (Verdict.PNEUMONIA,))
    return Agreement(
        name, counts.images, found + missed + false + right,
        sensitivity=share(found, found + missed),
        specificity=share(right, right + false),
        missed=share(negative, found + missed),
        kappa=kappa(found, false, missed, right),
        calibration=_calibration(counts),
    )  # fmt: skip


def _calibration(counts: Counts) -> Calibration | None:
    n, sick, total = (sum(tenth[place] for tenth in counts.scores) for place in range(3))
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
    found = []
    for group in ANSWERS:
        read = counts.of((group,), COMPARED)
        pneumonias = share(counts.of((group,), (Verdict.PNEUMONIA,)), read)
        found.append(Group(group, counts.of((group,)), read, pneumonias))
    return found


def left_out(counts: Counts) -> dict[str, int]:
    """Images that nothing is compared of, by why."""
    found = {name: counts.of(ANSWERS, (name,)) for name in (UNREAD, *NOT_COMPARED)}
    return {"no_answer": counts.of((ResultGroup.UNUSABLE,)), **{str(name).lower(): n for name, n in found.items()}}


@dataclass(frozen=True)
class Report:
    """Everything that the page, the table and the API show.

    Attributes:
        departments: whose images count; None for those of everybody.
        counted_at: when the month that was counted the longest ago was.
        together: of the models that count.
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
    every: Sequence[Month],
    departments: list[Department] | None,
    alerts: list[Alert],
) -> Report:
    """A report of some months.

    Args:
        rows: those that are looked at.
        every: all of the same departments and models.
        departments: whose they are.
        alerts: theirs.
    """
    counting = [row for row in rows if not row.shadow]
    total = Counts.total(row.figures for row in counting)
    return Report(
        departments=departments,
        counted_at=min((row.counted_at for row in rows), default=None),
        together=of(total),
        months=_each(counting, lambda row: f"{row.month:%Y-%m}"),
        models=_each(rows, lambda row: f"{row.bundle} (second model)" if row.shadow else row.bundle),
        groups=groups(total),
        left_out=left_out(total),
        incoming=incoming(counting, [row for row in every if not row.shadow]),
        alerts=alerts,
    )


def _each(rows: Iterable[Month], name: Callable[[Month], str]) -> list[Agreement]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(name(row), []).append(row.figures)
    return [of(Counts.total(figures), key) for key, figures in sorted(found.items())]
