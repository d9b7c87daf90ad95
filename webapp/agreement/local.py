"""A department's own calibration: which of its images choose it, what may be chosen, and how good each choice is.

Nothing is measured on the images that have chosen it: what stands beside a threshold was found by dividing the images
into five parts, and judging each of them by what the other four chose.
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

#: Children of each kind: fewer are refused, fewer than the second are warned of, and the latest of more are used.
FEWEST, ENOUGH, MOST = 50, 100, 200
PARTS, TENTHS = 5, 10
#: Percent of the pneumonias that one can ask for: that get the answer of signs, and that do not get that of no signs.
SIGNS, NO_SIGNS = (80, 85, 90, 95, 97), (90, 95, 97, 99)
VERDICTS = (Verdict.PNEUMONIA, Verdict.NORMAL)

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Judged:
    """A child's image: the model's own score, and whether readers call it pneumonia."""

    score: float
    sick: bool


@dataclass(frozen=True)
class Candidate:
    """A threshold that may be chosen.

    Attributes:
        wanted: the sensitivity that chooses it, in percent.
        threshold: a probability, calibrated.
        sensitivity: that it had on images which did not choose it.
        specificity: the same.
    """

    wanted: int
    threshold: float
    sensitivity: Estimate | None
    specificity: Estimate | None


@dataclass(frozen=True)
class Choice:
    """What can be applied; see :class:`webapp.departments.models.Calibration`."""

    slope: float
    intercept: float
    unclear_from: float
    positive_from: float
    answers: dict[str, Any]


def judged(department: Department, bundle: str, since: date | None = None, until: date | None = None) -> list[Judged]:
    """The latest image of each child that a model gave an answer to, and that readers call pneumonia or normal.

    Args:
        department: whose images.
        bundle: the model that counts.
        since: the first day on which they came; without it from the beginning.
        until: the last one.
    """
    images = Image.objects.filter(department=department, status=Status.SUCCEEDED, reviewed=True)
    if since:
        images = images.filter(created_at__gte=_midnight(since))
    if until:
        images = images.filter(created_at__lt=_midnight(until + timedelta(days=1)))
    return [one for verdict in VERDICTS for one in _latest(department, images, bundle, verdict)]


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))


def _latest(department: Department, images: ImageQuerySet, bundle: str, verdict: Verdict) -> list[Judged]:
    read = images.filter(
        group=GROUP_BY_VERDICT[verdict], verdict=verdict, readings__bundle=bundle, readings__shadow=False,
        readings__state=ReadingState.SUCCEEDED, readings__group__in=ANSWERS,
    )  # fmt: skip
    # Each combination has an index in the order of time; all together would be sorted.
    walks = combinations({"status": Status.SUCCEEDED, "group": GROUP_BY_VERDICT[verdict], "reviewed": True})
    latest = Merged(read, [Q(department=department)], walks).order_by("-created_at", "-id").keys(2 * MOST)
    columns = ("pk", "patient", "readings__probability", "readings__calibration")
    found: dict[Any, Judged] = {}
    rows = read.filter(pk__in=latest).order_by("-created_at", "-pk").values_list(*columns)
    for key, patient, probability, calibration in rows:
        own = Line(calibration["slope"], calibration["intercept"]) if calibration else Line()
        found.setdefault(patient or key, Judged(own.undo(probability), verdict == Verdict.PNEUMONIA))
    return list(found.values())[:MOST]


def _fitted(found: Sequence[Judged]) -> Line:
    return fit_line([one.score for one in found], [one.sick for one in found])


def at_sensitivity(found: Sequence[Judged], wanted: int) -> float:
    """The highest score that so many percent of the pneumonias reach, half-way to the next lower one."""
    sick = sorted(one.score for one in found if one.sick)
    kept = sick[(100 - wanted) * len(sick) // 100]
    below = [one.score for one in found if one.score < kept]
    return (kept + max(below)) / 2 if below else kept


def _reached(wanted: int, others: Sequence[Judged]) -> Callable[[float], bool]:
    return at_sensitivity(others, wanted).__le__


def candidates(found: Sequence[Judged], choice: Choice) -> list[Candidate]:
    """A threshold for each sensitivity that can be asked for."""
    calibration = Line(choice.slope, choice.intercept)
    made = []
    for wanted in sorted({*SIGNS, *NO_SIGNS}):
        called = _crossed(found, partial(_reached, wanted))
        sick, well = (
            [yes for yes, one in zip(called, found, strict=True) if one.sick == kind] for kind in (True, False)
        )
        made.append(
            Candidate(
                wanted,
                calibration.apply(at_sensitivity(found, wanted)),
                share(sum(sick), len(sick)),
                share(len(well) - sum(well), len(well)),
            )
        )
    return made


def choose(found: Sequence[Judged], prevalence: float, signs: int, no_signs: int) -> Choice:
    """The calibration for a share of pneumonias, with the thresholds for two sensitivities.

    The share of pneumonias among the chosen images says nothing of how frequent it is; so the line is moved.
    Source: King & Zeng, "Logistic regression in rare events data", 2001 (prior correction).

    Args:
        found: from :func:`judged`.
        prevalence: the share of pneumonias among the children who are X-rayed.
        signs: percent of the pneumonias that should get the answer of signs.
        no_signs: percent that should not get the answer of no signs.

    Raises:
        Refused: ``too_few_verdicts``, or ``scores_against_verdicts`` where higher scores do not go with pneumonia.
    """
    sick = sum(one.sick for one in found)
    if min(sick, len(found) - sick) < FEWEST:
        raise Refused("too_few_verdicts", f"Fewer than {FEWEST} children of a kind have a verdict.")
    line = _fitted(found)
    if line.slope <= 0:
        raise Refused("scores_against_verdicts", "The model's scores do not increase with your readers' verdicts.")
    line = Line(line.slope, line.intercept + log_odds(prevalence) - log_odds(sick / len(found)))
    unclear, positive = (line.apply(at_sensitivity(found, wanted)) for wanted in (no_signs, signs))
    return Choice(line.slope, line.intercept, unclear, positive, _answers(found, signs, no_signs))


def _answers(found: Sequence[Judged], signs: int, no_signs: int) -> dict[str, Any]:
    """How often each answer is given, by thresholds that the images of the other parts choose."""

    def rule(others: Sequence[Judged]) -> Callable[[float], ResultGroup]:
        positive, unclear = at_sensitivity(others, signs), at_sensitivity(others, no_signs)
        # Results from the first threshold up are positive, and those below the second negative.
        return lambda score: ANSWERS[(score < positive) + (score < unclear)]

    given = list(zip(_crossed(found, rule), found, strict=True))
    answers = {}
    for name, kind in (("pneumonia", True), ("normal", False)):
        mine = [group for group, one in given if one.sick == kind]
        answers[name] = {"images": len(mine), **{str(group): mine.count(group) / len(mine) for group in ANSWERS}}
    return answers


def reliability(found: Sequence[Judged], scores: Sequence[float]) -> list[Tenth]:
    """The share of pneumonias beside some scores of the images, for each tenth of the scale."""
    tenths = []
    for tenth in range(TENTHS):
        here = [
            (score, one.sick)
            for score, one in zip(scores, found, strict=True)
            if min(int(score * TENTHS), TENTHS - 1) == tenth
        ]
        if here:
            mean = sum(score for score, _ in here) / len(here)
            tenths.append(Tenth(len(here), mean, share(sum(sick for _, sick in here), len(here))))
    return tenths


def calibrated(found: Sequence[Judged]) -> list[float]:
    """The images' scores, each calibrated by the other images."""
    return _crossed(found, lambda others: _fitted(others).apply)


def curve(found: Sequence[Judged]) -> list[tuple[float, float]]:
    """The receiver operating characteristic: the share of the normal images and of the pneumonias above each score."""
    sick = sum(one.sick for one in found)
    points, right, wrong = [(0.0, 0.0)], 0, 0
    ordered = sorted(found, key=lambda one: -one.score)
    for one, following in zip(ordered, [*ordered[1:], None], strict=True):
        right, wrong = right + one.sick, wrong + (not one.sick)
        if following is None or following.score < one.score:
            points.append((wrong / (len(found) - sick), right / sick))
    return points


def _crossed(found: Sequence[Judged], choose: Callable[[Sequence[Judged]], Callable[[float], Answer]]) -> list[Answer]:
    """What each image's score gets by the rule that the images of the other parts choose."""
    rules = [choose([one for place, one in enumerate(found) if place % PARTS != part]) for part in range(PARTS)]
    return [rules[place % PARTS](one.score) for place, one in enumerate(found)]
