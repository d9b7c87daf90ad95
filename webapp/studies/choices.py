"""Choices that models, querysets and services share, and the rule that puts results into groups. Imports no model."""

from collections.abc import Iterable, Mapping

from django.db import models


class Status(models.TextChoices):
    """Where an image stands. It only moves by compare-and-set; see :mod:`webapp.studies.services`."""

    QUEUED = "queued", "received"
    READY = "ready", "prepared"
    RUNNING = "running", "being read"
    SUCCEEDED = "succeeded", "read"
    FAILED = "failed", "failed"
    CANCELLED = "cancelled", "cancelled"


WAITING = (Status.QUEUED, Status.READY, Status.RUNNING)
FINAL = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)


class ReadingState(models.TextChoices):
    """Where a reading stands. A reading exists once its image is prepared, so it is never queued."""

    READY = "ready"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StudyStatus(models.TextChoices):
    """Where a study stands; derived from its images and ZIPs."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class Priority(models.TextChoices):
    """Interactive images go before bulk ones."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


class ResultGroup(models.TextChoices):
    """What a result means for the person who acts on it."""

    POSITIVE = "positive", "Signs of pneumonia"
    UNCLEAR = "unclear", "Unclear: have it read first"
    NEGATIVE = "negative", "No signs of pneumonia found"
    UNUSABLE = "unusable", "Probably no usable chest X-ray"


class Sex(models.TextChoices):
    FEMALE = "F", "female"
    MALE = "M", "male"
    OTHER = "O", "other"


class View(models.TextChoices):
    """How the X-ray was taken."""

    PA = "PA", "frontal, from behind (PA)"
    AP = "AP", "frontal, from the front (AP)"
    LATERAL = "lateral", "lateral"


#: What an upload may say of it.
SENT_VIEWS = (*View.choices, ("unknown", "not known"))

#: The codes of the warnings that a result says nothing: of an image that looks like no chest X-ray, and of a photograph
#: of a film or a screen.
NOT_USABLE = frozenset({"not_chest_xray", "photograph_of_film"})
#: Those that the patient or the view is none that the model learnt from. A department may want a label all the same.
OUTSIDE_TRAINING = frozenset({"age_outside_training", "view_not_frontal"})
#: With any of these a result is not to be relied on.
NOT_RELIABLE = NOT_USABLE | OUTSIDE_TRAINING
#: What a result with such a warning is called, the first one that applies.
DOUBTS = {
    "not_chest_xray": str(ResultGroup.UNUSABLE.label),
    "photograph_of_film": str(ResultGroup.UNUSABLE.label),
    "age_outside_training": "Outside the model's ages",
    "view_not_frontal": "Not a frontal view",
}
#: Where a bundle has no operating point "screening", nothing measured says below which probability an image may be
#: called negative. This is the lowest screening threshold of the bundles released so far.
SCREENING_FLOOR = 0.2311


def has_warning(warnings: Iterable[Mapping[str, str]], codes: frozenset[str]) -> bool:
    """Whether one of the warnings has one of the codes."""
    return any(warning["code"] in codes for warning in warnings)


def group_bounds(threshold: float, operating_points: Mapping[str, float]) -> tuple[float, float]:
    """The probabilities from which a result is unclear, and from which it is positive.

    Args:
        threshold: the one that made the label; it decides where the bundle has no point "balanced".
        operating_points: the bundle's thresholds by name.
    """
    positive = operating_points.get("balanced", threshold)
    return min(operating_points.get("screening", SCREENING_FLOOR), positive), positive


def group_of(
    probability: float,
    threshold: float,
    operating_points: Mapping[str, float],
    warnings: Iterable[Mapping[str, str]] = (),
    *,
    label_outside_training: bool = False,
) -> ResultGroup:
    """The group of a result. Where a bundle leaves it open, an image is rather called unclear than negative.

    Args:
        probability: of pneumonia.
        threshold: as for :func:`group_bounds`.
        operating_points: likewise.
        warnings: the result's.
        label_outside_training: what the image's department has chosen.
    """
    unclear, positive = group_bounds(threshold, operating_points)
    if has_warning(warnings, NOT_USABLE if label_outside_training else NOT_RELIABLE):
        return ResultGroup.UNUSABLE
    if probability >= positive:
        return ResultGroup.POSITIVE
    return ResultGroup.UNCLEAR if probability >= unclear else ResultGroup.NEGATIVE
