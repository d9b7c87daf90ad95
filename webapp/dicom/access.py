"""Find what someone may see and change of a department's DICOM: its managers its destinations, senders and rules, those
who may search its PACS the searches, and administrators everything. Find the DICOM images that someone may see.
"""

from typing import TypeVar
from uuid import UUID

from django.db.models import Model, OuterRef, QuerySet, Subquery
from django.http import Http404

from webapp.accounts.identity import Identity
from webapp.departments import permissions
from webapp.departments.models import Department
from webapp.dicom.models import Commitment, Destination, Peer, ResultObject, Retrieval, Retrieves, Rule, Search
from webapp.refusals import Refused
from webapp.studies.models import Image
from webapp.studies.outbox.models import Delivery
from webapp.studies.querysets import ImageQuerySet

M = TypeVar("M", bound=Model)
S = TypeVar("S", Search, Retrieval)


def destination(identity: Identity, pk: UUID) -> Destination:
    """Raises Http404 where there is none that the identity may see."""
    return _managed(identity, Destination.objects.all(), pk)


def peer(identity: Identity, pk: int) -> Peer:
    """Raises Http404 where there is none that the identity may see."""
    return _managed(identity, Peer.objects.all(), pk)


def rule(identity: Identity, pk: UUID) -> Rule:
    """Raises Http404 where there is none that the identity may see."""
    return _managed(identity, Rule.objects.all(), pk)


def search(identity: Identity, pk: UUID) -> Search:
    """Raises Http404 where there is none that the identity may see."""
    return _searched(identity, Search.objects.select_related("destination"), pk)


def retrieval(identity: Identity, pk: UUID) -> Retrieval:
    """Raises Http404 where there is none that the identity may see."""
    return _searched(identity, Retrieval.objects.select_related("search__destination"), pk)


def searched(department: Department) -> "QuerySet[Destination]":
    """The PACS of a department that may be searched."""
    return department.destinations.exclude(retrieves=Retrieves.NO).filter(enabled=True)


def searched_one(department: Department, pk: UUID | None) -> Destination:
    """One of these; without a key the only one.

    Raises:
        Refused: ``no_such_pacs``.
    """
    found = list(searched(department).filter(**({"pk": pk} if pk else {}))[:2])
    if len(found) != 1:
        raise Refused("no_such_pacs", "Please choose one of the department's PACS that may be searched.")
    return found[0]


def _managed(identity: Identity, rows: "QuerySet[M]", pk: object) -> M:
    managed = permissions.managed_departments(identity)
    return _one(rows.select_related("department").filter(department__in=managed), pk)


def _searched(identity: Identity, rows: "QuerySet[S]", pk: object) -> S:
    visible = permissions.visible_departments(identity)
    found = _one(rows.select_related("department").filter(department__in=visible), pk)
    if not permissions.may_search_pacs(identity, found.department):
        raise Http404
    return found


def _one(rows: "QuerySet[M]", pk: object) -> M:
    found = rows.filter(pk=pk).first()
    if found is None:
        raise Http404
    return found


def deliveries(destination: Destination) -> "QuerySet[Delivery]":
    """What goes to a destination. ``committed`` says whether it keeps that; None as long as it has not said so."""
    last = Commitment.objects.filter(delivery=OuterRef("pk")).order_by("-asked_at").values("committed")
    return Delivery.objects.filter(destination=str(destination.pk)).annotate(committed=Subquery(last[:1]))


def dicom_images(identity: Identity) -> ImageQuerySet:
    """The images that came as DICOM files, with their files. Of several versions of an instance it has the first."""
    return (
        Image.objects.visible_to(identity).filter(instance__isnull=False, instance_uid__isnull=False).exclude(file="")
    )


def result_objects(identity: Identity) -> "QuerySet[ResultObject]":
    """What is made of the results of these."""
    return ResultObject.objects.filter(image__in=dicom_images(identity))
