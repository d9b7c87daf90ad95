"""What both sides of storage commitment say (PS3.4 J.3)."""

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import evt

from ml.pictures.dicom import elements

CLASS, INSTANCE = UID("1.2.840.10008.1.20.1"), UID("1.2.840.10008.1.20.1.1")
#: The type of the request, and that of a report in which something is not kept.
REQUEST, SOMETHING_FAILED = 1, 2
# Statuses of N-ACTION and N-EVENT-REPORT (PS3.7 C).
SUCCESS, INVALID_ARGUMENT = 0x0000, 0x0115


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
