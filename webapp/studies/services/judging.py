"""Warnings for ages and views outside the models' training data, and new groups of results when these are corrected."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.db.models import Case, Value, When

from webapp.studies.choices import (
    GROUP_BY_VERDICT,
    OUTSIDE_TRAINING,
    ReadingState,
    ResultGroup,
    View,
    WarningCode,
    group_of,
    has_warning,
)
from webapp.studies.models import Image, Reading
from webapp.studies.querysets import ImageQuerySet
from webapp.studies.services.completion import (
    IMAGES_CORRECTED,
    IMAGES_POSITIVE,
    announce_images,
    announce_results,
)
from webapp.studies.services.list_columns import list_columns
from webapp.studies.services.results import Result

#: Years: the models learnt from children of at least the first age and below the second. The web process loads no
#: model, so ``ml.pictures.warnings`` has these warnings as well, for single files. A test compares the two.
LEARNT_AGES = (1, 6)
#: The group of an image with a standing verdict.
GROUP_BY_STANDING_VERDICT = Case(
    *(When(verdict=verdict, then=Value(group.value)) for verdict, group in GROUP_BY_VERDICT.items())
)
#: Images that are processed at a time.
CHUNK = 500


def outside_training(age: float | None, view: str | None) -> list[dict[str, str]]:
    """Return warnings if the models did not learn from patients of this age, or from this view."""
    warnings = []
    if age is not None and not LEARNT_AGES[0] <= age < LEARNT_AGES[1]:
        warnings.append({
            "code": str(WarningCode.AGE_OUTSIDE_TRAINING),
            "detail": f"The patient was {_in_words(age)} old; the model learnt mostly from children aged one to five. "
            "Do not rely on the probability.",
        })  # fmt: skip
    if view == View.LATERAL:
        warnings.append({
            "code": str(WarningCode.VIEW_NOT_FRONTAL),
            "detail": "This is a lateral view; the model learnt from frontal views only. Do not rely on the "
            "probability.",
        })  # fmt: skip
    return warnings


def _in_words(age: float) -> str:
    if age >= 2:
        return f"{int(age)} years"
    months = int(age * 12)
    return f"{months} month{'s' * (months != 1)}"


def with_current_warnings(token: UUID, results: Sequence[Result]) -> list[Result]:
    """Return a batch's results with the warnings about age and view that their readings have now.

    The readings are locked until the transaction ends.
    """
    readings = Reading.objects.held(token, [result.image_id for result in results]).select_for_update().order_by("pk")
    current = dict(readings.values_list("image", "warnings"))
    return [
        replace(result, warnings=_replaced(result.warnings, current.get(result.image_id, result.warnings)))
        for result in results
    ]


def _replaced(warnings: Iterable[dict[str, str]], current: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """Return the warnings, with those about age and view replaced by the current ones."""
    about_patient = [warning for warning in current if warning["code"] in OUTSIDE_TRAINING]
    return about_patient + [warning for warning in warnings if warning["code"] not in OUTSIDE_TRAINING]


def labelled_outside_training(results: Sequence[Result]) -> set[UUID]:
    """Return the images outside the model's training data whose department wants a label nevertheless."""
    outside = [result.image_id for result in results if has_warning(result.warnings, OUTSIDE_TRAINING)]
    if not outside:
        return set()
    labelled = Image.objects.filter(pk__in=outside, department__label_outside_training=True)
    return set(labelled.values_list("pk", flat=True))


def judge_again(images: ImageQuerySet) -> int:
    """Update the warnings about age and view of some images' readings, and the groups of results that depend on them.

    Call this in the transaction that corrects the age.

    Returns:
        The number of readings that have changed.
    """
    changed = 0
    ids = list(images.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(ids), CHUNK):
        changed += _judge(ids[start : start + CHUNK])
    return changed


def _judge(image_ids: Sequence[UUID]) -> int:
    # The lock makes images that are being prepared get their reading before or after this, not in between.
    locked = Image.objects.filter(pk__in=image_ids).select_for_update().order_by("pk")
    images = {image.pk: image for image in locked.prefetch_related("patient", "department")}
    readings = Reading.objects.filter(image__in=image_ids).select_for_update().order_by("pk").defer("heatmap")
    changed: list[Reading] = []
    results: list[Result] = []
    groups: dict[UUID, str] = {}
    corrected: list[UUID] = []
    for reading in readings:
        image = images[reading.image_id]
        warnings = _replaced(reading.warnings, outside_training(image.age, image.view))
        if warnings == reading.warnings:
            continue
        codes, reading.warnings = _codes(reading.warnings), warnings
        changed.append(reading)
        if reading.state == ReadingState.SUCCEEDED:
            before, reading.group = (reading.group, codes), _group(reading, image)
            if not reading.shadow:
                results.append(_result(reading))
                groups[image.pk] = reading.group
                # The age in the text of a warning may change without its code.
                if before != (reading.group, _codes(warnings)) and not image.guest:
                    corrected.append(image.pk)
    Reading.objects.bulk_update(changed, ["warnings", "group"], batch_size=CHUNK)
    if results:
        Image.objects.filter(pk__in=list(groups)).update(**list_columns(results, groups))
        announce_results(Image.objects.filter(pk__in=list(groups)))
        announce_images(IMAGES_CORRECTED, corrected)
        superseded = [pk for pk in groups if images[pk].verdict]
        Image.objects.filter(pk__in=superseded).update(group=GROUP_BY_STANDING_VERDICT)
        _announce({pk: group for pk, group in groups.items() if pk not in superseded}, images)
    return len(changed)


def _codes(warnings: Iterable[dict[str, str]]) -> set[str]:
    return {warning["code"] for warning in warnings}


def _group(reading: Reading, image: Image) -> str:
    return str(
        group_of(
            reading.probability or 0.0,
            reading.threshold or 0.0,
            reading.operating_points,
            reading.warnings,
            label_outside_training=image.department is not None and image.department.label_outside_training,
        )
    )


def _result(reading: Reading) -> Result:
    probabilities: dict[str, Any] = {"probabilities": reading.probabilities, "probability": reading.probability or 0.0}
    return Result(reading.image_id, label=reading.label, warnings=reading.warnings, **probabilities)


def _announce(groups: dict[UUID, str], before: dict[UUID, Image]) -> None:
    """Announce images that have become positive. Guests are not notified."""
    positive = [pk for pk, group in groups.items() if group == ResultGroup.POSITIVE]
    announce_images(
        IMAGES_POSITIVE, [pk for pk in positive if not before[pk].guest and before[pk].group != ResultGroup.POSITIVE]
    )
