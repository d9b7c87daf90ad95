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
from webapp.dicom.services.destinations import COMMITMENT, ECHO, RESULT
from webapp.studies.outbox.models import Delivery, State
from webapp.studies.outbox.services import NotDeliveredError, ObsoleteError
from worker.deliver.dicom import commitment, making, stow
from worker.deliver.dicom.answers import check
from worker.dicom import associating

#: Seconds after which nothing more is sent, well below the task's time limit.
TOTAL_SECONDS = 25
CLASSES = tuple(UID(kind.class_uid) for kind in (REPORT, PICTURE, REJECTION))
#: Every DICOM application supports implicit VR; the library converts to it if needed.
SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]


def send(delivery: Delivery) -> str:
    """Send a result's objects to a destination, test the connection or request storage commitment; note the outcome.

    Returns:
        The destination's answer.

    Raises:
        NotDeliveredError: the objects or the request did not arrive.
        ObsoleteError: the destination or the image was deleted, or the destination has a later result.
    """
    destination = Destination.objects.filter(pk=delivery.destination).first()
    if destination is None:
        raise ObsoleteError("its destination was deleted")
    if not destination.enabled:
        raise NotDeliveredError("the destination is switched off", permanent=True)
    try:
        answer = _deliver(delivery, destination)
    except NotDeliveredError as error:
        _note(destination, str(error))
        raise
    _note(destination, answer)
    return answer


def _deliver(delivery: Delivery, destination: Destination) -> str:
    event = delivery.payload["event"]
    if event == COMMITMENT:
        return commitment.ask(delivery, destination)
    objects = [] if event == ECHO else _objects(delivery, destination)
    if destination.protocol == Protocol.STOW:
        return stow.transfer(destination, objects)
    answer = transfer(destination, objects)
    if objects and destination.commitment:
        commitments.ask_for(delivery, [(dataset.SOPClassUID, dataset.SOPInstanceUID) for dataset in objects])
    return answer


def _objects(delivery: Delivery, destination: Destination) -> list[Dataset]:
    revision = Revision.objects.select_related("image__instance").filter(pk=delivery.payload["revision"]).first()
    if revision is None:
        raise ObsoleteError("its image was deleted")
    # Sent last, an earlier result would take the place of its correction.
    later = Delivery.objects.filter(
        kind=delivery.kind, subject=delivery.subject, destination=delivery.destination, payload__event=RESULT,
        created_at__gt=delivery.created_at, state=State.DELIVERED,
    )  # fmt: skip
    if later.exists():
        raise ObsoleteError("a later result was delivered before it")
    sends = destination.sends
    objects = making.make(revision, reports=sends != Sends.PICTURE, pictures=sends != Sends.REPORT)
    if not objects:
        raise ObsoleteError("there is no picture of this result, and nothing else is wanted")
    return objects


def transfer(destination: Destination, objects: Sequence[Dataset]) -> str:
    """Store objects at a destination, in one association; without objects, only test the connection.

    Returns:
        The destination's answer.

    Raises:
        NotDeliveredError: not everything was stored. Everything is sent again; the destination recognises objects that
            it has by their UIDs.
    """
    started = time.monotonic()
    association = associating.associate(destination, dict.fromkeys(CLASSES, SYNTAXES))
    try:
        if not objects:
            check(association.send_c_echo(), "the test")
            return "answered the test"
        for dataset in objects:
            if time.monotonic() - started > TOTAL_SECONDS:
                raise NotDeliveredError("the destination is too slow", unreachable=True)
            _store(association, dataset)
    finally:
        if association.is_established:
            association.release()
    return f"stored {', '.join(dataset.Modality for dataset in objects)}"


def _store(association: Association, dataset: Dataset) -> None:
    name = dataset.SOPClassUID.name
    try:
        response = association.send_c_store(dataset)
    except ValueError:
        raise NotDeliveredError(f"the destination does not take {name}", permanent=True) from None
    except RuntimeError:
        raise NotDeliveredError("the destination has ended the association", unreachable=True) from None
    check(response, name)


def _note(destination: Destination, outcome: str) -> None:
    """Save the outcome, which the department sees."""
    Destination.objects.filter(pk=destination.pk).update(last_attempt_at=timezone.now(), last_outcome=outcome[:200])
