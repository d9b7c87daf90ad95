"""Indexes that several models share."""

from django.db import models
from django.db.models import Q

from webapp.studies.choices import FACETS

#: PostgreSQL's operator classes for the columns below. Other databases ignore them.
OPERATORS = {"created_at": "timestamptz_ops", "cancelled_at": "timestamptz_ops", "id": "uuid_ops", "owner": "int4_ops",
             "department": "uuid_ops", "reviewed": "bool_ops"}  # fmt: skip


def lists_by(field: str, prefix: str, *compared: str) -> list[models.Index]:
    """Return the indexes for the paged list of all rows, for its search, and for the daily purge of guests' rows.

    Args:
        field: the column that is searched by prefix. It gets PostgreSQL's operator class for that.
        prefix: the prefix of the indexes' names.
        compared: the columns, apart from the owner and the time, that lists of matches are filtered by. As the index
            has all of them, many matches can be found, filtered and sorted without reading their rows.
    """
    columns = ["created_at", "id", "owner", "department", *compared]
    operators = ["varchar_pattern_ops", *(OPERATORS.get(column, "text_ops") for column in columns)]
    return [
        models.Index(fields=["-created_at", "-id"], name=f"{prefix}_list"),
        models.Index(fields=[field, *columns], opclasses=operators, name=f"{prefix}_search"),
        models.Index(fields=["created_at"], condition=Q(guest__isnull=False), name=f"{prefix}_guests"),
    ]


def worklists(prefix: str) -> list[models.Index]:
    """Return the indexes for an owner's worklist and for the worklist of all: its sections, each in order of time."""
    section = ["stage", "stat", "group", "created_at", "id"]
    return [
        models.Index(
            fields=[*owner, *section],
            condition=Q(**{f"{owner[0]}__isnull": False}) if owner else None,
            name=f"{prefix}_{owner[0][:4] if owner else 'all'}_work",
        )
        for owner in (["owner"], ["department"], [])
    ]


def filtered_lists(prefix: str) -> list[models.Index]:
    """Return the indexes for filtered lists of images, of one owner and of all.

    One index has each combination of :data:`webapp.studies.choices.FACETS` in order of time. The other has the images
    whose result has warnings, with these columns. Other filters are compared within these indexes. Guests have few
    images, so their lists have no such indexes.
    """
    indexes = []
    for owner in ("owner", "department", ""):
        first, name = ([owner], f"{prefix}_{owner[:4]}") if owner else ([], prefix)
        # Rows of other kinds of owners would only make the index larger.
        owned = Q(**{f"{owner}__isnull": False}) if owner else Q()
        narrowed = [*first, *FACETS, "-created_at", "-id"]
        indexes.append(models.Index(fields=narrowed, condition=owned or None, name=f"{name}_facets"))
        warned = owned & Q(warning_codes__gt="")
        fields = [*first, "-created_at", "-id", "warning_codes", *FACETS]
        # The index of all rows has the study, to find studies by their images' warnings.
        fields += [other for other in ("owner", "department") if other != owner] if owner else ["study"]
        indexes.append(models.Index(fields=fields, condition=warned, name=f"{name}_warned"))
    return indexes
