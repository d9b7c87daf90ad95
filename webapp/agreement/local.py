"""A department's own calibration: the images it is fitted on, the possible thresholds, and how good each one is.

No threshold is evaluated on the images that it was chosen on. The figures come from five-fold cross-validation: each
part of the images is judged by what was fitted on the other four.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any, TypeVar

from django.db.models import Q
from django.utils import timezone

from webapp.agreement.features import ANSWERS
from webapp.agreement.figures import Tenth
from webapp.departments.models import Department
from webapp.http.pagination import Merged
from webapp.refusals import Refused
from webapp.statistics import Estimate, Line, fit_line, log_odds, share
from webapp.studies.choices import GROUP_BY_VERDICT, ReadingState, ResultGroup, Status, Verdict, combinations
from webapp.studies.models import Image
from webapp.studies.querysets import ImageQuerySet

#: Numbers of children of each kind: fewer than FEWEST are refused, fewer than ENOUGH give a warning, and of more than
#: MOST only the latest are used.
FEWEST, ENOUGH, MOST = 50, 100, 200
PARTS, TENTHS = 5, 10
#: Selectable percentages of pneumonias: those that should get the answer "signs", and those that should not get the
#: answer "no signs".
SIGNS, NO_SIGNS = (80, 85, 90, 95, 97), (90, 95, 97, 99)
VERDICTS = (Verdict.PNEUMONIA, Verdict.NORMAL)

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Judged:
    """A child's image: the model's score before any department calibration, and whether readers call it pneumonia."""

    score: float
    sick: bool


@dataclass(frozen=True)
class Candidate:
    """A threshold that can be chosen.

    Attributes:
        requested: the sensitivity that it was chosen for, in percent.
        threshold: the threshold as a calibrated probability.
        sensitivity: its cross-validated sensitivity.
        specificity: its cross-validated specificity.
    """

    requested: int
    threshold: float
    sensitivity: Estimate | None
    specificity: Estimate | None


@dataclass(frozen=True)
class Choice:
    """A calibration that can be applied; see :class:`webapp.departments.models.Calibration`."""

    slope: float
    intercept: float
    unclear_from: float
    positive_from: float
    answers: dict[str, Any]


def judged(department: Department, bundle: str, since: date | None = None, until: date | None = None) -> list[Judged]:
    """The latest image of each child that has the model's answer and a verdict of pneumonia or normal.

    Args:
        department: the department that received the images.
        bundle: the model that counts.
        since: the first day on which they were received; None for the beginning.
        until: the last such day; None for today.
    """
    images = Image.objects.filter(department=department, status=Status.SUCCEEDED, reviewed=True)
    if since:
        images = images.filter(created_at__gte=_midnight(since))
    if until:
        images = images.filter(created_at__lt=_midnight(until + timedelta(days=1)))
    return [image for verdict in VERDICTS for image in _latest(department, images, bundle, verdict)]


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))


def _latest(department: Department, images: ImageQuerySet, bundle: str, verdict: Verdict) -> list[Judged]:
    read = images.filter(
        group=GROUP_BY_VERDICT[verdict], verdict=verdict, readings__bundle=bundle, readings__shadow=False,
        readings__state=ReadingState.SUCCEEDED, readings__group__in=ANSWERS,
    )  # fmt: skip
    # An index gives each combination in the order of time. One query for all of them would have to sort the rows.
    walks = combinations({"status": Status.SUCCEEDED, "group": GROUP_BY_VERDICT[verdict], "reviewed": True})
    latest = Merged(read, [Q(department=department)], walks).order_by("-created_at", "-id").keys(2 * MOST)
    columns = ("pk", "patient", "readings__probability", "readings__calibration")
    judged_by_child: dict[Any, Judged] = {}
    rows = read.filter(pk__in=latest).order_by("-created_at", "-pk").values_list(*columns)
    for key, patient, probability, calibration in rows:
        line = Line(calibration["slope"], calibration["intercept"]) if calibration else Line()
        judged_by_child.setdefault(patient or key, Judged(line.undo(probability), verdict == Verdict.PNEUMONIA))
    return list(judged_by_child.values())[:MOST]


def _fit(images: Sequence[Judged]) -> Line:
    return fit_line([image.score for image in images], [image.sick for image in images])


def at_sensitivity(images: Sequence[Judged], percent: int) -> float:
    """The highest threshold that this percentage of the pneumonias reaches, half-way to the next lower score."""
    sick = sorted(image.score for image in images if image.sick)
    lowest = sick[(100 - percent) * len(sick) // 100]
    below = [image.score for image in images if image.score < lowest]
    return (lowest + max(below)) / 2 if below else lowest


def _positive_rule(percent: int, images: Sequence[Judged]) -> Callable[[float], bool]:
    return at_sensitivity(images, percent).__le__


def candidates(images: Sequence[Judged], choice: Choice) -> list[Candidate]:
    """A threshold for each sensitivity that can be requested."""
    calibration = Line(choice.slope, choice.intercept)
    thresholds = []
    for requested in sorted({*SIGNS, *NO_SIGNS}):
        positives = _cross_validated(images, partial(_positive_rule, requested))
        sick, well = (
            [positive for positive, image in zip(positives, images, strict=True) if image.sick == kind]
            for kind in (True, False)
        )
        thresholds.append(
            Candidate(
                requested,
                calibration.apply(at_sensitivity(images, requested)),
                share(sum(sick), len(sick)),
                share(len(well) - sum(well), len(well)),
            )
        )
    return thresholds


def choose(images: Sequence[Judged], prevalence: float, signs: int, no_signs: int) -> Choice:
    """The calibration for a prevalence, with the thresholds for two sensitivities.

    The share of pneumonias among the chosen images is not the prevalence, so the intercept of the fit is corrected.
    Source: King & Zeng, "Logistic regression in rare events data", 2001 (prior correction).

    Args:
        images: from :func:`judged`.
        prevalence: the share of pneumonias among the children who are X-rayed.
        signs: the percentage of pneumonias that should get the answer "signs".
        no_signs: the percentage of pneumonias that should not get the answer "no signs".

    Raises:
        Refused: ``too_few_verdicts``, or ``scores_against_verdicts`` if higher scores do not go with pneumonia.
    """
    sick = sum(image.sick for image in images)
    if min(sick, len(images) - sick) < FEWEST:
        raise Refused("too_few_verdicts", f"Fewer than {FEWEST} children of each kind have a verdict.")
    line = _fit(images)
    if line.slope <= 0:
        raise Refused("scores_against_verdicts", "The model's scores do not increase with your readers' verdicts.")
    line = Line(line.slope, line.intercept + log_odds(prevalence) - log_odds(sick / len(images)))
    unclear, positive = (line.apply(at_sensitivity(images, percent)) for percent in (no_signs, signs))
    return Choice(line.slope, line.intercept, unclear, positive, _answers(images, signs, no_signs))


def _answers(images: Sequence[Judged], signs: int, no_signs: int) -> dict[str, Any]:
    """How often each answer is given, cross-validated."""

    def rule(training: Sequence[Judged]) -> Callable[[float], ResultGroup]:
        positive, unclear = at_sensitivity(training, signs), at_sensitivity(training, no_signs)
        # Scores from the first threshold up are positive, those below the second negative, those between unclear.
        return lambda score: ANSWERS[(score < positive) + (score < unclear)]

    judged_groups = list(zip(_cross_validated(images, rule), images, strict=True))
    answers = {}
    for name, kind in (("pneumonia", True), ("normal", False)):
        groups = [group for group, image in judged_groups if image.sick == kind]
        answers[name] = {"images": len(groups), **{str(group): groups.count(group) / len(groups) for group in ANSWERS}}
    return answers


def reliability(images: Sequence[Judged], scores: Sequence[float]) -> list[Tenth]:
    """The mean score and the share of pneumonias, for each tenth of the scale that has images.

    Args:
        images: from :func:`judged`.
        scores: the score of each image, its own or a calibrated one.
    """
    tenths = []
    for tenth in range(TENTHS):
        in_tenth = [
            (score, image.sick)
            for score, image in zip(scores, images, strict=True)
            if min(int(score * TENTHS), TENTHS - 1) == tenth
        ]
        if in_tenth:
            mean = sum(score for score, _ in in_tenth) / len(in_tenth)
            tenths.append(Tenth(len(in_tenth), mean, share(sum(sick for _, sick in in_tenth), len(in_tenth))))
    return tenths


def calibrated(images: Sequence[Judged]) -> list[float]:
    """The cross-validated calibrated score of each image."""
    return _cross_validated(images, lambda training: _fit(training).apply)


def curve(images: Sequence[Judged]) -> list[tuple[float, float]]:
    """The receiver operating characteristic: the false positive rate and the sensitivity at each score."""
    sick = sum(image.sick for image in images)
    points, true_positives, false_positives = [(0.0, 0.0)], 0, 0
    ordered = sorted(images, key=lambda image: -image.score)
    for image, following in zip(ordered, [*ordered[1:], None], strict=True):
        true_positives, false_positives = true_positives + image.sick, false_positives + (not image.sick)
        if following is None or following.score < image.score:
            points.append((false_positives / (len(images) - sick), true_positives / sick))
    return points


def _cross_validated(
    images: Sequence[Judged], fit: Callable[[Sequence[Judged]], Callable[[float], Answer]]
) -> list[Answer]:
    """The answer for each image's score, by a rule fitted on the other parts of the images."""
    rules = [fit([image for index, image in enumerate(images) if index % PARTS != part]) for part in range(PARTS)]
    return [rules[index % PARTS](image.score) for index, image in enumerate(images)]
