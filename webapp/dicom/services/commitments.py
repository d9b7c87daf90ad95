"""Storage commitment: whether destinations keep what they got, and what is done where they do not; and what is kept of
that which senders have sent.
"""

from collections.abc import Sequence
from uuid import uuid4

from webapp.departments.models import Department
from webapp.dicom.models import Commitment, Destination, Instance
from webapp.dicom.services.destinations import COMMITMENT, DICOM
from webapp.studies.outbox import services as outbox
from webapp.studies.outbox.models import Delivery
from webapp.studies.transactions import atomically

# Why an instance is not kept (PS3.3 C.14.1.1).
NO_SUCH_INSTANCE, OTHER_CLASS = 0x0112, 0x0119
#: Instances that are looked for in one statement.
CHUNK = 500


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


def reasons(department: Department, objects: Sequence[Sequence[str]]) -> list[int]:
    """Why a department does not keep instances that were sent to it: 0 for each that it keeps.

    Args:
        objects: the SOP Class and Instance UID of each.
    """
    classes: dict[str, set[str]] = {}
    for start in range(0, len(objects), CHUNK):
        uids = [uid for _, uid in objects[start : start + CHUNK]]
        found = Instance.objects.filter(instance_uid__in=uids, image__department=department).exclude(image__file="")
        for uid, kind in found.values_list("instance_uid", "class_uid"):
            classes.setdefault(uid, set()).add(kind)
    return [_reason(kind, classes.get(uid)) for kind, uid in objects]


def _reason(class_uid: str, kept: set[str] | None) -> int:
    if not kept:
        return NO_SUCH_INSTANCE
    return 0 if class_uid in kept else OTHER_CLASS
