"""What changes the scanners and PACS that may send images, and says when one has sent."""

from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.dicom.models import Peer
from webapp.refusals import Refused
from webapp.studies.transactions import atomically

#: What a manager says of a sender.
FIELDS = ("ae_title", "network", "certificate_name", "stat", "active")
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
