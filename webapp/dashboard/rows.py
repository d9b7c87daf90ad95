"""What lists on pages read of images."""

from typing import Any

from django.db.models import Prefetch

from webapp.studies.models import Reading

#: The column that is shown of what images are related to.
NAMES = {"patient": "patient__identifier", "department": "department__name", "study": "study__name"}


def shown(images: Any, *related: str) -> Any:
    """Images with the columns that a list shows: reading all columns of a page takes longer than finding its rows.

    Args:
        images: a queryset, or a relation's manager.
        related: of :data:`NAMES`, whatever the list shows too.
    """
    answers = Reading.objects.only("image", "shadow", "state", "group", "probability", "warnings")
    rows = images.select_related(*related).only(
        "filename", "preview", "created_at", "status", "error_code", "error_detail", "stat", "group", "verdict",
        "verdict_kind", "stage", "reviewed", "width", "height",
        "study", "patient",  # which a relation's manager reads of each of its rows
        *(NAMES[name] for name in related),
    )  # fmt: skip
    return rows.prefetch_related(Prefetch("readings", answers))
