"""Find studies, series and instances."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Min, QuerySet

from webapp.dicom.models import ResultObject
from webapp.dicom.web.attributes import INSTANCE, KEYS, SERIES, STUDY, Attribute, Key, Row, described, element, key
from webapp.dicom.web.matching import Search
from webapp.studies.models import Image
from webapp.studies.querysets import ImageQuerySet

#: Tags of what is counted.
MODALITIES, STUDY_SERIES, STUDY_INSTANCES, SERIES_INSTANCES = "00080061", "00201206", "00201208", "00201209"


@dataclass
class Results:
    """What a search has found.

    Attributes:
        rows: one of each study, series or instance: images in the order of their UIDs, then objects that are made of
            results.
        counted: by the key of a study or series what is counted of it, as JSON.
        more: whether there are others behind these.
    """

    rows: list[Row]
    counted: dict[Key, dict[str, Any]]
    more: bool


def search(images: ImageQuerySet, objects: "QuerySet[ResultObject]", level: str, wanted: Search) -> Results:
    """Find what a search asks for among images and objects that may be seen."""
    keys = [f"instance__{name}" for name in KEYS[level]]
    matching = images.filter(wanted.condition).order_by(*keys)
    if level == STUDY:
        # First which they are, in the order of an index; only of these everything else.
        found = list(matching.values_list(*keys).distinct()[wanted.offset : wanted.offset + wanted.limit + 1])
        return _studies(images, objects, found[: wanted.limit], more=len(found) > wanted.limit)
    made = objects.filter(wanted.of_results).order_by(*KEYS[level]).select_related("image__instance", "image__patient")
    made = made.select_related("revision")
    if level == INSTANCE:
        rows = _page(matching.select_related("instance", "patient"), made, wanted)
        return Results(rows[: wanted.limit], {}, len(rows) > wanted.limit)
    rows = _page(matching.values_list(*keys).distinct(), made, wanted)
    shown = rows[: wanted.limit]
    results = [row for row in shown if isinstance(row, ResultObject)]
    series = _counted(images, SERIES, [row for row in shown if not isinstance(row, ResultObject)])
    counts = {one: number for one, (_image, number, _) in series.items()} | {key(row, SERIES): 1 for row in results}
    counted = {one: {SERIES_INSTANCES: element("IS", number)} for one, number in counts.items()}
    return Results([*(image for image, *_ in series.values()), *results], counted, len(rows) > wanted.limit)


def _page(first: "QuerySet[Any, Any]", second: "QuerySet[Any, Any]", wanted: Search) -> list[Any]:
    """A page of rows that follow each other, with one more where there is one."""
    size = wanted.limit + 1
    found = list(first[wanted.offset : wanted.offset + size])
    passed = 0 if found or not wanted.offset else wanted.offset - first[: wanted.offset].count()
    return [*found, *second[passed : passed + size - len(found)]]


def _counted(images: ImageQuerySet, level: str, keys: list[Key]) -> dict[Key, tuple[Image, int, int]]:
    """For studies or series, by their keys and in their order: an image, and the numbers of instances and of series."""
    names = [f"instance__{name}" for name in KEYS[level]]
    of_these = images.filter(**{f"{names[-1]}__in": [one[-1] for one in keys]}).order_by()
    rows = of_these.values(*names).annotate(
        number=Count("pk"), series=Count("instance__series_uid", distinct=True), first=Min("instance__instance_uid")
    )
    counts = {tuple(row[name] for name in names): row for row in rows}
    first = [row["first"] for row in counts.values()]
    chosen = of_these.filter(instance__instance_uid__in=first).select_related("instance", "patient")
    by_key = {key(image, level): image for image in chosen}
    return {one: (by_key[one], counts[one]["number"], counts[one]["series"]) for one in keys if one in by_key}


def _studies(images: ImageQuerySet, objects: "QuerySet[ResultObject]", keys: list[Key], *, more: bool) -> Results:
    studies = _counted(images, STUDY, keys)
    uids = [one[0] for one in studies]
    modalities: dict[str, set[str]] = {uid: set() for uid in uids}
    made: dict[str, int] = dict.fromkeys(uids, 0)
    of_images = images.filter(instance__study_uid__in=uids).order_by()
    for study, modality in of_images.values_list("instance__study_uid", "instance__modality").distinct():
        modalities[study].add(modality)
    of_objects = objects.filter(study_uid__in=uids).order_by().values_list("study_uid", "modality")
    for study, modality, number in of_objects.annotate(Count("pk")):
        modalities[study].add(modality)
        made[study] += number  # each has a series of its own
    counted = {
        one: {
            MODALITIES: element("CS", *sorted(modalities[one[0]])),
            STUDY_SERIES: element("IS", series + made[one[0]]),
            STUDY_INSTANCES: element("IS", number + made[one[0]]),
        }
        for one, (_image, number, series) in studies.items()
    }
    return Results([image for image, *_ in studies.values()], counted, more)


def as_json(found: Results, level: str, attributes: Iterable[Attribute]) -> Iterable[tuple[Key, dict[str, Any]]]:
    """Each result, by its UIDs."""
    attributes = list(attributes)
    for row in found.rows:
        uids = key(row, level)
        yield uids, {**described(row, attributes), "00080056": element("CS", "ONLINE"), **found.counted.get(uids, {})}
