"""What changes the scanners and PACS that may send images, and says when one has sent."""

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

#: What a manager says of a sender.
FIELDS = ("ae_title", "network", "certificate_name", "host", "port", "tls", "stat", "active")
#: The kind of deliveries that go to senders, and what they are about: a test, or a report of what is kept.
SENDER = "dicom.sender"
ECHO, REPORT = "sender.echo", "sender.report"
#: What has come lately came since then.
LATELY = timedelta(days=7)
#: A sender that connects for each image is noted once in so long.
NOTED_EVERY = timedelta(minutes=1)


@atomically
def save(by: Identity, peer: Peer) -> Peer:
    """Add a sender, or change one.

    Raises:
        Refused: ``name_taken`` where another one has got the AE title a moment ago.
    """
    is_new = peer._state.adding
    try:
        with transaction.atomic():
            peer.save()
    except IntegrityError:
        raise Refused("name_taken", "There is a sender of this AE title already.") from None
    record(by, Action.CREATE if is_new else Action.CHANGE, peer)
    return peer


@atomically
def delete(by: Identity, peer: Peer) -> None:
    """Delete a sender. What it has sent stays."""
    record(by, Action.DELETE, peer)
    peer.delete()


@atomically
def test(by: Identity, peer: Peer) -> None:
    """Ask a sender whether it is there, by a C-ECHO; its answer is noted with it."""
    record(by, Action.TEST, peer)
    _put(peer, event=ECHO)


@atomically
def report(peer: Peer, transaction_uid: str, objects: Sequence[Sequence[str]]) -> None:
    """Have a sender told what is kept of what it has sent.

    Args:
        transaction_uid: of its request.
        objects: the SOP Class and Instance UID of each image that it asks for.
    """
    _put(peer, event=REPORT, transaction_uid=transaction_uid, objects=objects)


def _put(peer: Peer, **payload: Any) -> None:
    key = f"{payload['event']}:{peer.pk}:{uuid4()}"
    outbox.put(SENDER, key, {**payload, "peer": peer.pk}, destination=f"sender:{peer.pk}")


def came_lately(department: Department) -> Any:
    """How many images came from each AE title in the last days: ``calling_ae``, ``images``, ``studies``, ``last``."""
    came = Instance.objects.filter(image__department=department, image__created_at__gt=timezone.now() - LATELY)
    counts = {"images": Count("pk"), "studies": Count("image__study", distinct=True), "last": Max("image__created_at")}
    return came.exclude(calling_ae="").values("calling_ae").annotate(**counts).order_by("calling_ae")


def heard(peer: Peer) -> None:
    """Note that a sender has connected."""
    _note(peer, "last_heard_at")


def refused(peer: Peer, why: str) -> None:
    """Note for the department that a sender was not admitted.

    Args:
        why: of :class:`webapp.dicom.models.Refusal`.
    """
    _note(peer, "last_refused_at", last_refusal=why)


def _note(peer: Peer, field: str, **values: str) -> None:
    now = timezone.now()
    old = Q(**{field: None}) | Q(**{f"{field}__lt": now - NOTED_EVERY})
    Peer.objects.filter(old, pk=peer.pk).update(**{field: now}, **values)
