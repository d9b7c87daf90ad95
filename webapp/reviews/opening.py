"""Records of who has an image open. They inform other readers, and never prevent anyone from reading the image."""

from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import F, QuerySet
from django.utils import timezone

from webapp.reviews.models import Opening
from webapp.studies.models import Image
from webapp.studies.transactions import atomically

#: Time for which an image counts as open after its page last renewed it. Pages renew it after a third of this time.
LEASE = timedelta(seconds=90)


@atomically
def keep_open(image: Image, user: User, left: UUID | None = None) -> None:
    """Record that a user has opened an image or still has it open.

    Args:
        image: the image.
        user: the user who has it open.
        left: the image that the same page showed before.
    """
    now = timezone.now()
    Opening.objects.filter(expires_at__lte=now).delete()
    Opening.objects.filter(image=left, user=user).delete()
    if not Opening.objects.filter(image=image, user=user).update(expires_at=now + LEASE):
        new = Opening(image=image, user=user, opened_at=now, expires_at=now + LEASE)
        # Another page of the same reader may open it at the same time.
        Opening.objects.bulk_create([new], ignore_conflicts=True)


def by_others(images: Collection[Image], user: User) -> "QuerySet[Opening, Any]":
    """The openings of images by other users, oldest first: ``image``, ``opened_at`` and ``reader`` (a user name)."""
    now = timezone.now()
    openings = Opening.objects.filter(image__in=[image.pk for image in images], expires_at__gt=now).exclude(user=user)
    return openings.order_by("opened_at").values("image", "opened_at", reader=F("user__username"))


def note_openings(images: Iterable[Image], user: User) -> None:
    """Set the attribute ``opened_by`` of each image to its openings by other users."""
    images = list(images)
    by_image: dict[UUID, list[dict[str, Any]]] = {image.pk: [] for image in images}
    for opening in by_others(images, user):
        by_image[opening["image"]].append(opening)
    for image in images:
        image.opened_by = by_image[image.pk]  # type: ignore[attr-defined]  # serializers and templates read it
