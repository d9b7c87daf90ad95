"""Queries on the domain models."""

from collections.abc import Collection
from datetime import timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.conf import settings
from django.db import connection, models
from django.db.models import Count, Exists, F, OuterRef, Q
from django.utils import timezone

from webapp.departments import permissions
from webapp.studies.choices import FINAL, WAITING, Priority, ReadingState, Status, StudyStatus

if TYPE_CHECKING:
    from webapp.accounts.identity import Identity


#: A query lists the ids of the studies with waiting images, or of the cancelled studies, only if they are fewer.
MAX_IDS = 10_000


class LockingQuerySet(models.QuerySet[Any]):
    def lock_free(self) -> Self:
        """Lock the rows for this transaction, and skip those that another transaction has locked.

        SQLite has no row locks and needs none, since only one of its transactions writes at a time.
        """
        return self.select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)


class OwnedQuerySet(LockingQuerySet):
    #: Fields that :mod:`webapp.studies.search` compares by their beginning. Each has an index.
    searched: tuple[str, ...] = ()
    #: Relations to :class:`webapp.sharing.models.Share`, of a row itself and of the study that it belongs to.
    shared_through: tuple[str, ...] = ()

    def visible_to(self, identity: "Identity") -> Self:
        """Rows that the identity may see; see :mod:`webapp.departments.permissions`."""
        return self.filter(permissions.visible(identity))

    def shared_with(self, identity: "Identity") -> Self:
        """Rows that others have shared with the identity, who may see them but do nothing else."""
        conditions = (permissions.shared(identity, relation) for relation in self.shared_through)
        return self.filter(Q(*conditions, _connector=Q.OR)) if self.shared_through else self.none()

    def sent_by(self, identity: "Identity", limit: int) -> list[Any]:
        """Return the latest rows that the identity has sent, to a department or for themselves."""
        latest = self.order_by("-created_at")
        if identity.user is None:
            return list(latest.filter(guest=identity.guest)[:limit]) if identity.guest else []
        # Each of the two queries has an index in this order. One query for both would sort all rows.
        both = [*latest.filter(owner=identity.user)[:limit], *latest.filter(uploaded_by=identity.user)[:limit]]
        return sorted(both, key=attrgetter("created_at"), reverse=True)[:limit]


class PatientQuerySet(OwnedQuerySet):
    searched = ("identifier", "name")


class StudyQuerySet(OwnedQuerySet):
    searched = ("name", "patient__identifier")
    shared_through = ("shares",)

    def with_status(self, status: str, candidates: "set[UUID] | None") -> Self:
        """Studies with a status of :data:`webapp.studies.choices.StudyStatus`.

        Args:
            status: the status.
            candidates: the ids from :meth:`candidates`. Unless the status is ``finished``, the rows must already be
                limited to these ids. A database that gets this condition twice looks up each row repeatedly.
        """
        if status == StudyStatus.CANCELLED:
            return self.filter(cancelled_at__isnull=False)
        open_ = self.filter(cancelled_at__isnull=True)
        if status == StudyStatus.FINISHED:
            return open_.exclude(Q(pk__in=candidates) if candidates is not None else self._busy())
        if candidates is None:
            open_ = open_.filter(self._busy())
        begun = Exists(self._related("images").filter(study=OuterRef("pk"), status__in=FINAL))
        return open_.filter(begun if status == StudyStatus.RUNNING else ~begun)

    def candidates(self, status: str) -> "set[UUID] | None":
        """Return the ids of all studies that may have a status. For ``finished``, return the ids of all other studies
        that are not cancelled. None if there are too many.
        """
        if status == StudyStatus.CANCELLED:
            cancelled = self.model._base_manager.filter(cancelled_at__isnull=False).order_by("-created_at", "-id")
            parts = [cancelled.values_list("pk", flat=True)]
        else:
            # ZIPs before images, so that a ZIP whose images appear in between is not missed.
            parts = [rows.values_list("study", flat=True) for rows in (self._packed(), self._waiting())]
            parts.append(self._open().values_list("pk", flat=True))
        # The ids are read first, as they are few. A database would compare a subquery with every study.
        ids = [pk for rows in parts for pk in rows[:MAX_IDS]]
        return {pk for pk in ids if pk} if len(ids) < MAX_IDS else None

    def at_rest(self) -> Self:
        """Closed studies without waiting images and without ZIPs that are still to be unpacked."""
        busy = self.candidates(StudyStatus.FINISHED)
        return self.exclude(self._busy() if busy is None else Q(pk__in=busy))

    # Both are in the order of their index. Otherwise SQLite would read all rows, as it does not know how few wait.

    def _waiting(self) -> models.QuerySet[Any]:
        return self._related("images").filter(status__in=WAITING).order_by("status", "-created_at", "-id")

    def _packed(self) -> models.QuerySet[Any]:
        rows = self._related("archives")
        return rows.filter(state__in=rows.model.PENDING).order_by("state", "dispatched_at")

    def _open(self) -> models.QuerySet[Any]:
        rows: models.QuerySet[Any] = self.model._base_manager.filter(open_until__isnull=False)
        return rows.order_by("open_until")

    def _busy(self) -> Q:
        waiting = self._waiting().order_by().filter(study__isnull=False)
        packed = Q(pk__in=self._packed().order_by().values("study"))
        return Q(pk__in=waiting.values("study")) | packed | Q(pk__in=self._open().order_by().values("pk"))

    def _related(self, name: str) -> models.QuerySet[Any]:
        model: Any = self.model._meta.get_field(name).related_model
        rows: models.QuerySet[Any] = model._base_manager.all()
        return rows


def overdue() -> Q:
    """Condition that the latest message for a row was sent so long ago that it is sent again.

    This time doubles with every message sent, so that a long queue is not filled with copies.
    """
    now, first = timezone.now(), settings.RESEND_AFTER_SECONDS
    late = Q(pk__in=[])
    for dispatches in range(1, 8):
        patience = timedelta(seconds=first * 2 ** (dispatches - 1))
        sent = Q(dispatches__gte=dispatches) if dispatches == 7 else Q(dispatches=dispatches)
        late |= sent & Q(dispatched_at__lt=now - patience)
    # All of these imply this condition. It is also stated separately so that an index can serve it.
    return late & Q(dispatched_at__lt=now - timedelta(seconds=first))


class ImageQuerySet(OwnedQuerySet):
    searched = ("filename", "patient__identifier")
    shared_through = ("shares", "study__shares")

    def sent_before(self, image: Any) -> Self:
        """Earlier images of the same owner with the same content, newest first, without failed and cancelled ones."""
        if not image.sha256:
            return self.none()
        # Exactly one kind of owner is set. The database need not compare the two others.
        owner = {name: value for name, value in image.ownership.items() if value}
        earlier = self.filter(sha256=image.sha256, **owner, created_at__lt=image.created_at)
        return earlier.exclude(status__in=(Status.FAILED, Status.CANCELLED)).order_by("-created_at")

    def of_patient_before(self, image: Any) -> Self:
        """Earlier images of the same patient that have a preview, newest first."""
        earlier = self.filter(patient=image.patient_id, created_at__lt=image.created_at).exclude(preview="")
        return earlier.order_by("-created_at", "-pk") if image.patient_id else self.none()

    def waiting(self) -> Self:
        return self.filter(status__in=WAITING)

    def in_line(self) -> Self:
        """Bulk images that are still to be prepared, in the order of their turns."""
        return self.filter(status=Status.QUEUED, turn__isnull=False).order_by("turn")

    def counts(self) -> dict[str, int]:
        """Return the number of images by status, with every status as a key."""
        counts = dict(self.order_by().values_list("status").annotate(n=Count("pk")))
        return {str(status.value): counts.get(status.value, 0) for status in Status}

    def never_sent(self) -> Self:
        """Images from a ZIP whose run ended after it had created them and before it sent their messages.

        No run lasts as long as a claim's lease, so no run is sending these messages now.
        """
        late = timezone.now() - timedelta(seconds=settings.UNPACK_LEASE_SECONDS)
        return self.filter(dispatches=0, dispatched_at__lt=late).order_by("dispatched_at")


class ArchiveQuerySet(LockingQuerySet):
    def waiting(self) -> Self:
        """Archives that no run is unpacking. Each of them needs a message in the queue."""
        return self.filter(state__in=self.model.PENDING, claim=None)

    def by_turn(self) -> Self:
        """Waiting archives in the order of their turns. Those of the previous release have no turn and come first."""
        return self.waiting().order_by(F("turn").asc(nulls_first=True))

    def overdue(self) -> Self:
        """Waiting archives whose message is overdue, oldest first."""
        return self.waiting().filter(overdue()).order_by("dispatched_at")

    def held(self) -> Self:
        """Archives that a run is unpacking."""
        return self.filter(state=self.model.State.UNPACKING, claim__isnull=False)

    def abandoned(self) -> Self:
        """Archives whose claim is older than any run can be: a run is killed before that.

        Reconciliations are counted instead of seconds, because a clock that is set forward must not release a claim.
        """
        return self.held().filter(missed__gt=settings.UNPACK_LEASE_SECONDS / settings.RECONCILE_SECONDS)

    def left_over(self) -> Self:
        """Unpacked ZIPs whose files should have been deleted."""
        late = timezone.now() - timedelta(seconds=settings.UNPACK_LEASE_SECONDS)
        return self.filter(state=self.model.State.UNPACKED, file__gt="", finished_at__lt=late)


class ReadingQuerySet(LockingQuerySet):
    def held(self, claim: UUID, image_ids: Collection[UUID] | None = None) -> Self:
        """Readings that a claim holds, optionally of some images only. Claims have no index, but few readings are in a
        batch at a time.
        """
        held = self.filter(claim=claim, state=ReadingState.RUNNING)
        return held if image_ids is None else held.filter(image__in=image_ids)

    def next_to_read(self, bundle: str) -> Self:
        """Ready readings in the order in which an infer worker will probably read them."""
        return self.filter(state=ReadingState.READY, bundle=bundle, attempts=0).order_by("-priority", "turn")

    def by_turn(self, bundle: str) -> Self:
        """Ready bulk readings in the order of their turns. A reading that has stopped a worker is excluded: it is read
        alone.
        """
        return self.next_to_read(bundle).filter(priority=Priority.BULK, shadow=False).order_by("turn")

    def set_aside(self) -> Self:
        """Readings that wait for their department's night or for the end of a pause."""
        return self.filter(state=ReadingState.HELD)

    def held_for_night(self) -> Self:
        return self.set_aside().filter(turn__isnull=False)

    def paused(self) -> Self:
        return self.set_aside().filter(turn=None)

    def abandoned(self, living: "Collection[UUID] | models.QuerySet[Any]") -> Self:
        """Readings in the batch of a worker that is gone.

        Args:
            living: the ids of the workers that are alive; see :attr:`webapp.ops.models.Worker.id`.
        """
        gone = Q(worker=None) | ~Q(worker__in=living)
        return self.filter(gone, state=ReadingState.RUNNING)
