"""The owner of a row. :mod:`webapp.departments.permissions` decides who may do what with it."""

import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from webapp.departments.models import Department
from webapp.studies.choices import Source


class Owned(models.Model):
    """A row that belongs to exactly one user, guest or department.

    A model can have a unique constraint for each kind of owner. Only one of them applies to a row, because databases
    treat NULLs as distinct.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True)
    guest = models.UUIDField(null=True, blank=True, editable=False)
    # Each model has an index of its own that begins with the department.
    department = models.ForeignKey(Department, models.PROTECT, null=True, blank=True, db_index=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=Q(owner__isnull=False, guest__isnull=True, department__isnull=True)
                | Q(owner__isnull=True, guest__isnull=False, department__isnull=True)
                | Q(owner__isnull=True, guest__isnull=True, department__isnull=False),
                name="%(class)s_has_one_owner",
            )
        ]

    @property
    def ownership(self) -> dict[str, Any]:
        """The values of the owner's fields, to create another row of the same owner."""
        return {"owner_id": self.owner_id, "guest": self.guest, "department_id": self.department_id}

    def belong_with(self, other: "Owned") -> None:
        """Get the owner of another row."""
        for name, value in other.ownership.items():
            setattr(self, name, value)


def once_for_each_owner(field: str) -> list[models.UniqueConstraint]:
    """Return constraints that make a value other than NULL unique among the rows of each owner."""
    return [
        models.UniqueConstraint(fields=[field, owner], name=f"{field}_of_{owner}")
        for owner in ("owner", "guest", "department")
    ]


class Sent(Owned):
    """A row that someone has uploaded. A department's row keeps its uploader as long as that user exists."""

    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    source = models.CharField(max_length=10, choices=Source, default=Source.UPLOAD, db_default=Source.UPLOAD)

    class Meta(Owned.Meta):
        abstract = True
