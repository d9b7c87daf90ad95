"""Querysets of failures that nobody has acknowledged yet."""

from typing import Any

from django.db.models import F, Q, QuerySet

from webapp.accounts.identity import Identity
from webapp.departments import permissions
from webapp.http.candidates import Candidates
from webapp.http.pagination import Merged
from webapp.notifications import access
from webapp.notifications.models import Acknowledgement
from webapp.studies.choices import Status, combinations
from webapp.studies.models import Archive, Image
from webapp.studies.outbox.models import Delivery, State

#: Condition for images that were not acknowledged, or failed again after that.
NEW = Q(acknowledgement=None) | Q(acknowledgement__at__lt=F("finished_at"))


def images(identity: Identity) -> Any:
    """Failed images that the identity has sent or that its managed departments own; for administrators, all."""
    failed = Image.objects.filter(NEW, status=Status.FAILED)
    failed = failed.select_related("study", "department")
    parts = _owners(identity)
    # For each combination, an owner's index has the rows in the order of time.
    return failed if parts == [Q()] else Merged(failed, parts, combinations({"status": Status.FAILED}))


def archives(identity: Identity) -> Candidates:
    """ZIPs that could not be unpacked, for the same identities. They are few among all ZIPs."""
    up_to_date = Q(archive__finished_at=None) | Q(at__gte=F("archive__finished_at"))
    settled = Acknowledgement.objects.filter(up_to_date, archive__isnull=False)
    failed = Archive.objects.exclude(pk__in=settled.values("archive")).select_related("study")
    return Candidates(
        failed.filter(_sent_or_managed(identity)),
        [Archive.objects.filter(state=Archive.State.FAILED)],
        ["created_at", "id", "study_id"],
    )


def _sent_or_managed(identity: Identity) -> Q:
    if identity.user is None:
        return Q(pk__in=[])
    if permissions.is_administrator(identity.user):
        return Q()
    # A user who has left a department sees none of its rows, not even those that they sent themselves.
    sent = Q(study__owner=identity.user)
    sent |= Q(study__uploaded_by=identity.user, study__department__in=permissions.roles(identity.user))
    return sent | Q(study__department__in=permissions.managed_departments(identity))


def dead_letters(identity: Identity) -> "QuerySet[Delivery]":
    return access.deliveries(identity).filter(state=State.DEAD)


def _owners(identity: Identity) -> list[Q]:
    """Disjoint conditions for the images that an identity has sent or manages, each with an index by time."""
    if identity.user is None:
        return [Q(pk__in=[])]
    if permissions.is_administrator(identity.user):
        return [Q()]
    managed = [department.pk for department in permissions.managed_departments(identity)]
    others = [pk for pk in permissions.roles(identity.user) if pk not in managed]
    sent = Q(uploaded_by=identity.user, department__in=others)
    return [Q(owner=identity.user), sent, *(Q(department=pk) for pk in managed)]
