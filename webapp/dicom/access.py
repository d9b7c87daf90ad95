"""Access to a department's DICOM settings and images. Managers may see and change its destinations, senders and rules;
users who may search its PACS see the searches; administrators see everything. Also find the DICOM images that a user
may see.
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
    """Return a destination. Raises Http404 if it does not exist or the identity may not see it."""
    return _find_managed(identity, Destination.objects.all(), pk)


def peer(identity: Identity, pk: int) -> Peer:
    """Return a sender. Raises Http404 if it does not exist or the identity may not see it."""
    return _find_managed(identity, Peer.objects.all(), pk)


def rule(identity: Identity, pk: UUID) -> Rule:
    """Return a rule. Raises Http404 if it does not exist or the identity may not see it."""
    return _find_managed(identity, Rule.objects.all(), pk)


def search(identity: Identity, pk: UUID) -> Search:
    """Return a search. Raises Http404 if it does not exist or the identity may not see it."""
    return _find_searched(identity, Search.objects.select_related("destination"), pk)


def retrieval(identity: Identity, pk: UUID) -> Retrieval:
    """Return a retrieval. Raises Http404 if it does not exist or the identity may not see it."""
    return _find_searched(identity, Retrieval.objects.select_related("search__destination"), pk)


def searchable(department: Department) -> "QuerySet[Destination]":
    """The PACS of a department that users may search."""
    return department.destinations.exclude(retrieves=Retrieves.NO).filter(enabled=True)


def searchable_one(department: Department, pk: UUID | None) -> Destination:
    """The PACS with a primary key, or without a key the only one that may be searched.

    Raises:
        Refused: ``no_such_pacs``.
    """
    found = list(searchable(department).filter(**({"pk": pk} if pk else {}))[:2])
    if len(found) != 1:
        raise Refused("no_such_pacs", "Please choose one of the department's PACS that may be searched.")
    return found[0]


def _find_managed(identity: Identity, rows: "QuerySet[M]", pk: object) -> M:
    managed = permissions.managed_departments(identity)
    return _get(rows.select_related("department").filter(department__in=managed), pk)


def _find_searched(identity: Identity, rows: "QuerySet[S]", pk: object) -> S:
    visible = permissions.visible_departments(identity)
    row = _get(rows.select_related("department").filter(department__in=visible), pk)
    if not permissions.may_search_pacs(identity, row.department):
        raise Http404
    return row


def _get(rows: "QuerySet[M]", pk: object) -> M:
    row = rows.filter(pk=pk).first()
    if row is None:
        raise Http404
    return row


def deliveries(destination: Destination) -> "QuerySet[Delivery]":
    """The deliveries to a destination. ``committed`` says whether it stores the objects; None until it has answered."""
    committed = Commitment.objects.filter(delivery=OuterRef("pk")).order_by("-asked_at").values("committed")
    return Delivery.objects.filter(destination=str(destination.pk)).annotate(committed=Subquery(committed[:1]))


def dicom_images(identity: Identity) -> ImageQuerySet:
    """Images from DICOM files that still have their file. Of several versions of an instance, only the first counts."""
    return (
        Image.objects.visible_to(identity).filter(instance__isnull=False, instance_uid__isnull=False).exclude(file="")
    )


def result_objects(identity: Identity) -> "QuerySet[ResultObject]":
    """The DICOM objects made from the results of the images that the identity may see."""
    return ResultObject.objects.filter(image__in=dicom_images(identity))
