"""The messages of storage commitment, for both roles (PS3.4 J.3)."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association

from ml.pictures.dicom import elements

CLASS, INSTANCE = UID("1.2.840.10008.1.20.1"), UID("1.2.840.10008.1.20.1.1")
#: The action type of a request, and the event types of reports: everything is stored, or something is not.
REQUEST, EVERYTHING_KEPT, SOMETHING_FAILED = 1, 1, 2
# Statuses of N-ACTION and N-EVENT-REPORT (PS3.7 C).
SUCCESS, FAILURE, INVALID_ARGUMENT, NOT_AUTHORIZED, TOO_MANY = 0x0000, 0x0110, 0x0115, 0x0124, 0x0213


@dataclass(frozen=True)
class Request:
    """A request for storage commitment: a sender asks whether instances are stored.

    Attributes:
        transaction_uid: identifies the request in the report.
        objects: the SOP Class UID and SOP Instance UID of each instance.
    """

    transaction_uid: str
    objects: Sequence[Sequence[str]]


def read_request(event: evt.Event) -> Request | None:
    """Read a request; None if it is incomplete or invalid."""
    information = event.action_information
    pairs = [
        tuple(elements.text(item, f"ReferencedSOP{name}UID") for name in ("Class", "Instance"))
        for item in elements.items(information, "ReferencedSOPSequence")
    ]
    request = Request(elements.text(information, "TransactionUID"), pairs)
    uids = [request.transaction_uid, *(uid for pair in pairs for uid in pair)]
    is_sound = event.action_type == REQUEST and pairs and all(UID(uid).is_valid for uid in uids)
    return request if is_sound else None


def report(association: Association, request: Request, reasons: Sequence[int]) -> Dataset:
    """Report to a sender which of the requested instances are stored.

    Args:
        reasons: the failure reasons, as :func:`webapp.dicom.services.commitments.reasons` returns them.

    Returns:
        The sender's response.

    Raises:
        ValueError: the sender does not accept reports.
        RuntimeError: the association has ended.
    """
    pairs = list(zip(request.objects, reasons, strict=True))
    information = Dataset()
    information.TransactionUID = request.transaction_uid
    if stored := [reference(*uids) for uids, reason in pairs if not reason]:
        information.ReferencedSOPSequence = stored
    if failed := [_failure(uids, reason) for uids, reason in pairs if reason]:
        information.FailedSOPSequence = failed
    kind = SOMETHING_FAILED if failed else EVERYTHING_KEPT
    response, _ = association.send_n_event_report(information, kind, CLASS, INSTANCE)
    return response


def _failure(uids: Sequence[str], reason: int) -> Dataset:
    item = reference(*uids)
    item.FailureReason = reason
    return item


def reference(class_uid: str, instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = class_uid, instance_uid
    return item


def read_report(event: evt.Event) -> tuple[str, str]:
    """Read a report: the transaction UID, and why an instance is not stored (empty if all are stored)."""
    information, reason = event.event_information, ""
    if event.event_type == SOMETHING_FAILED:
        failed = elements.items(information, "FailedSOPSequence") or [Dataset()]
        reason = f"reason {elements.integer(failed[0], 'FailureReason'):04X}"
    return elements.text(information, "TransactionUID"), reason
