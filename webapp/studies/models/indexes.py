"""Indexes that several models have."""

from django.db import models
from django.db.models import Q

from webapp.studies.choices import FACETS


def lists_by(field: str, prefix: str) -> list[models.Index]:
    """The indexes of a list of all rows in pages, of its search, and of the daily purge of guests' rows.

    Args:
        field: the column, searched by prefix; with PostgreSQL's operator class for that, which others ignore.
        prefix: of the indexes' names.
    """
    return [
        models.Index(fields=["-created_at", "-id"], name=f"{prefix}_list"),
        models.Index(fields=[field], opclasses=["varchar_pattern_ops"], name=f"{prefix}_search"),
        models.Index(fields=["created_at"], condition=Q(guest__isnull=False), name=f"{prefix}_guests"),
    ]


def filtered_lists(prefix: str) -> list[models.Index]:
    """The indexes of an owner's list of images that is narrowed, and of the list of all.

    One has each combination of :data:`webapp.studies.choices.FACETS` in the order of time, the other the images whose
    result has warnings. What else narrows a list is compared within them. The lists of guests, whose images are few,
    have none.
    """
    found = []
    for owner in ("owner", "department", ""):
        first, name = ([owner], f"{prefix}_{owner[:4]}") if owner else ([], prefix)
        # Rows of other owners would only be in the way.
        owned = Q(**{f"{owner}__isnull": False}) if owner else Q()
        narrowed = [*first, *FACETS, "-created_at", "-id"]
        found.append(models.Index(fields=narrowed, condition=owned or None, name=f"{name}_facets"))
        warned = owned & Q(warning_codes__gt="")
        fields = [*first, "-created_at", "-id", "warning_codes"]
        found.append(models.Index(fields=fields, condition=warned, name=f"{name}_warned"))
    return found
