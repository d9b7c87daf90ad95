"""What changes webhooks, what people and departments want to be notified of, and what they have seen."""

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
    by: Identity,
    url: str,
    events: Sequence[str] = (),
    department: Department | None = None,
    payload: str = Payload.IDS,
) -> tuple[Webhook, str]:
    """Add a webhook of a user or of a department.

    Args:
        by: who adds it, and owns it unless a department does.
        department: the one that will own it.
        payload: one of :class:`webapp.notifications.models.Payload`.

    Returns:
        The webhook, and its secret, which cannot be seen again.

    Raises:
        Refused: ``webhook_url_refused`` or ``too_many_webhooks``.
    """
    addresses.check_url(url)
    owner: dict[str, Any] = {"department": department} if department else {"user": by.user}
    if Webhook.objects.filter(**owner).count() >= MAX_WEBHOOKS:
        raise Refused("too_many_webhooks", f"At most {MAX_WEBHOOKS} webhooks can be added. Delete one first.")
    secret = sealing.new_secret()
    webhook = Webhook(**owner, url=url, events=list(events) or [Event.STUDY_FINISHED.value], payload=payload)
    webhook.sealed_secret = sealing.seal(secret)
    webhook.save(force_insert=True)
    record(by, Action.CREATE, webhook, events=webhook.events, payload=webhook.payload)
    return webhook, secret


@atomically
def delete_webhook(by: Identity, webhook: Webhook) -> None:
    """Delete a webhook. Its waiting deliveries are dropped."""
    record(by, Action.DELETE, webhook)
    webhook.delete()


@atomically
def send_test(webhook: Webhook) -> UUID:
    """Send a webhook an event without a study.

    Returns:
        The event's id.

    Raises:
        Refused: ``webhook_inactive``.
    """
    if not webhook.active:
        raise Refused("webhook_inactive", "This webhook is inactive, since its receiver answered 410 Gone.")
    event_id = uuid4()
    put_for_webhook(webhook, event_id, {"event": TEST, "created_at": timezone.now().isoformat()})
    return event_id


def put_for_webhook(webhook: Webhook, event_id: UUID, payload: dict[str, Any], subject: UUID | None = None) -> None:
    payload = {**payload, "event_id": str(event_id)}
    key = f"webhook:{webhook.pk}:{event_id}"
    outbox.put(WEBHOOK, key, payload, subject=subject, destination=str(webhook.pk))


@atomically
def send_again(by: Identity, webhook: Webhook, delivery: Delivery) -> None:
    """Send a delivery of a webhook once more, with the same id, whether it arrived or not.

    Raises:
        Refused: ``webhook_inactive``.
    """
    if not webhook.active:
        raise Refused("webhook_inactive", "This webhook is inactive. Add it anew.")
    outbox.send_again([delivery.pk], states=(State.DEAD, State.DELIVERED))
    record(by, Action.SEND_AGAIN, webhook, delivery=delivery.pk)


@atomically
def choose(
    by: Identity,
    wanted: Collection[tuple[str, str]],
    language: str,
    *,
    department: Department | None = None,
    address: str = "",
) -> None:
    """Keep what a person, or a department, wants to be notified of, in place of what they chose before.

    Args:
        by: who chooses; for themselves where no department is named.
        wanted: events with their channels.
        language: of e-mails.
        department: the one that it is for.
        address: the department's e-mail address; empty for none.
    """
    owner: dict[str, Any] = {"department": department} if department else {"person": by.user}
    for event in Event:
        for channel in Channel:
            defaults = {"wanted": (event, channel) in wanted}
            Choice.objects.update_or_create(**owner, event=event, channel=channel, defaults=defaults)
    if department is None:
        Reader.objects.update_or_create(person=by.user, defaults={"language": language})
    elif address:
        defaults_of_box = {"address": address, "language": language}
        Mailbox.objects.update_or_create(department=department, defaults=defaults_of_box)
    else:
        Mailbox.objects.filter(department=department).delete()
    record(by, Action.SETTINGS_CHANGE, department or by.user, setting="notifications")


def mark_read(person: Any, news: Collection[int] | None = None) -> None:
    """Mark a person's news as read, some of them or all."""
    unread = News.objects.filter(person=person, read_at=None)
    (unread if news is None else unread.filter(pk__in=news)).update(read_at=timezone.now())


@atomically
def acknowledge(by: Identity, failed: Image | Archive) -> None:
    """Take a failure off the list of failures. What failed stays as it is."""
    about = {"image": failed} if isinstance(failed, Image) else {"archive": failed}
    Acknowledgement.objects.update_or_create(**about, defaults={"by": by.user})
    record(by, Action.ACKNOWLEDGE, failed)


@atomically
def discard(by: Identity, delivery: Delivery) -> None:
    """Give a dead delivery up for good."""
    if Delivery.objects.filter(pk=delivery.pk, state=State.DEAD).delete()[0]:
        record(by, Action.ACKNOWLEDGE, delivery)
