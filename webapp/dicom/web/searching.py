"""Find studies, series and instances in the database."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Min, QuerySet

from webapp.dicom.models import ResultObject
from webapp.dicom.web.attributes import INSTANCE, KEYS, SERIES, STUDY, Attribute, Key, Row, element, key, to_json
from webapp.dicom.web.matching import Search
from webapp.studies.models import Image
from webapp.studies.querysets import ImageQuerySet

#: Tags of attributes that are counted or collected over instances.
MODALITIES, STUDY_SERIES, STUDY_INSTANCES, SERIES_INSTANCES = "00080061", "00201206", "00201208", "00201209"


@dataclass
class Results:
    """The results of a search.

    Attributes:
        rows: one row for each study, series or instance: images in the order of their UIDs, then result objects.
        counted: the counted attributes of each study or series as JSON, by its key.
        more: whether there are more results after these.
    """

    rows: list[Row]
    counted: dict[Key, dict[str, Any]]
    more: bool


def search(images: ImageQuerySet, objects: "QuerySet[ResultObject]", level: str, query: Search) -> Results:
    """Run a search on the images and result objects that the client may see."""
    keys = [f"instance__{name}" for name in KEYS[level]]
    matching = images.filter(query.condition).order_by(*keys)
    if level == STUDY:
        # First find the studies, in the order of an index, and then everything else of these studies.
        study_keys = list(matching.values_list(*keys).distinct()[query.offset : query.offset + query.limit + 1])
        return _studies(images, objects, study_keys[: query.limit], more=len(study_keys) > query.limit)
    made = objects.filter(query.of_results).order_by(*KEYS[level]).select_related("image__instance", "image__patient")
    made = made.select_related("revision")
    if level == INSTANCE:
        rows = _page(matching.select_related("instance", "patient"), made, query)
        return Results(rows[: query.limit], {}, len(rows) > query.limit)
    rows = _page(matching.values_list(*keys).distinct(), made, query)
    page = rows[: query.limit]
    results = [row for row in page if isinstance(row, ResultObject)]
    series = _counted(images, SERIES, [row for row in page if not isinstance(row, ResultObject)])
    counts = {series_key: number for series_key, (_image, number, _) in series.items()} | {
        key(row, SERIES): 1 for row in results
    }
    counted = {series_key: {SERIES_INSTANCES: element("IS", number)} for series_key, number in counts.items()}
    return Results([*(image for image, *_ in series.values()), *results], counted, len(rows) > query.limit)


def _page(first: "QuerySet[Any, Any]", second: "QuerySet[Any, Any]", query: Search) -> list[Any]:
    """A page of rows of two querysets, one after the other, plus one more row if there is one."""
    size = query.limit + 1
    rows = list(first[query.offset : query.offset + size])
    skipped = 0 if rows or not query.offset else query.offset - first[: query.offset].count()
    return [*rows, *second[skipped : skipped + size - len(rows)]]


def _counted(images: ImageQuerySet, level: str, keys: list[Key]) -> dict[Key, tuple[Image, int, int]]:
    """For each study or series, in the order of the keys: an image, and the numbers of instances and of series."""
    names = [f"instance__{name}" for name in KEYS[level]]
    of_these = images.filter(**{f"{names[-1]}__in": [one[-1] for one in keys]}).order_by()
    rows = of_these.values(*names).annotate(
        number=Count("pk"), series=Count("instance__series_uid", distinct=True), first=Min("instance__instance_uid")
    )
    counts = {tuple(row[name] for name in names): row for row in rows}
    first_uids = [row["first"] for row in counts.values()]
    first_images = of_these.filter(instance__instance_uid__in=first_uids).select_related("instance", "patient")
    by_key = {key(image, level): image for image in first_images}
    return {one: (by_key[one], counts[one]["number"], counts[one]["series"]) for one in keys if one in by_key}


def _studies(images: ImageQuerySet, objects: "QuerySet[ResultObject]", keys: list[Key], *, more: bool) -> Results:
    studies = _counted(images, STUDY, keys)
    uids = [study_key[0] for study_key in studies]
    modalities: dict[str, set[str]] = {uid: set() for uid in uids}
    object_counts: dict[str, int] = dict.fromkeys(uids, 0)
    of_images = images.filter(instance__study_uid__in=uids).order_by()
    for study, modality in of_images.values_list("instance__study_uid", "instance__modality").distinct():
        modalities[study].add(modality)
    of_objects = objects.filter(study_uid__in=uids).order_by().values_list("study_uid", "modality")
    for study, modality, number in of_objects.annotate(Count("pk")):
        modalities[study].add(modality)
        object_counts[study] += number  # each object has its own series
    counted = {
        study_key: {
            MODALITIES: element("CS", *sorted(modalities[study_key[0]])),
            STUDY_SERIES: element("IS", series + object_counts[study_key[0]]),
            STUDY_INSTANCES: element("IS", number + object_counts[study_key[0]]),
        }
        for study_key, (_image, number, series) in studies.items()
    }
    return Results([image for image, *_ in studies.values()], counted, more)


def as_json(results: Results, level: str, attributes: Iterable[Attribute]) -> Iterable[tuple[Key, dict[str, Any]]]:
    """Yield each result as JSON with its UIDs."""
    attributes = list(attributes)
    for row in results.rows:
        uids = key(row, level)
        yield uids, {**to_json(row, attributes), "00080056": element("CS", "ONLINE"), **results.counted.get(uids, {})}
