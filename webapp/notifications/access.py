"""Find news, webhooks and deliveries that an identity may see. Others are reported as missing."""

from functools import reduce
from operator import or_
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.http import Http404

from webapp.accounts.identity import Identity
from webapp.departments import permissions
from webapp.departments.models import Department
from webapp.notifications.announcing import EMAIL, MAIL_SERVER
from webapp.notifications.models import News, Webhook
from webapp.studies.outbox.models import Delivery
from webapp.studies.search import begins_with


def news(user: User) -> "QuerySet[News]":
    """A person's news of what they may still see, as :func:`webapp.notifications.subjects.may_know` decides."""
    own = News.objects.filter(person=user)
    if permissions.is_administrator(user):
        return own
    departments = permissions.roles(user)
    seen = Q(study__owner=user) | Q(study__department__in=departments)
    seen |= Q(image__owner=user) | Q(image__department__in=departments)
    return own.filter(seen | Q(department__in=permissions.managed_departments(Identity(user=user))))


def webhooks(identity: Identity) -> "QuerySet[Webhook]":
    """The identity's own webhooks, and those of departments that it manages; for administrators, all."""
    if permissions.is_administrator(identity.user):
        return Webhook.objects.all()
    own = Q(user=identity.user) if identity.user else Q(pk__in=[])
    return Webhook.objects.filter(own | Q(department__in=permissions.managed_departments(identity)))


def webhook(identity: Identity, pk: UUID) -> Webhook:
    """A webhook. Raises Http404 if it does not exist or the identity may not see it."""
    found = webhooks(identity).select_related("user", "department").filter(pk=pk).first()
    if found is None:
        raise Http404
    return found


def managed_department(identity: Identity, slug: str) -> Department:
    """A department. Raises Http404 if it does not exist or the identity does not manage it."""
    found = permissions.managed_departments(identity).filter(slug=slug).first()
    if found is None:
        raise Http404
    return found


def deliveries(identity: Identity) -> "QuerySet[Delivery]":
    """The deliveries to the identity's webhooks and to the PACS of departments that it manages; for administrators, the
    whole outbox.
    """
    if permissions.is_administrator(identity.user):
        return Delivery.objects.all()
    receivers: list[UUID | None] = [*webhooks(identity).values_list("pk", flat=True)]
    receivers += permissions.managed_departments(identity).values_list("destinations", flat=True)
    return Delivery.objects.filter(destination__in=[str(pk) for pk in receivers if pk])


def emails(identity: Identity) -> "QuerySet[Delivery]":
    """The e-mails to the identity's user and to departments that it manages; for administrators, all."""
    if permissions.is_administrator(identity.user):
        return Delivery.objects.filter(destination=MAIL_SERVER)
    receivers = [f"department:{pk}" for pk in permissions.managed_departments(identity).values_list("pk", flat=True)]
    if identity.user:
        receivers.append(f"person:{identity.user.pk}")
    # By prefixes of the key, which has an index; each receiver has few.
    keys = [begins_with("key", f"{EMAIL}:{receiver}:") for receiver in receivers]
    return Delivery.objects.filter(reduce(or_, keys, Q(pk__in=[])))


def delivery(identity: Identity, pk: UUID) -> Delivery:
    """A delivery. Raises Http404 if it does not exist or the identity may not see it."""
    found = deliveries(identity).filter(pk=pk).first()
    if found is None:
        raise Http404
    return found
