"""The columns of images that repeat their results, so that lists can be filtered and sorted by them."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from webapp.studies.choices import Label, ResultGroup, packed_codes
from webapp.studies.expressions import ByImage
from webapp.studies.models import Image
from webapp.studies.services.results import Result


def list_columns(results: Iterable[Result], groups: Mapping[UUID, str]) -> dict[str, Any]:
    """Return the values of these columns for some images, for the update that sets their final status.

    Args:
        results: one result for each image.
        groups: the groups of the results by image.
    """
    columns: dict[str, dict[UUID, Any]] = {"group": {}, "label": {}, "probability": {}, "warning_codes": {}}
    for result in results:
        usable = groups[result.image_id] != ResultGroup.UNUSABLE
        columns["group"][result.image_id] = groups[result.image_id]
        columns["label"][result.image_id] = result.label if usable and result.label in Label.values else ""
        columns["probability"][result.image_id] = result.probability if usable else None
        columns["warning_codes"][result.image_id] = packed_codes(result.warnings)
    return {name: ByImage(Image, name, values) for name, values in columns.items()}
