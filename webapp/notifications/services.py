"""Change webhooks, choices of notifications, and what has been read or acknowledged."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID, uuid4

from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments.models import Department
from webapp.notifications import addresses, sealing
from webapp.notifications.models import Acknowledgement, Channel, Choice, Event, Mailbox, News, Payload, Reader, Webhook
from webapp.refusals import Refused
from webapp.studies.models import Archive, Image
from webapp.studies.outbox import services as outbox
from webapp.studies.outbox.models import Delivery, State
from webapp.studies.transactions import atomically

#: The kind of deliveries that go to one webhook.
WEBHOOK = "webhook"
#: The event that `…/test/` sends.
TEST = "webhook.test"
MAX_WEBHOOKS = 20


@atomically
def create_webhook(
    identity: Identity,
    url: str,
    events: Sequence[str] = (),
    department: Department | None = None,
    payload: str = Payload.IDS,
) -> tuple[Webhook, str]:
    """Add a webhook of a user or of a department.

    Args:
        identity: the user who adds it, and who owns it if no department does.
        department: the department that will own it, if any.
        payload: one of :class:`webapp.notifications.models.Payload`.

    Returns:
        The webhook and its secret, which cannot be retrieved later.

    Raises:
        Refused: ``webhook_url_refused`` or ``too_many_webhooks``.
    """
    addresses.check_url(url)
    owner: dict[str, Any] = {"department": department} if department else {"user": identity.user}
    if Webhook.objects.filter(**owner).count() >= MAX_WEBHOOKS:
        raise Refused("too_many_webhooks", f"At most {MAX_WEBHOOKS} webhooks can be added. Delete one first.")
    secret = sealing.new_secret()
    webhook = Webhook(**owner, url=url, events=list(events) or [Event.STUDY_FINISHED.value], payload=payload)
    webhook.sealed_secret = sealing.seal(secret)
    webhook.save(force_insert=True)
    record(identity, Action.CREATE, webhook, events=webhook.events, payload=webhook.payload)
    return webhook, secret


@atomically
def delete_webhook(identity: Identity, webhook: Webhook) -> None:
    """Delete a webhook. Deliveries that still wait for it are dropped."""
    record(identity, Action.DELETE, webhook)
    webhook.delete()


@atomically
def send_test(webhook: Webhook) -> UUID:
    """Send a test event, which has no study, to a webhook.

    Returns:
        The event's id.

    Raises:
        Refused: ``webhook_inactive``.
    """
    if not webhook.active:
        raise Refused("webhook_inactive", "This webhook is inactive, because its receiver answered 410 Gone.")
    event_id = uuid4()
    put_for_webhook(webhook, event_id, {"event": TEST, "created_at": timezone.now().isoformat()})
    return event_id


def put_for_webhook(webhook: Webhook, event_id: UUID, payload: dict[str, Any], subject: UUID | None = None) -> None:
    payload = {**payload, "event_id": str(event_id)}
    key = f"webhook:{webhook.pk}:{event_id}"
    outbox.put(WEBHOOK, key, payload, subject=subject, destination=str(webhook.pk))


@atomically
def send_again(identity: Identity, webhook: Webhook, delivery: Delivery) -> None:
    """Send a webhook's delivery again, with the same id, whether it was delivered or not.

    Raises:
        Refused: ``webhook_inactive``.
    """
    if not webhook.active:
        raise Refused("webhook_inactive", "This webhook is inactive. Please add it again.")
    outbox.send_again([delivery.pk], states=(State.DEAD, State.DELIVERED))
    record(identity, Action.SEND_AGAIN, webhook, delivery=delivery.pk)


@atomically
def choose(
    identity: Identity,
    wanted: Collection[tuple[str, str]],
    language: str,
    *,
    department: Department | None = None,
    address: str = "",
) -> None:
    """Store which events a person or a department wants to be notified of, replacing earlier choices.

    Args:
        identity: the user who chooses; for themselves, unless there is a department.
        wanted: the wanted events with their channels.
        language: language of e-mails.
        department: the department for which the user chooses.
        address: the department's e-mail address; empty for none.
    """
    owner: dict[str, Any] = {"department": department} if department else {"person": identity.user}
    for event in Event:
        for channel in Channel:
            defaults = {"wanted": (event, channel) in wanted}
            Choice.objects.update_or_create(**owner, event=event, channel=channel, defaults=defaults)
    if department is None:
        Reader.objects.update_or_create(person=identity.user, defaults={"language": language})
    elif address:
        mailbox = {"address": address, "language": language}
        Mailbox.objects.update_or_create(department=department, defaults=mailbox)
    else:
        Mailbox.objects.filter(department=department).delete()
    record(identity, Action.SETTINGS_CHANGE, department or identity.user, setting="notifications")


def mark_read(person: Any, news: Collection[int] | None = None) -> None:
    """Mark some of a person's news, or all of it, as read."""
    unread = News.objects.filter(person=person, read_at=None)
    (unread if news is None else unread.filter(pk__in=news)).update(read_at=timezone.now())


@atomically
def acknowledge(identity: Identity, failed: Image | Archive) -> None:
    """Remove a failure from the list of failures. The failed row itself does not change."""
    target = {"image": failed} if isinstance(failed, Image) else {"archive": failed}
    Acknowledgement.objects.update_or_create(**target, defaults={"by": identity.user})
    record(identity, Action.ACKNOWLEDGE, failed)


@atomically
def discard(identity: Identity, delivery: Delivery) -> None:
    """Delete a dead delivery, so that it is never sent."""
    if Delivery.objects.filter(pk=delivery.pk, state=State.DEAD).delete()[0]:
        record(identity, Action.ACKNOWLEDGE, delivery)
