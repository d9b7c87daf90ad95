"""Find a webhook or a delivery that someone may see and change. What they may not see does not exist for them."""

from functools import reduce
from operator import or_
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import Http404

from webapp.accounts.identity import Identity
from webapp.departments import permissions
from webapp.departments.models import Department
from webapp.notifications.announcing import EMAIL, MAIL_SERVER
from webapp.notifications.models import Webhook
from webapp.studies.outbox.models import Delivery
from webapp.studies.search import begins_with


def webhooks(identity: Identity) -> "QuerySet[Webhook]":
    """Someone's own, and those of the departments that they manage; of administrators, all."""
    if permissions.is_administrator(identity.user):
        return Webhook.objects.all()
    own = Q(user=identity.user) if identity.user else Q(pk__in=[])
    return Webhook.objects.filter(own | Q(department__in=permissions.managed_departments(identity)))


def webhook(identity: Identity, pk: UUID) -> Webhook:
    """Raises Http404 where there is none that the identity may see."""
    found = webhooks(identity).select_related("user", "department").filter(pk=pk).first()
    if found is None:
        raise Http404
    return found


def managed_department(identity: Identity, slug: str) -> Department:
    """Raises Http404 where there is none that the identity manages."""
    found = permissions.managed_departments(identity).filter(slug=slug).first()
    if found is None:
        raise Http404
    return found


def deliveries(identity: Identity) -> "QuerySet[Delivery]":
    """The deliveries to someone's webhooks and to the PACS of the departments that they manage; of administrators,
    everything in the outbox.
    """
    if permissions.is_administrator(identity.user):
        return Delivery.objects.all()
    receivers: list[UUID | None] = [*webhooks(identity).values_list("pk", flat=True)]
    receivers += permissions.managed_departments(identity).values_list("destinations", flat=True)
    return Delivery.objects.filter(destination__in=[str(pk) for pk in receivers if pk])


def emails(identity: Identity) -> "QuerySet[Delivery]":
    """The e-mails to someone, and to the departments that they manage; of administrators, all."""
    if permissions.is_administrator(identity.user):
        return Delivery.objects.filter(destination=MAIL_SERVER)
    receivers = [f"department:{pk}" for pk in permissions.managed_departments(identity).values_list("pk", flat=True)]
    if identity.user:
        receivers.append(f"person:{identity.user.pk}")
    # By their keys, which have an index; of one receiver there are few.
    keys = [begins_with("key", f"{EMAIL}:{receiver}:") for receiver in receivers]
    return Delivery.objects.filter(reduce(or_, keys, Q(pk__in=[])))


def delivery(identity: Identity, pk: UUID) -> Delivery:
    """Raises Http404 where there is none that the identity may see."""
    found = deliveries(identity).filter(pk=pk).first()
    if found is None:
        raise Http404
    return found
