"""What both sides of storage commitment say (PS3.4 J.3)."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association

from ml.pictures.dicom import elements

CLASS, INSTANCE = UID("1.2.840.10008.1.20.1"), UID("1.2.840.10008.1.20.1.1")
#: The type of the request, and those of reports: everything is kept, or something is not.
REQUEST, EVERYTHING_KEPT, SOMETHING_FAILED = 1, 1, 2
# Statuses of N-ACTION and N-EVENT-REPORT (PS3.7 C).
SUCCESS, FAILURE, INVALID_ARGUMENT, NOT_AUTHORIZED, TOO_MANY = 0x0000, 0x0110, 0x0115, 0x0124, 0x0213


@dataclass(frozen=True)
class Asked:
    """What a sender asks: whether instances are kept.

    Attributes:
        transaction_uid: under which it gets the report.
        objects: the SOP Class and Instance UID of each.
    """

    transaction_uid: str
    objects: Sequence[Sequence[str]]


def asked(event: evt.Event) -> Asked | None:
    """What a request says; None where it does not say what has to be said."""
    said = event.action_information
    pairs = [
        tuple(elements.text(one, f"ReferencedSOP{name}UID") for name in ("Class", "Instance"))
        for one in elements.items(said, "ReferencedSOPSequence")
    ]
    found = Asked(elements.text(said, "TransactionUID"), pairs)
    uids = [found.transaction_uid, *(uid for pair in pairs for uid in pair)]
    is_sound = event.action_type == REQUEST and pairs and all(UID(uid).is_valid for uid in uids)
    return found if is_sound else None


def report(association: Association, request: Asked, reasons: Sequence[int]) -> Dataset:
    """Tell a sender what is kept of that which it asked for; its answer.

    Args:
        reasons: as :func:`webapp.dicom.services.commitments.reasons` gives them.

    Raises:
        ValueError: it takes no reports.
        RuntimeError: the association has ended.
    """
    pairs = list(zip(request.objects, reasons, strict=True))
    said = Dataset()
    said.TransactionUID = request.transaction_uid
    if kept := [reference(*uids) for uids, why in pairs if not why]:
        said.ReferencedSOPSequence = kept
    if failed := [_failure(uids, why) for uids, why in pairs if why]:
        said.FailedSOPSequence = failed
    kind = SOMETHING_FAILED if failed else EVERYTHING_KEPT
    answer, _ = association.send_n_event_report(said, kind, CLASS, INSTANCE)
    return answer


def _failure(uids: Sequence[str], reason: int) -> Dataset:
    made = reference(*uids)
    made.FailureReason = reason
    return made


def reference(class_uid: str, instance_uid: str) -> Dataset:
    made = Dataset()
    made.ReferencedSOPClassUID, made.ReferencedSOPInstanceUID = class_uid, instance_uid
    return made


def told(event: evt.Event) -> tuple[str, str]:
    """What a report says: the UID of the request, and why something is not kept; empty where everything is."""
    said, reason = event.event_information, ""
    if event.event_type == SOMETHING_FAILED:
        failed = elements.items(said, "FailedSOPSequence") or [Dataset()]
        reason = f"reason {elements.integer(failed[0], 'FailureReason'):04X}"
    return elements.text(said, "TransactionUID"), reason
