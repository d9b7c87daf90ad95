"""Choices that models, querysets and services share, and the rule that groups results. Imports no model."""

from collections.abc import Iterable, Mapping
from itertools import product

from django.db import models
from django.utils.translation import gettext_lazy as _


class Status(models.TextChoices):
    """The status of an image. It changes only by compare-and-set; see :mod:`webapp.studies.services`."""

    QUEUED = "queued", _("received")
    READY = "ready", _("prepared")
    RUNNING = "running", _("being read")
    SUCCEEDED = "succeeded", _("read")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")


WAITING = (Status.QUEUED, Status.READY, Status.RUNNING)
FINAL = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)


class ReadingState(models.TextChoices):
    """The state of a reading. A reading is created when its image has been prepared, so it is never queued.

    The status of an image equals the state of its primary reading, except that the image of a held reading is ready.
    """

    #: It waits for its department's night or for the end of a pause. No message is sent for it.
    HELD = "held"
    READY = "ready"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StudyStatus(models.TextChoices):
    """The status of a study, derived from its images and ZIPs."""

    QUEUED = "queued", _("queued")
    RUNNING = "running", _("running")
    FINISHED = "finished", _("finished")
    CANCELLED = "cancelled", _("cancelled")


class Priority(models.TextChoices):
    """Interactive images go before bulk ones."""

    INTERACTIVE = "interactive", _("Interactive")
    BULK = "bulk", _("Bulk")


class Source(models.TextChoices):
    """How a study or an image arrived."""

    UPLOAD = "upload", _("uploaded")
    DICOM = "dicom", "DICOM"


class Label(models.TextChoices):
    """The label that a bundle's threshold gives an image."""

    NORMAL = "NORMAL", _("Normal")
    PNEUMONIA = "PNEUMONIA", _("Pneumonia")


class WarningCode(models.TextChoices):
    """The codes of a result's warnings, as ``ml.pictures`` and ``ml.inference`` give them."""

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
    # In old results only: evidence_outside_lungs has replaced it.
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
    """The kind of pneumonia that a reader sees; empty for any other kind, or if the reader gives none."""

    BACTERIAL = "bacterial", _("bacterial")
    VIRAL = "viral", _("viral")


class ReviewStage(models.TextChoices):
    """How far people have read an image. In the stage ``SECOND`` a verdict is shown to its author only."""

    UNREAD = "unread", _("to be read")
    SECOND = "second", _("second reading")
    DISAGREED = "disagreed", _("readers disagree")
    DONE = "done", _("reviewed")


#: The group of an image by its standing verdict. It replaces the model's group.
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


#: The views that an upload may give.
SENT_VIEWS = (*View.choices, ("unknown", _("not known")))

#: The warnings that make a result meaningless: the image does not look like a chest X-ray, it is a photograph of a film
#: or a screen, or its file says that it is not a frontal chest X-ray.
NOT_USABLE = frozenset({WarningCode.NOT_CHEST_XRAY, WarningCode.PHOTOGRAPH_OF_FILM, WarningCode.NOT_FRONTAL_CHEST})
#: The warnings of a patient or view outside the training data. A department may choose to get a label nevertheless.
OUTSIDE_TRAINING = frozenset({WarningCode.AGE_OUTSIDE_TRAINING, WarningCode.VIEW_NOT_FRONTAL})
#: The warnings that make a result unreliable.
NOT_RELIABLE = NOT_USABLE | OUTSIDE_TRAINING
#: The name of a result with one of these warnings; the first match applies.
DOUBTS = {
    WarningCode.NOT_CHEST_XRAY: ResultGroup.UNUSABLE.label,
    WarningCode.PHOTOGRAPH_OF_FILM: ResultGroup.UNUSABLE.label,
    WarningCode.NOT_FRONTAL_CHEST: ResultGroup.UNUSABLE.label,
    WarningCode.AGE_OUTSIDE_TRAINING: _("Outside the model's ages"),
    WarningCode.VIEW_NOT_FRONTAL: _("Not a frontal view"),
}
#: The threshold for bundles without an operating point "screening": for these, nobody has measured below which
#: probability an image may be called negative. It does not change, because stored results were grouped with it.
SCREENING_FLOOR = 0.2311


def has_warning(warnings: Iterable[Mapping[str, str]], codes: frozenset[str]) -> bool:
    """Whether any of the warnings has one of the codes."""
    return any(warning["code"] in codes for warning in warnings)


def group_bounds(threshold: float, operating_points: Mapping[str, float]) -> tuple[float, float]:
    """Return the lowest probability of an unclear result, and the lowest of a positive one.

    Args:
        threshold: the threshold of the label. It is used if the bundle has no operating point "balanced".
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
    """Return the group of a result. If the bundle does not settle it, an image is called unclear, not negative.

    Args:
        probability: the probability of pneumonia.
        threshold: as for :func:`group_bounds`.
        operating_points: as for :func:`group_bounds`.
        warnings: the result's warnings.
        label_outside_training: whether the image's department wants labels for images outside the training data.
    """
    unclear, positive = group_bounds(threshold, operating_points)
    if has_warning(warnings, NOT_USABLE if label_outside_training else NOT_RELIABLE):
        return ResultGroup.UNUSABLE
    if probability >= positive:
        return ResultGroup.POSITIVE
    return ResultGroup.UNCLEAR if probability >= unclear else ResultGroup.NEGATIVE


def packed_codes(warnings: Iterable[Mapping[str, str]]) -> str:
    """Return the codes of warnings as one text, with a space before and after each so that a search finds each code."""
    codes = " ".join(sorted({warning["code"] for warning in warnings}))
    return f" {codes} "[:255] if codes else ""


#: The columns, apart from the owner and the time, by which lists of images are indexed.
FACETS = ("status", "group", "label", "priority", "reviewed", "source")
#: Every combination that can occur: only an image that was read has a group, a label or a verdict, and only a usable
#: image has a label.
COMBINATIONS: list[dict[str, object]] = [
    row
    for values in product(
        Status.values, ("", *ResultGroup.values), ("", *Label.values), Priority.values, (False, True), Source.values
    )
    if (row := dict(zip(FACETS, values, strict=True)))
    if row["status"] == Status.SUCCEEDED or not (row["group"] or row["label"] or row["reviewed"])
    if not row["label"] or row["group"] not in ("", ResultGroup.UNUSABLE)
]


def combinations(values: Mapping[str, object]) -> list[dict[str, object]]:
    """Return the combinations of :data:`FACETS` that match some values.

    Args:
        values: the values by column. Columns that are not facets are ignored.
    """
    return [row for row in COMBINATIONS if all(row[name] == values.get(name, row[name]) for name in FACETS)]
