"""Queries on the domain models."""

from collections.abc import Collection
from datetime import timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Count, Q
from django.utils import timezone

from webapp.departments import permissions
from webapp.studies.choices import WAITING, ReadingState, Status

if TYPE_CHECKING:
    from webapp.accounts.identity import Identity


class OwnedQuerySet(models.QuerySet[Any]):
    def visible_to(self, identity: "Identity") -> Self:
        """What the identity may see; see :mod:`webapp.departments.permissions`."""
        return self.filter(permissions.visible(identity))

    def sent_by(self, identity: "Identity", limit: int) -> list[Any]:
        """The latest that the identity has sent, to a department or for themselves."""
        latest = self.order_by("-created_at")
        if identity.user is None:
            return list(latest.filter(guest=identity.guest)[:limit]) if identity.guest else []
        # Each of the two has an index in this order; one query for both would sort all of them.
        both = [*latest.filter(owner=identity.user)[:limit], *latest.filter(uploaded_by=identity.user)[:limit]]
        return sorted(both, key=attrgetter("created_at"), reverse=True)[:limit]


class StudyQuerySet(OwnedQuerySet):
    pass


def overdue() -> Q:
    """Whether a row's message is older than each retry's patience.

    Patience doubles with every message sent, so that a long queue is not filled with copies.
    """
    now, first = timezone.now(), settings.RESEND_AFTER_SECONDS
    late = Q(pk__in=[])
    for sent in range(1, 8):
        patience = timedelta(seconds=first * 2 ** (sent - 1))
        same = Q(dispatches__gte=sent) if sent == 7 else Q(dispatches=sent)
        late |= same & Q(dispatched_at__lt=now - patience)
    # What all of these imply stands by itself, so that an index can serve it.
    return late & Q(dispatched_at__lt=now - timedelta(seconds=first))


class ImageQuerySet(OwnedQuerySet):
    def sent_before(self, image: Any) -> Self:
        """Earlier images of the same owner with the same content, the newest first, without those that have failed."""
        if not image.sha256:
            return self.none()
        same = self.filter(sha256=image.sha256, **image.ownership, created_at__lt=image.created_at)
        return same.exclude(status__in=(Status.FAILED, Status.CANCELLED)).order_by("-created_at")

    def waiting(self) -> Self:
        return self.filter(status__in=WAITING)

    def counts(self) -> dict[str, int]:
        """Images by status, every status named."""
        found = dict(self.order_by().values_list("status").annotate(n=Count("pk")))
        return {str(status.value): found.get(status.value, 0) for status in Status}

    def never_sent(self) -> Self:
        """Images of a ZIP whose run ended after it had made them and before it sent their messages.

        No run lives as long as a claim's lease, so that none of them is being sent at this moment.
        """
        late = timezone.now() - timedelta(seconds=settings.UNPACK_LEASE_SECONDS)
        return self.filter(dispatches=0, dispatched_at__lt=late).order_by("dispatched_at")


class ArchiveQuerySet(models.QuerySet[Any]):
    def waiting(self) -> Self:
        """Archives that no run is unpacking, so that a message has to be on its way for each."""
        return self.filter(state__in=self.model.PENDING, claim=None)

    def overdue(self) -> Self:
        """Those of them whose message is overdue, oldest first."""
        return self.waiting().filter(overdue()).order_by("dispatched_at")

    def abandoned(self) -> Self:
        """Archives whose claim has outlived every run: the longest is killed before that."""
        lease = timedelta(seconds=settings.UNPACK_LEASE_SECONDS)
        return self.filter(state=self.model.State.UNPACKING, claimed_at__lt=timezone.now() - lease, claim__isnull=False)

    def left_over(self) -> Self:
        """Unpacked ZIPs that should have been deleted."""
        late = timezone.now() - timedelta(seconds=settings.UNPACK_LEASE_SECONDS)
        return self.filter(state=self.model.State.UNPACKED, file__gt="", finished_at__lt=late)


class ReadingQuerySet(models.QuerySet[Any]):
    def held(self, claim: UUID, image_ids: Collection[UUID]) -> Self:
        """Those of some images that a claim holds. Only their ids find them quickly: claims have no index."""
        return self.filter(image__in=image_ids, claim=claim, state=ReadingState.RUNNING)

    def next_to_read(self, bundle: str) -> Self:
        """Ready readings in the order in which an infer worker probably comes to them."""
        return self.filter(state=ReadingState.READY, bundle=bundle, attempts=0).order_by("-priority", "dispatched_at")

    def abandoned(self, living: "Collection[UUID] | models.QuerySet[Any]") -> Self:
        """Readings in the batch of a worker that is gone.

        Args:
            living: the workers that are there, by :attr:`webapp.ops.models.Worker.id`.
        """
        gone = Q(worker=None) | ~Q(worker__in=living)
        return self.filter(gone, state=ReadingState.RUNNING)
