"""Notify people of an event: add it to the outbox for each webhook and e-mail, and to the news.

A handler may run again with the same delivery. Each row that it writes has a key, so that it is written only once.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Q

from webapp.departments import permissions
from webapp.departments.models import Department, Membership, Role
from webapp.notifications.models import CORRECTED, Channel, Choice, Event, Mailbox, News, Webhook
from webapp.notifications.services import put_for_webhook
from webapp.notifications.subjects import may_know
from webapp.studies.choices import Status
from webapp.studies.models import Archive, Image, Study
from webapp.studies.outbox import services as outbox
from webapp.studies.outbox.models import Delivery
from webapp.studies.transactions import atomically

#: The kind of deliveries that are e-mails to a person or to a department.
EMAIL = "email"
#: The destination of all e-mails. While the mail server cannot be reached, no e-mail is tried.
MAIL_SERVER = "mail server"
#: Events, with their channels, of which the sender is notified by default. Others have to choose theirs.
BY_DEFAULT = {(event, Channel.PAGE) for event in Event}


@atomically
def announce_study(delivery: Delivery) -> None:
    """Notify people that a study is finished and, separately, that some of it could not be read.

    Raises:
        ObsoleteError: the study was deleted.
    """
    study = Study.objects.filter(pk=delivery.payload["study"]).select_related("owner", "uploaded_by").first()
    if study is None:
        raise outbox.ObsoleteError("its study was deleted")
    _notify(Event.STUDY_FINISHED, study, _audience(Event.STUDY_FINISHED, study), delivery.pk, delivery.created_at)
    # Webhooks have already got the numbers of failed images and ZIPs with the first event.
    failed = study.images.filter(status=Status.FAILED).exists()
    if failed or study.archives.filter(state=Archive.State.FAILED).exists():
        people = replace(_audience(Event.FAILED, study), webhooks=[])
        _notify(Event.FAILED, study, people, uuid5(delivery.pk, Event.FAILED), delivery.created_at)


@atomically
def announce_images(delivery: Delivery) -> None:
    """Notify people of images that have failed, or in which signs of pneumonia were found."""
    event = Event(delivery.kind)
    images = Image.objects.filter(pk__in=delivery.payload["images"]).select_related("owner", "uploaded_by")
    audiences: dict[tuple[Any, ...], Audience] = {}  # most images of a batch have the same few senders
    for image in images.order_by("created_at", "pk"):
        senders = (image.owner_id, image.uploaded_by_id, image.department_id)
        if senders not in audiences:
            audiences[senders] = _audience(event, image)
        _notify(event, image, audiences[senders], uuid5(delivery.pk, str(image.pk)), delivery.created_at)


@atomically
def announce_corrections(delivery: Delivery) -> None:
    """Notify webhooks of images whose results have changed after they were read."""
    images = Image.objects.filter(pk__in=delivery.payload["images"]).select_related("owner", "uploaded_by")
    for image in images.order_by("created_at", "pk"):
        payload = _payload(CORRECTED, image, delivery.created_at)
        for webhook in listening_to(image, CORRECTED):
            put_for_webhook(webhook, uuid5(delivery.pk, str(image.pk)), payload, image.pk)


@atomically
def announce_alert(delivery: Delivery) -> None:
    """Notify a department and its managers of an alert.

    Raises:
        ObsoleteError: the department was deleted.
    """
    department = Department.objects.filter(pk=delivery.payload["department"]).first()
    if department is None:
        raise outbox.ObsoleteError("its department was deleted")
    payload: dict[str, Any] = {
        "event": Event.ALERT, "created_at": delivery.created_at.isoformat(), "alert_in": str(department.pk),
        "about": delivery.payload["about"],
    }  # fmt: skip
    for webhook in Webhook.objects.filter(department=department, active=True):
        if Event.ALERT in webhook.events:
            put_for_webhook(webhook, delivery.pk, payload)
    key = f"{Event.ALERT}:{delivery.pk}"
    managers = set(Membership.objects.filter(department=department, role=Role.MANAGER).values_list("user", flat=True))
    people = _people_who_want(Event.ALERT, managers, set())
    News.objects.bulk_create(
        [News(person_id=pk, key=key, event=Event.ALERT, department=department) for pk in people[Channel.PAGE]],
        ignore_conflicts=True,
    )
    if not settings.EMAIL_URL:
        return
    for pk in people[Channel.EMAIL]:
        _put_mail(f"person:{pk}:{key}", {**payload, "person": pk})
    mailbox = Mailbox.objects.filter(department=department).exists()
    if mailbox and _is_wanted(Q(department=department), Event.ALERT, Channel.EMAIL):
        _put_mail(f"department:{department.pk}:{key}", {**payload, "department": str(department.pk)})


@dataclass(frozen=True)
class Audience:
    """The receivers of an event. They are the same for all rows that one person has sent to one department.

    Attributes:
        people: ids of users, by channel.
        mailbox: whether the department's address gets an e-mail.
    """

    webhooks: list[Webhook]
    people: dict[str, set[int]]
    mailbox: bool


def _audience(event: Event, row: Study | Image) -> Audience:
    mailbox = bool(settings.EMAIL_URL and row.department_id) and (
        Mailbox.objects.filter(department=row.department_id).exists()
        and _is_wanted(Q(department=row.department_id), event, Channel.EMAIL)
    )
    return Audience(listening_to(row, event), _people(event, row), mailbox)


def _notify(event: Event, row: Study | Image, audience: Audience, event_id: UUID, created_at: datetime) -> None:
    payload = _payload(event, row, created_at)
    for webhook in audience.webhooks:
        put_for_webhook(webhook, event_id, payload, row.pk)
    key = _key(event, row, event_id)
    subject = {"study": row} if isinstance(row, Study) else {"image": row}
    News.objects.bulk_create(
        [News(person_id=pk, key=key, event=event, **subject) for pk in audience.people[Channel.PAGE]],
        ignore_conflicts=True,
    )
    if not settings.EMAIL_URL:
        return
    for pk in audience.people[Channel.EMAIL]:
        _put_mail(f"person:{pk}:{key}", {**payload, "person": pk}, row.pk)
    if audience.mailbox:
        _put_mail(f"department:{row.department_id}:{key}", {**payload, "department": str(row.department_id)}, row.pk)


def _payload(event: str, row: Study | Image, created_at: datetime) -> dict[str, Any]:
    """The payload of a delivery. All other content is looked up when it is sent."""
    return {"event": event, "created_at": created_at.isoformat(), str(row._meta.model_name): str(row.pk)}


def listening_to(row: Study | Image, event: str) -> list[Webhook]:
    """The active webhooks that get this event of a row: those of its department, and those of its owner or of the user
    who sent it to the department, if this user may still see it.
    """
    owners = Q(department=row.department_id) if row.department_id else Q(pk__in=[])
    if sender := _sender(row):
        owners |= Q(user=sender)
    return [webhook for webhook in Webhook.objects.filter(owners, active=True) if event in webhook.events]


def _sender(row: Study | Image) -> User | None:
    sender = row.owner or row.uploaded_by
    return sender if sender is not None and may_know(sender, row) else None


def _people(event: Event, row: Study | Image) -> dict[str, set[int]]:
    """The ids of users to notify, by channel: the sender and, for a positive image, those readers and managers of its
    department who want to be notified.
    """
    sender = _sender(row)
    own = {sender.pk} if sender else set()
    others: set[int] = set()
    if event == Event.POSITIVE and row.department_id:
        reviewers = Membership.objects.filter(department=row.department_id, role__in=permissions.REVIEWERS)
        others = set(reviewers.values_list("user", flat=True)) - own
    return _people_who_want(event, own, others)


def _people_who_want(event: Event, own: set[int], others: set[int]) -> dict[str, set[int]]:
    """Filter users by their choices, by channel. Those in ``own`` are notified of some events by default."""
    choices = Choice.objects.filter(person__in=own | others, person__is_active=True, event=event)
    wanted = {(choice.person_id, choice.channel): choice.wanted for choice in choices}
    people: dict[str, set[int]] = {}
    for channel in Channel:
        by_default = own if (event, channel) in BY_DEFAULT else set()
        people[channel] = {pk for pk in own | others if wanted.get((pk, channel), pk in by_default)}
    return people


def _is_wanted(owner: Q, event: str, channel: str) -> bool:
    return Choice.objects.filter(owner, event=event, channel=channel, wanted=True).exists()


def _key(event: Event, row: Study | Image, event_id: UUID) -> str:
    """The key under which people are notified once: of each finished study, each failure, and each study's first
    positive image.
    """
    if event == Event.POSITIVE and isinstance(row, Image) and row.study_id:
        return f"{event}:{row.study_id}"
    return f"{event}:{event_id}"


def _put_mail(key: str, payload: dict[str, Any], subject: UUID | None = None) -> None:
    outbox.put(EMAIL, f"email:{key}", payload, subject=subject, destination=MAIL_SERVER)
