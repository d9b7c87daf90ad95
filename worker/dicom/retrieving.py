"""Have a department's PACS send the images of studies that were chosen, by C-GET or C-MOVE."""

import time
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db import transaction
from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association

from ml.pictures.dicom import elements
from webapp.dicom import accepted
from webapp.dicom.models import Instance, Peer, Progress, Retrieval, Retrieves
from webapp.dicom.services import searching
from webapp.studies.outbox.models import Delivery
from webapp.studies.outbox.services import NotDeliveredError, ObsoleteError
from worker.dicom import associating, contexts, messages, storing
from worker.dicom.searching import FIND, SUCCESS, SYNTAXES, TOTAL_SECONDS, ask, find

# The study root's classes (PS3.4 C.6.2).
MOVE, GET = UID("1.2.840.10008.5.1.4.1.2.2.2"), UID("1.2.840.10008.5.1.4.1.2.2.3")
#: Seconds after which a run fetches nothing more; another one goes on.
FETCH_SECONDS = 20
#: Attempts to reach the PACS, some minutes together.
ATTEMPTS = 6
#: The status of a C-MOVE to somewhere that the PACS does not know.
UNKNOWN_AE = 0xA801


def retrieve(delivery: Delivery) -> str:
    """Fetch a study for some seconds. What is left is another delivery.

    Raises:
        NotDeliveredError: the PACS cannot be reached; it is asked again later.
        ObsoleteError: the retrieval has ended, or was deleted.
    """
    waiting = Retrieval.objects.select_related("search__destination", "department").filter(state=Progress.WAITING)
    asked = waiting.filter(pk=delivery.payload["retrieval"]).first()
    if asked is None:
        raise ObsoleteError("the retrieval has ended")
    try:
        complete = _fetch(asked)
    except NotDeliveredError as error:
        if error.permanent or delivery.attempts >= ATTEMPTS:
            searching.finish(asked, Progress.FAILED, str(error))
            return str(error)
        Retrieval.objects.filter(pk=asked.pk).update(error=str(error)[:200])
        raise
    if not complete:
        with transaction.atomic():
            searching.go_on(asked)
        return f"{asked.arrived} of {asked.expected}"
    if asked.refused:
        searching.finish(asked, Progress.FAILED, f"{len(asked.refused)} images did not arrive. {asked.error}")
    else:
        searching.finish(asked, Progress.DONE)
    return f"{asked.arrived} of {asked.expected}"


def _fetch(asked: Retrieval) -> bool:
    """Fetch images one by one, so that each is counted, and the next is only asked for while somebody wants it.

    Returns:
        False where there are more than the time allowed for.
    """
    began, destination = time.monotonic(), asked.search.destination
    peer = Peer(ae_title=destination.called_ae, department=asked.department)  # a peer that no row names
    gets = destination.retrieves == Retrieves.GET
    offered = [(uid, syntax) for uid in contexts.RADIOGRAPHS for syntax in accepted.SYNTAXES] if gets else []
    handlers = [
        (evt.EVT_PDU_RECV, _arriving),
        (evt.EVT_C_STORE, lambda event: storing.answer(event, peer)),
    ]
    classes = {FIND: SYNTAXES, (GET if gets else MOVE): SYNTAXES}
    association = associating.associate(destination, classes, offered, handlers if gets else ())
    try:
        images = list(_images(association, asked.study_uid, began + TOTAL_SECONDS))
        if not images:
            raise NotDeliveredError("the PACS has no CR or DX images of this study", permanent=True)
        fetched = False
        while left := _left(asked, images):
            if fetched and time.monotonic() > began + FETCH_SECONDS:
                return False
            _fetch_one(association, asked, left[0], gets)
            fetched = True
        return True
    finally:
        if association.is_established:
            association.release()


def _arriving(event: evt.Event) -> None:
    messages.limit(event.assoc.dimse.message)


def _images(association: Association, study_uid: str, until: float) -> Iterator[Dataset]:
    """Identifiers of a study's radiographs."""
    of_study = {"StudyInstanceUID": study_uid}
    for series in list(find(association, _identifier("SERIES", **of_study, SeriesInstanceUID="", Modality=""), until)):
        if elements.text(series, "Modality").upper() not in searching.MODALITIES:
            continue
        of_series = {**of_study, "SeriesInstanceUID": elements.text(series, "SeriesInstanceUID")}
        for found in find(association, _identifier("IMAGE", **of_series, SOPInstanceUID=""), until):
            if uid := elements.text(found, "SOPInstanceUID"):
                yield _identifier("IMAGE", **of_series, SOPInstanceUID=uid)


def _identifier(level: str, **keys: str) -> Dataset:
    made = Dataset()
    made.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(made, keyword, value)
    return made


def _here(asked: Retrieval, images: list[Dataset]) -> set[str]:
    """The UIDs of those images that are here."""
    uids = [image.SOPInstanceUID for image in images]
    found = Instance.objects.filter(instance_uid__in=uids, image__department=asked.department)
    return set(found.values_list("instance_uid", flat=True))


def _left(asked: Retrieval, images: list[Dataset]) -> list[Dataset]:
    """Write how far it has come.

    Returns:
        The images that are still to be fetched; none where somebody has ended it.
    """
    there = _here(asked, images)
    asked.expected, asked.arrived = len(images), len(there)
    known = {"expected": asked.expected, "arrived": asked.arrived, "refused": asked.refused, "error": asked.error[:200]}
    if not Retrieval.objects.filter(pk=asked.pk, state=Progress.WAITING).update(**known):
        return []
    return [image for image in images if image.SOPInstanceUID not in there | set(asked.refused)]


def _fetch_one(association: Association, asked: Retrieval, image: Dataset, gets: bool) -> None:
    """Have the PACS send one image, and note what it says where that does not arrive."""
    if gets:
        status = _last(ask(association.send_c_get, image, GET))
    else:
        status = _last(ask(association.send_c_move, image, settings.DICOM_AE_TITLE, MOVE))
    if status == UNKNOWN_AE:
        reason = f"the PACS does not know {settings.DICOM_AE_TITLE}, our AE title, to which it is to send images"
        raise NotDeliveredError(reason, permanent=True)
    if _here(asked, [image]):
        return
    asked.refused.append(image.SOPInstanceUID)
    if status != SUCCESS:
        asked.error = f"The PACS answers with the status {status:04X}."
    elif not gets:
        asked.error = "The PACS says that it has sent them. It has to be among the senders of this department."


def _last(answers: Any) -> int:
    """The last status of a request. Raises NotDeliveredError where the PACS falls silent."""
    status = None
    for status, _ in answers:
        if "Status" not in status:
            break
    if status is None or "Status" not in status:
        raise NotDeliveredError("the PACS has not answered in time", unreachable=True)
    return int(status.Status)
