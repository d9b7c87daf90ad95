"""The columns of images that lists on pages read."""

from typing import Any

from django.db.models import Prefetch

from webapp.studies.models import Reading

#: The column that is shown of each related row.
NAMES = {"patient": "patient__identifier", "department": "department__name", "study": "study__name"}


def shown(images: Any, *related: str) -> Any:
    """Images with only the columns that a list shows. Reading all columns takes longer than finding the rows.

    Args:
        images: a queryset or the manager of a relation.
        related: the keys of :data:`NAMES` that the list shows too.
    """
    readings = Reading.objects.only(
        "image", "shadow", "state", "group", "probability", "threshold", "operating_points", "warnings"
    )
    rows = images.select_related(*related).only(
        "filename", "preview", "created_at", "status", "error_code", "error_detail", "stat", "group", "verdict",
        "verdict_kind", "stage", "reviewed", "width", "height",
        "study", "patient",  # a relation's manager reads these for each row
        *(NAMES[name] for name in related),
    )  # fmt: skip
    return rows.prefetch_related(Prefetch("readings", readings))
