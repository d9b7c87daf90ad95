"""Choices that models, querysets and services share, and the rule that puts results into groups. Imports no model."""

from collections.abc import Iterable, Mapping
from itertools import product

from django.db import models
from django.utils.translation import gettext_lazy as _


class Status(models.TextChoices):
    """The status of an image. It only changes by compare-and-set; see :mod:`webapp.studies.services`."""

    QUEUED = "queued", _("received")
    READY = "ready", _("prepared")
    RUNNING = "running", _("being read")
    SUCCEEDED = "succeeded", _("read")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")


WAITING = (Status.QUEUED, Status.READY, Status.RUNNING)
FINAL = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)


class ReadingState(models.TextChoices):
    """The state of a reading. A reading exists once its image is prepared, so it is never queued.

    The status of an image repeats that of its primary reading, but for a held one, whose image is ready.
    """

    #: It waits for the night of its department or the end of a pause, and no message is sent for it.
    HELD = "held"
    READY = "ready"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StudyStatus(models.TextChoices):
    """The status of a study; derived from its images and ZIPs."""

    QUEUED = "queued", _("queued")
    RUNNING = "running", _("running")
    FINISHED = "finished", _("finished")
    CANCELLED = "cancelled", _("cancelled")


class Priority(models.TextChoices):
    """Interactive images go before bulk ones."""

    INTERACTIVE = "interactive", _("Interactive")
    BULK = "bulk", _("Bulk")


class Source(models.TextChoices):
    """How something came here."""

    UPLOAD = "upload", _("uploaded")
    DICOM = "dicom", "DICOM"


class Label(models.TextChoices):
    """A bundle's label for an image, by its threshold."""

    NORMAL = "NORMAL", _("Normal")
    PNEUMONIA = "PNEUMONIA", _("Pneumonia")


class WarningCode(models.TextChoices):
    """The warnings of a result, as ``ml.pictures`` and ``ml.inference`` give them."""

    NOT_CHEST_XRAY = "not_chest_xray", _("looks like no chest X-ray")
    CHEST_TURNED = "chest_turned", _("turned or inverted")
    CHEST_FROM_THE_SIDE = "chest_from_the_side", _("looks like a chest from the side")
    PHOTOGRAPH_OF_FILM = "photograph_of_film", _("photograph of a film")
    AGE_OUTSIDE_TRAINING = "age_outside_training", _("age outside one to five")
    VIEW_NOT_FRONTAL = "view_not_frontal", _("not a frontal view")
    NOT_FRONTAL_CHEST = "not_frontal_chest", _("not a frontal chest by its file")
    INSTANCE_SENT_BEFORE = "instance_sent_before", _("sent before")
    FOR_PROCESSING = "for_processing", _("raw data of the detector")
    BIRTH_DATE_DIFFERS = "birth_date_differs", _("another date of birth in the file")
    BORDERS_REMOVED = "borders_removed", _("borders cut off")
    EVIDENCE_OUTSIDE_LUNGS = "evidence_outside_lungs", _("score rests on parts outside the lungs")
    # Of results before evidence_outside_lungs came in its place.
    MAP_OUTSIDE_CHEST = "map_outside_chest", _("score rests on parts outside the chest")
    METADATA_IGNORED = "metadata_ignored", _("metadata is damaged")
    END_MISSING = "end_missing", _("the file's end is missing")


class ResultGroup(models.TextChoices):
    """The meaning of a result for the person who acts on it."""

    POSITIVE = "positive", _("Signs of pneumonia")
    UNCLEAR = "unclear", _("Unclear: have it read first")
    NEGATIVE = "negative", _("No signs of pneumonia found")
    UNUSABLE = "unusable", _("Probably not a usable chest X-ray")


class Verdict(models.TextChoices):
    """A reader's answer. ``UNSURE`` is a valid verdict: such an image is left out of training."""

    PNEUMONIA = "PNEUMONIA", _("Pneumonia")
    NORMAL = "NORMAL", _("Normal")
    UNUSABLE = "UNUSABLE", _("Not usable")
    UNSURE = "UNSURE", _("Not sure")


class PneumoniaKind(models.TextChoices):
    """What kind of pneumonia a reader sees; empty for another one, or where the reader does not say."""

    BACTERIAL = "bacterial", _("bacterial")
    VIRAL = "viral", _("viral")


class ReviewStage(models.TextChoices):
    """How far people have come with an image. In the stage ``SECOND`` a verdict is shown to its author only."""

    UNREAD = "unread", _("to be read")
    SECOND = "second", _("second reading")
    DISAGREED = "disagreed", _("readers disagree")
    DONE = "done", _("reviewed")


#: The group of an image by the verdict that stands, which comes in place of the model's.
GROUP_BY_VERDICT = {
    Verdict.PNEUMONIA: ResultGroup.POSITIVE,
    Verdict.NORMAL: ResultGroup.NEGATIVE,
    Verdict.UNUSABLE: ResultGroup.UNUSABLE,
    Verdict.UNSURE: ResultGroup.UNCLEAR,
}


class Sex(models.TextChoices):
    FEMALE = "F", _("female")
    MALE = "M", _("male")
    OTHER = "O", _("other")


class View(models.TextChoices):
    """How the X-ray was taken."""

    PA = "PA", _("frontal, from behind (PA)")
    AP = "AP", _("frontal, from the front (AP)")
    LATERAL = "lateral", _("lateral")


#: The views that an upload may name.
SENT_VIEWS = (*View.choices, ("unknown", _("not known")))

#: The warnings that make a result meaningless: for an image that looks like no chest X-ray, of a photograph of a film
#: or a screen, and of what is something else by its own file.
NOT_USABLE = frozenset({WarningCode.NOT_CHEST_XRAY, WarningCode.PHOTOGRAPH_OF_FILM, WarningCode.NOT_FRONTAL_CHEST})
#: The warnings of a patient or view outside the training data. A department may want a label all the same.
OUTSIDE_TRAINING = frozenset({WarningCode.AGE_OUTSIDE_TRAINING, WarningCode.VIEW_NOT_FRONTAL})
#: The warnings that make a result unreliable.
NOT_RELIABLE = NOT_USABLE | OUTSIDE_TRAINING
#: The name of a result with such a warning; the first match applies.
DOUBTS = {
    WarningCode.NOT_CHEST_XRAY: ResultGroup.UNUSABLE.label,
    WarningCode.PHOTOGRAPH_OF_FILM: ResultGroup.UNUSABLE.label,
    WarningCode.NOT_FRONTAL_CHEST: ResultGroup.UNUSABLE.label,
    WarningCode.AGE_OUTSIDE_TRAINING: _("Outside the model's ages"),
    WarningCode.VIEW_NOT_FRONTAL: _("Not a frontal view"),
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
        operating_points: as for :func:`group_bounds`.
        warnings: the result's.
        label_outside_training: what the image's department has chosen.
    """
    unclear, positive = group_bounds(threshold, operating_points)
    if has_warning(warnings, NOT_USABLE if label_outside_training else NOT_RELIABLE):
        return ResultGroup.UNUSABLE
    if probability >= positive:
        return ResultGroup.POSITIVE
    return ResultGroup.UNCLEAR if probability >= unclear else ResultGroup.NEGATIVE


def packed_codes(warnings: Iterable[Mapping[str, str]]) -> str:
    """The codes of warnings in one text, with a blank before and after each, by which each of them is found."""
    codes = " ".join(sorted({warning["code"] for warning in warnings}))
    return f" {codes} "[:255] if codes else ""


#: The columns by which lists of images are indexed, besides the owner and the time.
FACETS = ("status", "group", "label", "priority", "reviewed", "source")
#: Every combination that can occur: only an image that was read has a group, a label or a verdict, and only what
#: is usable has a label.
COMBINATIONS: list[dict[str, object]] = [
    one
    for values in product(
        Status.values, ("", *ResultGroup.values), ("", *Label.values), Priority.values, (False, True), Source.values
    )
    if (one := dict(zip(FACETS, values, strict=True)))
    if one["status"] == Status.SUCCEEDED or not (one["group"] or one["label"] or one["reviewed"])
    if not one["label"] or one["group"] not in ("", ResultGroup.UNUSABLE)
]


def combinations(wanted: Mapping[str, object]) -> list[dict[str, object]]:
    """The combinations of :data:`FACETS` that suit some values.

    Args:
        wanted: by column; other columns are passed over.
    """
    return [one for one in COMBINATIONS if all(one[name] == wanted.get(name, one[name]) for name in FACETS)]
