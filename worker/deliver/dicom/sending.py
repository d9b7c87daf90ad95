"""Send the objects of a result to one destination, by C-STORE or STOW-RS."""

import time
from collections.abc import Sequence

from django.utils import timezone
from pydicom import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.association import Association

from webapp.dicom.models import Destination, Protocol, Revision, Sends
from webapp.dicom.results import PICTURE, REJECTION, REPORT
from webapp.dicom.services import commitments
from webapp.dicom.services.destinations import COMMITMENT, ECHO
from webapp.studies.outbox.models import Delivery
from webapp.studies.outbox.services import NotDeliveredError, ObsoleteError
from worker.deliver.dicom import commitment, making, stow
from worker.deliver.dicom.answers import check
from worker.dicom import associating

#: After so many nothing more is sent, far from the limit of the task.
TOTAL_SECONDS = 25
CLASSES = tuple(UID(kind.class_uid) for kind in (REPORT, PICTURE, REJECTION))
#: Implicit VR is what every DICOM application takes; the library converts to it.
SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]


def send(delivery: Delivery) -> str:
    """Send a result's objects to a destination, or ask whether it is there or keeps them; note how that went.

    Returns:
        What the destination answered.

    Raises:
        NotDeliveredError: it did not arrive.
        ObsoleteError: the destination or the image was deleted.
    """
    destination = Destination.objects.filter(pk=delivery.destination).first()
    if destination is None:
        raise ObsoleteError("its destination was deleted")
    if not destination.enabled:
        raise NotDeliveredError("the destination is switched off", permanent=True)
    try:
        answer = _sent(delivery, destination)
    except NotDeliveredError as error:
        _note(destination, str(error))
        raise
    _note(destination, answer)
    return answer


def _sent(delivery: Delivery, destination: Destination) -> str:
    event = delivery.payload["event"]
    if event == COMMITMENT:
        return commitment.ask(delivery, destination)
    objects = [] if event == ECHO else _objects(delivery, destination)
    if destination.protocol == Protocol.STOW:
        return stow.transfer(destination, objects)
    answer = transfer(destination, objects)
    if objects and destination.commitment:
        commitments.ask_for(delivery, [(one.SOPClassUID, one.SOPInstanceUID) for one in objects])
    return answer


def _objects(delivery: Delivery, destination: Destination) -> list[Dataset]:
    revision = Revision.objects.select_related("image__instance").filter(pk=delivery.payload["revision"]).first()
    if revision is None:
        raise ObsoleteError("its image was deleted")
    sends = destination.sends
    objects = making.make(revision, reports=sends != Sends.PICTURE, pictures=sends != Sends.REPORT)
    if not objects:
        raise ObsoleteError("there is no picture of this result, and nothing else is wanted")
    return objects


def transfer(destination: Destination, objects: Sequence[Dataset]) -> str:
    """Store objects at a destination, in one association; without objects, only ask whether it is there.

    Returns:
        What it answered.

    Raises:
        NotDeliveredError: not everything was stored. What was is recognised by its UID when it is sent again.
    """
    began = time.monotonic()
    association = associating.associate(destination, dict.fromkeys(CLASSES, SYNTAXES))
    try:
        if not objects:
            check(association.send_c_echo(), "the test")
            return "answered the test"
        for one in objects:
            if time.monotonic() - began > TOTAL_SECONDS:
                raise NotDeliveredError("the destination is too slow", unreachable=True)
            _store(association, one)
    finally:
        if association.is_established:
            association.release()
    return f"stored {', '.join(one.Modality for one in objects)}"


def _store(association: Association, one: Dataset) -> None:
    name = one.SOPClassUID.name
    try:
        answer = association.send_c_store(one)
    except ValueError:
        raise NotDeliveredError(f"the destination does not take {name}", permanent=True) from None
    except RuntimeError:
        raise NotDeliveredError("the destination has ended the association", unreachable=True) from None
    check(answer, name)


def _note(destination: Destination, outcome: str) -> None:
    """Show the department how it went."""
    Destination.objects.filter(pk=destination.pk).update(last_attempt_at=timezone.now(), last_outcome=outcome[:200])
