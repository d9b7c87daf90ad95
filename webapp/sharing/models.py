"""Shares of studies and images, with a colleague or with anyone who has a link."""

import uuid
from typing import cast

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from webapp.studies.models import Image, Study


class Share(models.Model):
    """Lets a user, or anyone with a link until it expires, see one study or image and do nothing else with it.

    :mod:`webapp.departments.permissions` uses the relations from images and studies by their name, ``shares``.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    study = models.ForeignKey(Study, models.CASCADE, null=True, blank=True, related_name="shares")
    image = models.ForeignKey(Image, models.CASCADE, null=True, blank=True, related_name="shares")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="shares")
    token_hash = models.CharField(
        max_length=64, null=True, blank=True, unique=True, help_text="SHA-256 of what the link ends with"
    )
    expires_at = models.DateTimeField(null=True, blank=True, db_index=True, help_text="when the link ends")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(study__isnull=False, image__isnull=True) | Q(study__isnull=True, image__isnull=False),
                name="share_is_of_one_thing",
            ),
            models.CheckConstraint(
                condition=Q(user__isnull=False, token_hash__isnull=True, expires_at__isnull=True)
                | Q(user__isnull=True, token_hash__isnull=False, expires_at__isnull=False),
                name="share_is_for_a_user_or_a_link",
            ),
            models.UniqueConstraint(fields=["study", "user"], name="study_shared_once"),
            models.UniqueConstraint(fields=["image", "user"], name="image_shared_once"),
        ]
        indexes = [models.Index(fields=["user", "-created_at", "-id"], name="share_list")]

    def __str__(self) -> str:
        return f"{self.shared} for {self.user or 'a link'}"

    @property
    def shared(self) -> Study | Image:
        return cast("Study | Image", self.study or self.image)

    @property
    def has_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()
