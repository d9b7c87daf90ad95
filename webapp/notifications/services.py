"""Add webhooks, and put an event into the outbox once for each of them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth.models import User
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.departments import permissions
from webapp.notifications import addresses, sealing
from webapp.notifications.models import Event, Webhook
from webapp.refusals import Refused
from webapp.studies.models import Study
from webapp.studies.outbox import services as outbox
from webapp.studies.outbox.models import Delivery
from webapp.studies.transactions import atomically

#: The kind of deliveries that go to one webhook.
WEBHOOK = "webhook"
#: The event that `…/test/` sends.
TEST = "webhook.test"
MAX_WEBHOOKS = 20


@atomically
def create_webhook(user: User, url: str, events: Sequence[str] = ()) -> tuple[Webhook, str]:
    """Add a webhook for a user's studies.

    Returns:
        The webhook, and its secret, which cannot be seen again.

    Raises:
        Refused: ``webhook_url_refused`` or ``too_many_webhooks``.
    """
    addresses.check_url(url)
    if Webhook.objects.filter(user=user).count() >= MAX_WEBHOOKS:
        raise Refused("too_many_webhooks", f"At most {MAX_WEBHOOKS} webhooks can be added. Delete one first.")
    secret = sealing.new_secret()
    webhook = Webhook(user=user, url=url, events=list(events) or list(Event.values))
    webhook.sealed_secret = sealing.seal(secret)
    webhook.save(force_insert=True)
    return webhook, secret


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
    _put(webhook, event_id, {"event": TEST, "created_at": timezone.now().isoformat()})
    return event_id


@atomically
def announce_study(delivery: Delivery) -> None:
    """Deliver the event of a finished study: put it into the outbox for each webhook that listens.

    Raises:
        ObsoleteError: the study was deleted.
    """
    study = Study.objects.filter(pk=delivery.payload["study"]).first()
    if study is None:
        raise outbox.ObsoleteError("its study was deleted")
    for webhook in listening_to(study, Event.STUDY_FINISHED):
        payload = {
            "event": Event.STUDY_FINISHED,
            "created_at": delivery.created_at.isoformat(),
            "study": delivery.payload["study"],
        }
        _put(webhook, delivery.pk, payload)


def listening_to(study: Study, event: str) -> list[Webhook]:
    """The active webhooks for a study: those of its owner, or of whoever sent it to a department and may see it."""
    sender = study.owner or study.uploaded_by
    if sender is None or not permissions.may_see(Identity(user=sender), study):
        return []
    own = Webhook.objects.filter(user=sender, active=True)
    return [webhook for webhook in own if event in webhook.events]


def _put(webhook: Webhook, event_id: UUID, payload: dict[str, Any]) -> None:
    payload = {**payload, "event_id": str(event_id)}
    outbox.put(WEBHOOK, f"webhook:{webhook.pk}:{event_id}", payload, destination=str(webhook.pk))
