"""Fetch the images of chosen studies from a department's PACS, by C-GET or C-MOVE."""

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
from webapp.dicom.services import searching, versions
from webapp.studies.outbox.models import Delivery
from webapp.studies.outbox.services import NotDeliveredError, ObsoleteError
from worker.dicom import associating, contexts, messages, storing
from worker.dicom.searching import FIND, SUCCESS, SYNTAXES, TOTAL_SECONDS, find, responses

# The study root's classes (PS3.4 C.6.2).
MOVE, GET = UID("1.2.840.10008.5.1.4.1.2.2.2"), UID("1.2.840.10008.5.1.4.1.2.2.3")
#: Seconds after which a run fetches no more images. Another run continues.
FETCH_SECONDS = 20
#: Attempts to reach the PACS, over some minutes.
ATTEMPTS = 6
#: The status of a C-MOVE to an AE title that the PACS does not know.
UNKNOWN_AE = 0xA801


def retrieve(delivery: Delivery) -> str:
    """Fetch images of a study for some seconds. Another delivery fetches the rest.

    Raises:
        NotDeliveredError: the PACS cannot be reached; there is a retry later.
        ObsoleteError: the retrieval has ended or was deleted.
    """
    waiting = Retrieval.objects.select_related("search__destination", "department").filter(state=Progress.WAITING)
    retrieval = waiting.filter(pk=delivery.payload["retrieval"]).first()
    if retrieval is None:
        raise ObsoleteError("the retrieval has ended")
    try:
        complete = _fetch(retrieval)
    except NotDeliveredError as error:
        if error.permanent or delivery.attempts >= ATTEMPTS:
            searching.finish(retrieval, Progress.FAILED, str(error))
            return str(error)
        Retrieval.objects.filter(pk=retrieval.pk).update(error=str(error)[:200])
        raise
    if not complete:
        with transaction.atomic():
            searching.go_on(retrieval)
        return f"{retrieval.arrived} of {retrieval.expected}"
    if retrieval.refused:
        searching.finish(
            retrieval, Progress.FAILED, f"{len(retrieval.refused)} images did not arrive. {retrieval.error}"
        )
    else:
        searching.finish(retrieval, Progress.DONE)
    return f"{retrieval.arrived} of {retrieval.expected}"


def _fetch(retrieval: Retrieval) -> bool:
    """Fetch images one by one, so that each is counted, and a cancelled retrieval stops before the next image.

    Returns:
        False if time ran out before all images were fetched.

    Raises:
        NotDeliveredError: the PACS cannot be reached, has no such images, or may no longer be searched.
    """
    started, destination = time.monotonic(), retrieval.search.destination
    if not destination.may_be_searched:  # a manager may have changed that since the search
        raise NotDeliveredError("this PACS may no longer be searched", permanent=True)
    peer = Peer(ae_title=destination.called_ae, department=retrieval.department)  # not saved to the database
    by_get = destination.retrieves == Retrieves.GET
    offered = [(uid, syntax) for uid in contexts.RADIOGRAPHS for syntax in accepted.SYNTAXES] if by_get else []
    handlers = [
        (evt.EVT_PDU_RECV, _limit_memory),
        (evt.EVT_C_STORE, lambda event: storing.answer(event, peer)),
    ]
    classes = {FIND: SYNTAXES, (GET if by_get else MOVE): SYNTAXES}
    association = associating.associate(destination, classes, offered, handlers if by_get else ())
    try:
        images = list(_images(association, retrieval.study_uid, started + TOTAL_SECONDS))
        if not images:
            raise NotDeliveredError("the PACS has no CR or DX images of this study", permanent=True)
        has_fetched, present_uids = False, set[str]()
        while remaining := _remaining(retrieval, images, present_uids):
            if has_fetched and time.monotonic() > started + FETCH_SECONDS:
                return False
            _fetch_one(association, retrieval, remaining[0], by_get)
            has_fetched = True
        return True
    finally:
        if association.is_established:
            association.release()


def _limit_memory(event: evt.Event) -> None:
    messages.limit(event.assoc.dimse.message)


def _images(association: Association, study_uid: str, deadline: float) -> Iterator[Dataset]:
    """Yield the identifiers of a study's radiographs."""
    of_study = {"StudyInstanceUID": study_uid}
    for series in list(
        find(association, _identifier("SERIES", **of_study, SeriesInstanceUID="", Modality=""), deadline)
    ):
        if elements.text(series, "Modality").upper() not in searching.MODALITIES:
            continue
        of_series = {**of_study, "SeriesInstanceUID": elements.text(series, "SeriesInstanceUID")}
        for match in find(association, _identifier("IMAGE", **of_series, SOPInstanceUID=""), deadline):
            if uid := elements.text(match, "SOPInstanceUID"):
                yield _identifier("IMAGE", **of_series, SOPInstanceUID=uid)


def _identifier(level: str, **keys: str) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    return identifier


def _present(retrieval: Retrieval, images: list[Dataset]) -> set[str]:
    """The UIDs of the images that the department already has, and whose files are not lost."""
    uids = [image.SOPInstanceUID for image in images]
    instances = Instance.objects.filter(instance_uid__in=uids, image__department=retrieval.department)
    rows = instances.values_list("instance_uid", "image__file", "image__error_code")
    return {uid for uid, file, error_code in rows if versions.is_kept(file, error_code)}


def _remaining(retrieval: Retrieval, images: list[Dataset], present_uids: set[str]) -> list[Dataset]:
    """Save the progress of a retrieval.

    Args:
        present_uids: the images that were present before. They are not looked up again, and present ones are added.

    Returns:
        The images that are still to be fetched; none if somebody has ended the retrieval.
    """
    present_uids |= _present(retrieval, [image for image in images if image.SOPInstanceUID not in present_uids])
    retrieval.expected, retrieval.arrived = len(images), len(present_uids)
    progress = {
        "expected": retrieval.expected,
        "arrived": retrieval.arrived,
        "refused": retrieval.refused,
        "error": retrieval.error[:200],
    }
    if not Retrieval.objects.filter(pk=retrieval.pk, state=Progress.WAITING).update(**progress):
        return []
    return [image for image in images if image.SOPInstanceUID not in present_uids | set(retrieval.refused)]


def _fetch_one(association: Association, retrieval: Retrieval, image: Dataset, by_get: bool) -> None:
    """Have the PACS send one image, and note the PACS's status if the image does not arrive."""
    if by_get:
        status = _final_status(responses(association.send_c_get, image, GET))
    else:
        status = _final_status(responses(association.send_c_move, image, settings.DICOM_AE_TITLE, MOVE))
    if status == UNKNOWN_AE:
        reason = f"the PACS does not know {settings.DICOM_AE_TITLE}, our AE title, to which it is to send images"
        raise NotDeliveredError(reason, permanent=True)
    if _present(retrieval, [image]):
        return
    retrieval.refused.append(image.SOPInstanceUID)
    if status != SUCCESS:
        retrieval.error = f"The PACS answers with the status {status:04X}."
    elif not by_get:
        retrieval.error = "The PACS says that it has sent them. It has to be among the senders of this department."


def _final_status(statuses: Any) -> int:
    """The final status of a request. Raises NotDeliveredError if the PACS stops answering."""
    status = None
    for status, _ in statuses:
        if "Status" not in status:
            break
    if status is None or "Status" not in status:
        raise NotDeliveredError("the PACS has not answered in time", unreachable=True)
    return int(status.Status)
