"""Find studies, series and instances."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Min

from webapp.dicom.web.attributes import INSTANCE, KEYS, STUDY, Attribute, described, element
from webapp.dicom.web.matching import Search
from webapp.studies.models import Image
from webapp.studies.querysets import ImageQuerySet

#: The UIDs of :data:`KEYS`.
Key = tuple[str, ...]
#: Tags of what is counted.
MODALITIES, STUDY_SERIES, STUDY_INSTANCES, SERIES_INSTANCES = "00080061", "00201206", "00201208", "00201209"


@dataclass
class Results:
    """What a search has found.

    Attributes:
        images: one of each study, series or instance, in the order of their UIDs.
        counted: by the key of a study or series what is counted of it, as JSON.
        more: whether there are others behind these.
    """

    images: list[Image]
    counted: dict[Key, dict[str, Any]]
    more: bool


def search(images: ImageQuerySet, level: str, wanted: Search) -> Results:
    """Find what a search asks for among images that may be seen."""
    matching = images.filter(wanted.condition).order_by(*KEYS[level])
    end = wanted.offset + wanted.limit
    if level == INSTANCE:
        found = list(matching.select_related("instance", "patient")[wanted.offset : end + 1])
        return Results(found[: wanted.limit], {}, len(found) > wanted.limit)
    # First which they are, in the order of an index; only of these everything else.
    keys = list(matching.values_list(*KEYS[level]).distinct()[wanted.offset : end + 1])
    wanted_keys = keys[: wanted.limit]
    of_these = images.filter(**{f"{KEYS[level][-1]}__in": [key[-1] for key in wanted_keys]}).order_by()
    rows = of_these.values(*KEYS[level]).annotate(
        number=Count("pk"), series=Count("instance__series_uid", distinct=True), first=Min("instance__instance_uid")
    )
    counts = {tuple(row[name] for name in KEYS[level]): row for row in rows}
    first = [row["first"] for row in counts.values()]
    chosen = of_these.filter(instance__instance_uid__in=first).select_related("instance", "patient")
    by_key = {_key(image, level): image for image in chosen}
    counted = _of_studies(of_these, counts) if level == STUDY else _of_series(counts)
    return Results([by_key[key] for key in wanted_keys if key in by_key], counted, len(keys) > wanted.limit)


def _key(image: Image, level: str) -> Key:
    return tuple(getattr(image.instance, name.removeprefix("instance__")) for name in KEYS[level])


def _of_studies(images: ImageQuerySet, counts: dict[Key, Any]) -> dict[Key, dict[str, Any]]:
    modalities: dict[str, list[str]] = {}
    for study, modality in images.values_list("instance__study_uid", "instance__modality").distinct():
        modalities.setdefault(study, []).append(modality)
    return {
        key: {
            MODALITIES: element("CS", *sorted(modalities.get(key[0], ()))),
            STUDY_SERIES: element("IS", row["series"]),
            STUDY_INSTANCES: element("IS", row["number"]),
        }
        for key, row in counts.items()
    }


def _of_series(counts: dict[Key, Any]) -> dict[Key, dict[str, Any]]:
    return {key: {SERIES_INSTANCES: element("IS", row["number"])} for key, row in counts.items()}


def as_json(found: Results, level: str, attributes: Iterable[Attribute]) -> Iterable[tuple[Image, dict[str, Any]]]:
    """Each result with the image that stands for it."""
    attributes = list(attributes)
    for image in found.images:
        said = described(image, attributes)
        yield image, {**said, "00080056": element("CS", "ONLINE"), **found.counted.get(_key(image, level), {})}
