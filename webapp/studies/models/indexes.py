"""Indexes that several models have."""

from django.db import models
from django.db.models import Q

from webapp.studies.choices import FACETS

#: PostgreSQL's operator classes of the columns below; other databases ignore them.
OPERATORS = {"created_at": "timestamptz_ops", "cancelled_at": "timestamptz_ops", "id": "uuid_ops", "owner": "int4_ops",
             "department": "uuid_ops", "reviewed": "bool_ops"}  # fmt: skip


def lists_by(field: str, prefix: str, *compared: str) -> list[models.Index]:
    """The indexes of a list of all rows in pages, of its search, and of the daily purge of guests' rows.

    Args:
        field: the column, searched by prefix; with PostgreSQL's operator class for that, which others ignore.
        prefix: of the indexes' names.
        compared: what the lists of what was found are narrowed by, besides the owner and the time: with all of it in
            the index, many matches are found, narrowed and sorted without their rows.
    """
    columns = ["created_at", "id", "owner", "department", *compared]
    operators = ["varchar_pattern_ops", *(OPERATORS.get(column, "text_ops") for column in columns)]
    return [
        models.Index(fields=["-created_at", "-id"], name=f"{prefix}_list"),
        models.Index(fields=[field, *columns], opclasses=operators, name=f"{prefix}_search"),
        models.Index(fields=["created_at"], condition=Q(guest__isnull=False), name=f"{prefix}_guests"),
    ]


def worklists(prefix: str) -> list[models.Index]:
    """The indexes of an owner's worklist and of that of all: its sections, each in the order of time."""
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
    """The indexes of an owner's list of images that is narrowed, and of the list of all.

    One has each combination of :data:`webapp.studies.choices.FACETS` in the order of time, the other the images whose
    result has warnings, with these columns. What else narrows a list is compared within them. The lists of guests,
    whose images are few, have none.
    """
    found = []
    for owner in ("owner", "department", ""):
        first, name = ([owner], f"{prefix}_{owner[:4]}") if owner else ([], prefix)
        # Rows of other owners would only be in the way.
        owned = Q(**{f"{owner}__isnull": False}) if owner else Q()
        narrowed = [*first, *FACETS, "-created_at", "-id"]
        found.append(models.Index(fields=narrowed, condition=owned or None, name=f"{name}_facets"))
        warned = owned & Q(warning_codes__gt="")
        fields = [*first, "-created_at", "-id", "warning_codes", *FACETS]
        # Studies are found by their images' warnings, whoever owns these.
        fields += [other for other in ("owner", "department") if other != owner] if owner else ["study"]
        found.append(models.Index(fields=fields, condition=warned, name=f"{name}_warned"))
    return found
