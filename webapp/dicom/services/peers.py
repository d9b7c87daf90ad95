"""Change the scanners and PACS that may send images, and record when they connect."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.db import IntegrityError, transaction
from django.db.models import Count, Max, Q
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments.models import Department
from webapp.dicom.models import Instance, Peer
from webapp.refusals import Refused
from webapp.studies.outbox import services as outbox
from webapp.studies.transactions import atomically

#: The fields that a manager sets.
FIELDS = ("ae_title", "network", "certificate_name", "host", "port", "tls", "stat", "active")
#: The kind of deliveries to senders, and their events: a test, or a report of storage commitment.
SENDER = "dicom.sender"
ECHO, REPORT = "sender.echo", "sender.report"
#: Time span of :func:`recent_images`.
RECENT = timedelta(days=7)
#: A sender's connections are recorded at most once in this time, since it may connect for each image.
NOTED_EVERY = timedelta(minutes=1)


@atomically
def save(identity: Identity, peer: Peer) -> Peer:
    """Add or change a sender.

    Raises:
        Refused: ``name_taken`` if another sender has just got the AE title.
    """
    is_new = peer._state.adding
    try:
        with transaction.atomic():
            peer.save()
    except IntegrityError:
        raise Refused("name_taken", "A sender with this AE title already exists.") from None
    record(identity, Action.CREATE if is_new else Action.CHANGE, peer)
    return peer


@atomically
def delete(identity: Identity, peer: Peer) -> None:
    """Delete a sender. The images that it has sent stay."""
    record(identity, Action.DELETE, peer)
    peer.delete()


@atomically
def test(identity: Identity, peer: Peer) -> None:
    """Test the connection to a sender by a C-ECHO. The answer is stored with the sender."""
    record(identity, Action.TEST, peer)
    _put(peer, event=ECHO)


@atomically
def report(peer: Peer, transaction_uid: str, objects: Sequence[Sequence[str]]) -> None:
    """Send a report of storage commitment to a sender.

    Args:
        transaction_uid: identifies the sender's request.
        objects: the SOP Class UID and SOP Instance UID of each requested image.
    """
    _put(peer, event=REPORT, transaction_uid=transaction_uid, objects=objects)


def _put(peer: Peer, **payload: Any) -> None:
    key = f"{payload['event']}:{peer.pk}:{uuid4()}"
    outbox.put(SENDER, key, {**payload, "peer": peer.pk}, destination=f"sender:{peer.pk}")


def recent_images(department: Department) -> Any:
    """The images from each AE title in the last days: ``calling_ae``, ``images``, ``studies``, ``last``."""
    recent = Instance.objects.filter(image__department=department, image__created_at__gt=timezone.now() - RECENT)
    counts = {"images": Count("pk"), "studies": Count("image__study", distinct=True), "last": Max("image__created_at")}
    return recent.exclude(calling_ae="").values("calling_ae").annotate(**counts).order_by("calling_ae")


def record_connection(peer: Peer) -> None:
    """Record that a sender has connected."""
    _note(peer, "last_heard_at")


def record_refusal(peer: Peer, reason: str) -> None:
    """Record that a sender was not admitted, which the department sees.

    Args:
        reason: a value of :class:`webapp.dicom.models.Refusal`.
    """
    _note(peer, "last_refused_at", last_refusal=reason)


def _note(peer: Peer, field: str, **values: str) -> None:
    now = timezone.now()
    old = Q(**{field: None}) | Q(**{f"{field}__lt": now - NOTED_EVERY})
    Peer.objects.filter(old, pk=peer.pk).update(**{field: now}, **values)
