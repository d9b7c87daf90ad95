"""What has failed and nobody has acknowledged."""

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

#: Not acknowledged, or failed once more since.
NEW = Q(acknowledgement=None) | Q(acknowledgement__at__lt=F("finished_at"))


def images(identity: Identity) -> Any:
    """Failed images: what someone has sent, and what the departments that they manage have; of administrators, all."""
    failed = Image.objects.filter(NEW, status=Status.FAILED)
    failed = failed.select_related("study", "department")
    parts = _mine(identity)
    # By combinations, each of which an owner's index has in the order of time.
    return failed if parts == [Q()] else Merged(failed, parts, combinations({"status": Status.FAILED}))


def archives(identity: Identity) -> Candidates:
    """ZIPs that could not be unpacked, likewise. They are few among all."""
    still = Q(archive__finished_at=None) | Q(at__gte=F("archive__finished_at"))
    settled = Acknowledgement.objects.filter(still, archive__isnull=False)
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
    # Who has left a department sees nothing of it, whoever sent it.
    sent = Q(study__owner=identity.user)
    sent |= Q(study__uploaded_by=identity.user, study__department__in=permissions.roles(identity.user))
    return sent | Q(study__department__in=permissions.managed_departments(identity))


def dead_letters(identity: Identity) -> "QuerySet[Delivery]":
    return access.deliveries(identity).filter(state=State.DEAD)


def _mine(identity: Identity) -> list[Q]:
    """Conditions that have no row in common, each with an index in the order of time."""
    if identity.user is None:
        return [Q(pk__in=[])]
    if permissions.is_administrator(identity.user):
        return [Q()]
    managed = [department.pk for department in permissions.managed_departments(identity)]
    others = [pk for pk in permissions.roles(identity.user) if pk not in managed]
    sent = Q(uploaded_by=identity.user, department__in=others)
    return [Q(owner=identity.user), sent, *(Q(department=pk) for pk in managed)]
