"""Indexes that several models have."""

from django.db import models


def lists_by(field: str, prefix: str) -> list[models.Index]:
    """The indexes of a list of all rows in pages, of its search, and of the daily purge of guests' rows.

    Args:
        field: whose beginning is searched; with PostgreSQL's operator class for that, which others ignore.
        prefix: of the indexes' names.
    """
    return [
        models.Index(fields=["-created_at", "-id"], name=f"{prefix}_list"),
        models.Index(fields=[field], opclasses=["varchar_pattern_ops"], name=f"{prefix}_search"),
        models.Index(fields=["created_at"], condition=models.Q(guest__isnull=False), name=f"{prefix}_guests"),
    ]
