"""Search a department's PACS for studies (C-FIND)."""

import time
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

from pydicom import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.association import Association

from ml.pictures.dicom import elements
from ml.pictures.dicom.attributes import patient_name
from webapp.dicom.models import Destination, Progress, Search
from webapp.dicom.services import searching
from webapp.studies.outbox.models import Delivery
from webapp.studies.outbox.services import NotDeliveredError, ObsoleteError
from worker.dicom import associating

#: C-FIND of the study root (PS3.4 C.6.2).
FIND = UID("1.2.840.10008.5.1.4.1.2.2.1")
SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
#: Seconds that a search may take in all, well below the task's time limit.
TOTAL_SECONDS = 25
#: Largest number of responses to one request.
MAX_RESPONSES = 5000
# Statuses (PS3.4 C.4.1).
SUCCESS, PENDING = 0x0000, (0xFF00, 0xFF01)
#: The attributes of a study that a search shows, and the longest value of each.
SHOWN = {
    "study_uid": ("StudyInstanceUID", 64),
    "patient_id": ("PatientID", 64),
    "accession_number": ("AccessionNumber", 16),
    "description": ("StudyDescription", 64),
    "images": ("NumberOfStudyRelatedInstances", 12),
}


def search(delivery: Delivery) -> str:
    """Search a PACS once. There is no retry: the user who waits can search again.

    Raises:
        ObsoleteError: the search was answered or deleted.
    """
    waiting = Search.objects.select_related("destination").filter(state=Progress.WAITING)
    request = waiting.filter(pk=delivery.payload["search"]).first()
    if request is None:
        raise ObsoleteError("the search was answered or deleted")
    try:
        found, more = find_studies(request.destination, request.criteria)
    except NotDeliveredError as error:
        searching.finish(request, Progress.FAILED, str(error))
        return str(error)
    searching.finish(request, Progress.DONE, found=found, more=more)
    return f"found {len(found)}"


def find_studies(destination: Destination, criteria: dict[str, str]) -> tuple[list[dict[str, Any]], bool]:
    """The studies at a PACS that match the criteria, latest first, and whether there are more.

    Raises:
        NotDeliveredError: the PACS does not answer or refuses.
    """
    rows: list[dict[str, Any]] = []
    wanted_modalities = {criteria["modality"]} if "modality" in criteria else set(searching.MODALITIES)
    association = associating.associate(destination, {FIND: SYNTAXES})
    try:
        for study in find(association, _identifier(criteria), time.monotonic() + TOTAL_SECONDS):
            modalities = _modalities(study)
            if modalities and not wanted_modalities & set(modalities):
                continue
            if len(rows) == searching.MOST_FOUND:
                association.abort()  # more than anyone would look through
                return _sorted(rows), True
            if (row := _row(study, modalities))["study_uid"]:
                rows.append(row)
    finally:
        if association.is_established:
            association.release()
    return _sorted(rows), False


def _sorted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: row["date"], reverse=True)


def _identifier(criteria: dict[str, str]) -> Dataset:
    identifier = Dataset()
    identifier.SpecificCharacterSet = "ISO_IR 192"
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyTime = ""
    for keyword, _ in SHOWN.values():
        setattr(identifier, keyword, "")
    identifier.PatientID = criteria.get("patient_id", "")
    identifier.AccessionNumber = criteria.get("accession_number", "")
    identifier.ModalitiesInStudy = criteria.get("modality", "")
    identifier.PatientName = f"{criteria['patient_name'].replace(', ', '^')}*" if "patient_name" in criteria else ""
    identifier.PatientBirthDate = criteria.get("birth_date", "").replace("-", "")
    days = [criteria.get(name, "").replace("-", "") for name in ("date_from", "date_until")]
    identifier.StudyDate = "-".join(days) if any(days) else ""
    return identifier


def _row(study: Dataset, modalities: list[str]) -> dict[str, Any]:
    return {
        **{name: elements.text(study, keyword)[:length] for name, (keyword, length) in SHOWN.items()},
        "patient_name": patient_name(study)[:64],
        "birth_date": _iso(elements.day(study, "PatientBirthDate")),
        "date": _iso(elements.day(study, "StudyDate")),
        "modalities": modalities,
    }


def _iso(day: date | None) -> str:
    return day.isoformat() if day else ""


def _modalities(study: Dataset) -> list[str]:
    value = elements.value(study, "ModalitiesInStudy")
    values = [value] if isinstance(value, str) else value or []
    return [str(modality)[:16] for modality in values][:20]


def responses(send: Callable[..., Any], *arguments: Any) -> Any:
    """Send a request and return its responses. Raises NotDeliveredError if it cannot be sent."""
    try:
        return send(*arguments)
    except ValueError:
        raise NotDeliveredError("the PACS does not offer this kind of search or retrieval", permanent=True) from None
    except RuntimeError:
        raise NotDeliveredError("the PACS has ended the association", unreachable=True) from None


def find(association: Association, identifier: Dataset, deadline: float) -> Iterator[Dataset]:
    """Yield what a PACS finds.

    Args:
        association: an association with C-FIND of the study root.
        identifier: the keys to match and to return.
        deadline: when the search has to end, by :func:`time.monotonic`.

    Raises:
        NotDeliveredError: the PACS refuses, stops answering, or does not finish in time.
    """
    for number, (status, found) in enumerate(responses(association.send_c_find, identifier, FIND)):
        if "Status" not in status:
            raise NotDeliveredError("the PACS has not answered in time", unreachable=True)
        if int(status.Status) in PENDING and found is not None:
            if time.monotonic() > deadline or number > MAX_RESPONSES:
                association.abort()
                raise NotDeliveredError("the PACS finds too much, or is too slow; please search for less")
            yield found
        elif int(status.Status) != SUCCESS:
            raise NotDeliveredError(f"the PACS refuses the search (status {status.Status:04X})", permanent=True)
