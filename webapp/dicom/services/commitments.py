"""Storage commitment: whether destinations store what we sent, with a new delivery if they do not; and whether we store
what senders sent.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import compress
from uuid import uuid4

from webapp.departments.models import Department
from webapp.dicom.models import Commitment, Destination, Instance
from webapp.dicom.services import versions
from webapp.dicom.services.destinations import COMMITMENT, DICOM
from webapp.studies.outbox import services as outbox
from webapp.studies.outbox.models import Delivery
from webapp.studies.transactions import atomically

# Failure reasons for an instance that is not stored (PS3.3 C.14.1.1).
NO_SUCH_INSTANCE, OTHER_CLASS = 0x0112, 0x0119
#: Number of instances per query.
CHUNK = 500
#: Number of files that are looked for at the same time. With an object store each takes a request.
THREADS = 16


@atomically
def ask_for(delivery: Delivery, objects: list[tuple[str, str]]) -> None:
    """Queue a request for storage commitment. It is sent once the delivery counts as delivered.

    Args:
        objects: the SOP Class UID and SOP Instance UID of each object that the destination got.
    """
    payload = {"event": COMMITMENT, "image": delivery.payload["image"], "of": str(delivery.pk), "objects": objects}
    key = f"{COMMITMENT}:{delivery.pk}:{uuid4()}"
    outbox.put(DICOM, key, payload, subject=delivery.subject, destination=delivery.destination)


def begin(delivery: Delivery) -> Commitment:
    """Create a request with its own UID, which nobody can guess."""
    return Commitment.objects.create(transaction_uid=f"2.25.{uuid4().int}", delivery=delivery)


@atomically
def answered(transaction_uid: str, reason: str, called_ae: str) -> bool:
    """Save a destination's answer. If it does not store everything, the delivery is sent again.

    Args:
        reason: why it does not store an object; empty if it stores all.
        called_ae: the destination's AE title.

    Returns:
        False if the destination got no request with this UID.
    """
    commitment = Commitment.objects.select_for_update().filter(pk=transaction_uid).first()
    if (
        commitment is None
        or not Destination.objects.filter(pk=commitment.delivery.destination, called_ae=called_ae).exists()
    ):
        return False
    if commitment.committed is None:
        commitment.committed = not reason
        commitment.save(update_fields=["committed"])
        if reason:
            outbox.take_back(commitment.delivery, f"the destination does not keep it ({reason})")
    return True


def reasons(department: Department, objects: Sequence[Sequence[str]]) -> list[int]:
    """The reason why a department does not store each of some instances; 0 if it stores it.

    Args:
        objects: the SOP Class UID and SOP Instance UID of each instance.

    Raises:
        OSError: the storage does not say whether a file exists.
    """
    classes: dict[str, set[str]] = {}
    for start in range(0, len(objects), CHUNK):
        uids = [uid for _, uid in objects[start : start + CHUNK]]
        instances = Instance.objects.filter(instance_uid__in=uids, image__department=department)
        rows = list(instances.values_list("instance_uid", "class_uid", "image__file", "image__error_code"))
        with ThreadPoolExecutor(THREADS) as threads:
            kept = list(threads.map(lambda row: versions.is_kept(*row[2:]), rows))
        for uid, kind, *_ in compress(rows, kept):
            classes.setdefault(uid, set()).add(kind)
    return [_reason(kind, classes.get(uid)) for kind, uid in objects]


def _reason(class_uid: str, stored_classes: set[str] | None) -> int:
    if not stored_classes:
        return NO_SUCH_INSTANCE
    return 0 if class_uid in stored_classes else OTHER_CLASS
