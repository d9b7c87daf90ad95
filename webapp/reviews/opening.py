"""Who has an image open: a note to others, which never keeps anybody from reading it."""

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

#: How long an image counts as open after its page was last heard of. Pages renew it in a third of that.
LEASE = timedelta(seconds=90)


@atomically
def keep_open(image: Image, user: User, left: UUID | None = None) -> None:
    """Note that someone has an image open, or still has.

    Args:
        image: the image.
        user: who has it open.
        left: the image that they had open before on the same page.
    """
    now = timezone.now()
    Opening.objects.filter(expires_at__lte=now).delete()
    Opening.objects.filter(image=left, user=user).delete()
    if not Opening.objects.filter(image=image, user=user).update(expires_at=now + LEASE):
        new = Opening(image=image, user=user, opened_at=now, expires_at=now + LEASE)
        # Another page of the same reader may open it at this moment.
        Opening.objects.bulk_create([new], ignore_conflicts=True)


def by_others(images: Collection[Image], user: User) -> "QuerySet[Opening, Any]":
    """The openings of some images by others, the first one first: ``image``, ``opened_at`` and ``reader``, a name."""
    now = timezone.now()
    found = Opening.objects.filter(image__in=[image.pk for image in images], expires_at__gt=now).exclude(user=user)
    return found.order_by("opened_at").values("image", "opened_at", reader=F("user__username"))


def note_openings(images: Iterable[Image], user: User) -> None:
    """Give each image its openings by others as ``opened_by``."""
    images = list(images)
    found: dict[UUID, list[dict[str, Any]]] = {image.pk: [] for image in images}
    for one in by_others(images, user):
        found[one["image"]].append(one)
    for image in images:
        image.opened_by = found[image.pk]  # type: ignore[attr-defined]
