"""Departments and their members. What a member may do is decided in :mod:`webapp.departments.permissions`."""

import uuid

from django.conf import settings
from django.db import models


class Department(models.Model):
    """A department that owns studies, images and patients together."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=200)
    slug = models.SlugField(unique=True, help_text="its name in the API")
    operating_point = models.CharField(
        max_length=100, blank=True, help_text="the threshold's name in the bundle; blank for the service's own"
    )
    retention_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="days after which its images are deleted; blank to keep them"
    )
    label_outside_training = models.BooleanField(
        default=False,
        db_default=False,
        help_text="give a label to images of an age or view that the model did not learn from; it is never reliable",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        permissions = [("administer", "Can see and do everything, in every department")]

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    """A reader sees and reviews, an uploader sees and sends, a manager does everything in the department."""

    READER = "reader"
    UPLOADER = "uploader"
    MANAGER = "manager"


class Membership(models.Model):
    """A user's role in a department."""

    department = models.ForeignKey(Department, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role, default=Role.READER)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["department", "user"], name="one_role_in_a_department")]

    def __str__(self) -> str:
        return f"{self.user}, {self.role} of {self.department}"
