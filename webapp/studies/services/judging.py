"""Whether the models learnt from a patient's age and from a view, and what results mean when these are corrected."""

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
from webapp.studies.services.completion import IMAGES_POSITIVE, announce_images, announce_results
from webapp.studies.services.list_columns import list_columns
from webapp.studies.services.results import Result

#: Years. The models learnt from children of these ages. The web process loads no
#: model, so that ``ml.pictures.warnings`` has these warnings once more, for single files; a test compares the two.
LEARNT_AGES = (1, 6)
#: The group of an image on which a verdict stands.
GROUP_BY_STANDING_VERDICT = Case(
    *(When(verdict=verdict, then=Value(group.value)) for verdict, group in GROUP_BY_VERDICT.items())
)
#: Images that are judged at once.
CHUNK = 500


def outside_training(age: float | None, view: str | None) -> list[dict[str, str]]:
    """Warnings that the models did not learn from such a patient, or such a view."""
    found = []
    if age is not None and not LEARNT_AGES[0] <= age < LEARNT_AGES[1]:
        found.append({
            "code": str(WarningCode.AGE_OUTSIDE_TRAINING),
            "detail": f"The patient was {_in_words(age)} old; the model learnt mostly from children aged one to five. "
            "Do not rely on the probability.",
        })  # fmt: skip
    if view == View.LATERAL:
        found.append({
            "code": str(WarningCode.VIEW_NOT_FRONTAL),
            "detail": "This is a lateral view; the model learnt from frontal views only. Do not rely on the "
            "probability.",
        })  # fmt: skip
    return found


def _in_words(age: float) -> str:
    if age >= 2:
        return f"{int(age)} years"
    months = int(age * 12)
    return f"{months} month{'s' * (months != 1)}"


def with_current_warnings(token: UUID, results: Sequence[Result]) -> list[Result]:
    """A batch's results with the warnings about age and view that their readings have by now, which stay as they are
    until the transaction ends.
    """
    held = Reading.objects.held(token, [result.image_id for result in results]).select_for_update().order_by("pk")
    now = dict(held.values_list("image", "warnings"))
    return [
        replace(result, warnings=_replaced(result.warnings, now.get(result.image_id, result.warnings)))
        for result in results
    ]


def _replaced(warnings: Iterable[dict[str, str]], by: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """Some warnings with others in place of those about age and view."""
    about_patient = [warning for warning in by if warning["code"] in OUTSIDE_TRAINING]
    return about_patient + [warning for warning in warnings if warning["code"] not in OUTSIDE_TRAINING]


def labelled_outside_training(results: Sequence[Result]) -> set[UUID]:
    """Those images that the model did not learn from, and whose department wants a label all the same."""
    outside = [result.image_id for result in results if has_warning(result.warnings, OUTSIDE_TRAINING)]
    if not outside:
        return set()
    wanted = Image.objects.filter(pk__in=outside, department__label_outside_training=True)
    return set(wanted.values_list("pk", flat=True))


def judge_again(images: ImageQuerySet) -> int:
    """Give the readings of some images the warnings that follow from the age and view as these are known now, and
    results the group that follows from the warnings. Call it in the transaction that corrects the age.

    Returns:
        How many readings have changed.
    """
    changed = 0
    ids = list(images.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(ids), CHUNK):
        changed += _judge(ids[start : start + CHUNK])
    return changed


def _judge(image_ids: Sequence[UUID]) -> int:
    # Images that are being prepared get their reading before this or after it, and not meanwhile.
    locked = Image.objects.filter(pk__in=image_ids).select_for_update().order_by("pk")
    images = {image.pk: image for image in locked.prefetch_related("patient", "department")}
    readings = Reading.objects.filter(image__in=image_ids).select_for_update().order_by("pk").defer("heatmap")
    changed: list[Reading] = []
    results: list[Result] = []
    for reading in readings:
        image = images[reading.image_id]
        warnings = _replaced(reading.warnings, outside_training(image.age, image.view))
        if warnings == reading.warnings:
            continue
        reading.warnings = warnings
        changed.append(reading)
        if reading.state == ReadingState.SUCCEEDED:
            reading.group = _group(reading, image)
            if not reading.shadow:
                results.append(_result(reading))
    Reading.objects.bulk_update(changed, ["warnings", "group"], batch_size=CHUNK)
    if results:
        groups = {one.image_id: one.group for one in changed if not one.shadow}
        Image.objects.filter(pk__in=list(groups)).update(**list_columns(results, groups))
        announce_results(Image.objects.filter(pk__in=list(groups)))
        superseded = [pk for pk in groups if images[pk].verdict]
        Image.objects.filter(pk__in=superseded).update(group=GROUP_BY_STANDING_VERDICT)
        _announce({pk: group for pk, group in groups.items() if pk not in superseded}, images)
    return len(changed)


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
    found: dict[str, Any] = {"probabilities": reading.probabilities, "probability": reading.probability or 0.0}
    return Result(reading.image_id, label=reading.label, warnings=reading.warnings, **found)


def _announce(groups: dict[UUID, str], before: dict[UUID, Image]) -> None:
    """Announce those that have become positive; guests are not notified."""
    found = [pk for pk, group in groups.items() if group == ResultGroup.POSITIVE]
    announce_images(
        IMAGES_POSITIVE, [pk for pk in found if not before[pk].guest and before[pk].group != ResultGroup.POSITIVE]
    )
