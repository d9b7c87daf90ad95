"""Whether destinations commit themselves to keep what they got, and what is done where they do not."""

from uuid import uuid4

from webapp.dicom.models import Commitment, Destination
from webapp.dicom.services.destinations import COMMITMENT, DICOM
from webapp.studies.outbox import services as outbox
from webapp.studies.outbox.models import Delivery
from webapp.studies.transactions import atomically


@atomically
def ask_for(delivery: Delivery, objects: list[tuple[str, str]]) -> None:
    """Have a destination asked, as soon as a delivery counts as delivered.

    Args:
        objects: the SOP Class and Instance UID of each that it got.
    """
    payload = {"event": COMMITMENT, "image": delivery.payload["image"], "of": str(delivery.pk), "objects": objects}
    key = f"{COMMITMENT}:{delivery.pk}:{uuid4()}"
    outbox.put(DICOM, key, payload, subject=delivery.subject, destination=delivery.destination)


def begin(delivery: Delivery) -> Commitment:
    """A request under a UID of its own, which nobody can guess."""
    return Commitment.objects.create(transaction_uid=f"2.25.{uuid4().int}", delivery=delivery)


@atomically
def answered(transaction_uid: str, reason: str, by: str) -> bool:
    """Keep a destination's answer. What it does not keep is sent again.

    Args:
        reason: why it does not keep something; empty where it keeps everything.
        by: its AE title.

    Returns:
        False if it was not asked under this UID.
    """
    asked = Commitment.objects.select_for_update().filter(pk=transaction_uid).first()
    if asked is None or not Destination.objects.filter(pk=asked.delivery.destination, called_ae=by).exists():
        return False
    if asked.committed is None:
        asked.committed = not reason
        asked.save(update_fields=["committed"])
        if reason:
            outbox.take_back(asked.delivery, f"the destination does not keep it ({reason})")
    return True
